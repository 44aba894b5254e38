"""One HTTP request to a workspace over a stream of bytes, and its answer, both piece by piece as they come."""

import asyncio
from dataclasses import dataclass

import h11
from starlette.types import Receive, Send

from zhisuan.gateway.tunnel import StreamFailed, TunnelStream
from zhisuan.gateway.workspace_access import Headers, for_browser, for_workspace
from zhisuan.gateway.workspace_pages import broken
from zhisuan.wire.frames import HOP_BY_HOP_HEADERS

DROPPED = HOP_BY_HOP_HEADERS | {"expect"}
HEAD_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class Ask:
    """One request as it came: ``target`` is path and query, untouched."""

    method: str
    target: bytes
    headers: Headers
    token: str


class BrokenOff(Exception):
    """The answer stopped in its middle; the client's connection can only be cut."""


async def relay(ask: Ask, stream: TunnelStream, receive: Receive, send: Send, *, idle_seconds: float) -> None:
    """Carry it. Raises ``NotServed`` while nothing of an answer has been sent, ``BrokenOff`` later."""
    talk = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)
    sending = asyncio.create_task(_send_request(ask, talk, stream, receive))
    reading = asyncio.create_task(_Answer(talk, stream, send, idle_seconds).carry())
    try:
        await asyncio.wait({sending, reading}, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done() and sending.exception() is None and sending.result():
            return  # the client has gone
        await reading
    finally:
        for task in (sending, reading):
            task.cancel()
        await asyncio.gather(sending, reading, return_exceptions=True)


async def _send_request(ask: Ask, talk: h11.Connection, stream: TunnelStream, receive: Receive) -> bool:
    """Send the request; then wait for the client to go, and say so. A stream that breaks is the reader's to tell."""
    headers = for_workspace(ask.headers, ask.token, DROPPED)
    if ask.headers.get("transfer-encoding") is not None and ask.headers.get("content-length") is None:
        headers.append(("transfer-encoding", "chunked"))
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in [*headers, ("connection", "close")]]
    request = h11.Request(method=ask.method, target=ask.target, headers=pairs)
    try:
        await _write(talk, request, stream)
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return True
            if body := message.get("body"):
                await _write(talk, h11.Data(data=body), stream)
            more = message.get("more_body", False)
        await _write(talk, h11.EndOfMessage(), stream)
    except StreamFailed:
        pass
    while (await receive())["type"] != "http.disconnect":
        pass
    return True


async def _write(talk: h11.Connection, event: h11.Event, stream: TunnelStream) -> None:
    if data := talk.send(event):
        await stream.write(data)


class _Answer:
    """The way back."""

    def __init__(self, talk: h11.Connection, stream: TunnelStream, send: Send, idle_seconds: float) -> None:
        self._talk = talk
        self._stream = stream
        self._send = send
        self._idle_seconds = idle_seconds
        self._begun = False

    async def carry(self) -> None:
        try:
            while not await self._step(self._talk.next_event()):
                pass
        except (StreamFailed, h11.RemoteProtocolError, TimeoutError) as error:
            if self._begun:
                raise BrokenOff(str(error)) from error
            raise broken() from error

    async def _step(self, event: h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]) -> bool:
        """Act on what came; whether the answer is complete."""
        if event is h11.NEED_DATA:
            async with asyncio.timeout(self._idle_seconds):
                data = await self._stream.read()
            self._talk.receive_data(data or b"")
        elif isinstance(event, h11.Response):
            self._begun = True
            headers = for_browser(event.headers, DROPPED)
            await self._send({"type": "http.response.start", "status": event.status_code, "headers": headers})
        elif isinstance(event, h11.Data):
            await self._send({"type": "http.response.body", "body": bytes(event.data), "more_body": True})
        elif isinstance(event, h11.EndOfMessage):
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
            return True
        elif not isinstance(event, h11.InformationalResponse):
            raise h11.RemoteProtocolError("the connection ended before the answer did")
        return False
