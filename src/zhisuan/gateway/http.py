"""One HTTP exchange with a client, on bare ASGI: the body under limits, the answer, and word that the client has gone."""

import asyncio
from collections.abc import Callable

from starlette.types import Message, Receive, Scope, Send

from zhisuan.gateway.errors import ApiError, Headers, body_too_large, body_too_slow

JSON = b"application/json"
EVENT_STREAM = b"text/event-stream; charset=utf-8"
# A body over the limit is read on for a while and thrown away: a client that is still sending does not look for an
# answer, and closing on it would show it a broken connection in place of the 413.
DISCARD_FACTOR = 4


class ClientGone(Exception):
    """The client has closed its connection, or has not read for too long."""


class Exchange:
    """What is sent carries ``x-request-id`` and ``openai-processing-ms`` (from arrival to the first byte)."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, request_id: str, write_seconds: float) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._write_seconds = write_seconds
        self._watch: asyncio.Task[None] | None = None
        self._on_gone: Callable[[], None] | None = None
        self._head: Message | None = None
        self._loop = asyncio.get_running_loop()
        self.arrived = self._loop.time()
        self.request_id = request_id
        self.started = False
        self.ended = False
        self.gone = False

    def header(self, name: bytes) -> str | None:
        for key, value in self._scope["headers"]:
            if key == name:
                return str(value.decode("latin-1"))
        return None

    async def body(self, *, bytes_max: int, seconds_max: float) -> bytes:
        """The whole request body; ``ApiError`` 413 when it is too large, 408 when too slow."""
        declared = self.header(b"content-length") or ""
        if declared.isdecimal() and int(declared) > bytes_max * DISCARD_FACTOR:
            raise body_too_large(bytes_max)
        try:
            async with asyncio.timeout(seconds_max):
                body = await self._read(bytes_max)
        except TimeoutError:
            raise body_too_slow(seconds_max) from None
        return body

    async def _read(self, bytes_max: int) -> bytes:
        parts: list[bytes] = []
        length = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.gone = True
                raise ClientGone
            part = message.get("body", b"")
            length += len(part)
            if length > bytes_max:
                parts.clear()
            elif part:
                parts.append(part)
            if length > bytes_max * DISCARD_FACTOR or (length > bytes_max and not message.get("more_body")):
                raise body_too_large(bytes_max)
            if not message.get("more_body"):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    def watch(self, on_gone: Callable[[], None]) -> None:
        """From now on call ``on_gone`` as soon as the client leaves; the last one given is called."""
        self._on_gone = on_gone
        if self.gone:
            on_gone()
        elif self._watch is None:
            self._watch = self._loop.create_task(self._wait_gone())

    async def _wait_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self.ended:
            self.gone = True
            if self._on_gone is not None:
                self._on_gone()

    def stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()

    def start(self, status: int, content_type: bytes, extra: Headers | None = None, length: int | None = None) -> None:
        """Begin the answer; its head leaves with the first ``write``."""
        took_ms = round((self._loop.time() - self.arrived) * 1000)
        headers = [
            (b"content-type", content_type),
            (b"x-request-id", self.request_id.encode()),
            (b"openai-processing-ms", b"%d" % took_ms),
            *(extra or ()),
        ]
        if length is not None:
            headers.append((b"content-length", b"%d" % length))
        self.started = True
        self._head = {"type": "http.response.start", "status": status, "headers": headers}

    async def write(self, data: bytes, *, last: bool = False) -> None:
        """Hand bytes to the client's connection, waiting while it is full; ``ClientGone`` when it is not there."""
        if self.gone:
            raise ClientGone
        self.ended = self.ended or last
        head, self._head = self._head, None
        try:
            async with asyncio.timeout(self._write_seconds):
                if head is not None:
                    await self._send(head)
                await self._send({"type": "http.response.body", "body": data, "more_body": not last})
        except (OSError, TimeoutError):
            self.gone = True
        if self.gone:
            raise ClientGone

    async def answer(self, status: int, body: bytes, extra: Headers | None = None) -> None:
        """A whole JSON answer."""
        self.start(status, JSON, extra, len(body))
        await self.write(body, last=True)

    async def answer_error(self, error: ApiError) -> None:
        await self.answer(error.status, error.body(), error.headers())
