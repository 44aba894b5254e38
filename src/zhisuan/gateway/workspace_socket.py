"""One WebSocket to a workspace: the browser's is the ASGI server's, the workspace's is spoken here over a stream of bytes."""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.types import Receive, Send
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from zhisuan.gateway.tunnel import StreamFailed, TunnelStream
from zhisuan.gateway.workspace_access import for_workspace
from zhisuan.gateway.workspace_http import DROPPED, Ask
from zhisuan.gateway.workspace_pages import NotServed, broken
from zhisuan.wire.frames import WORKSPACE_MESSAGE_BYTES_MAX

HANDSHAKE_SECONDS = 30.0
CLOSE_SECONDS = 2.0
# Names that the handshake makes anew, and what belongs to the browser's own connection.
OWN = DROPPED | frozenset(
    ("host", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-protocol")
)
NORMAL, GOING_AWAY, UNREADABLE, FORBIDDEN, RESTART = 1000, 1001, 1007, 1008, 1012
NOT_SENT = (1005, 1006, 1015)
Allowed = Callable[[], Awaitable[bool]]


class Refused(Exception):
    """The workspace answered the handshake with something else than a WebSocket."""

    def __init__(self, response: Response) -> None:
        super().__init__(str(response.status_code))
        self.response = response


class SocketRelay:
    """``allowed`` says, asked now and then, whether the holder of the connection may still have it."""

    def __init__(self, stream: TunnelStream, receive: Receive, send: Send, allowed: Allowed, recheck_seconds: float) -> None:
        self._stream = stream
        self._receive = receive
        self._send = send
        self._allowed = allowed
        self._recheck_seconds = recheck_seconds
        self._writing = asyncio.Lock()
        self._protocol: ClientProtocol
        self._early: list[object] = []

    async def relay(self, ask: Ask) -> None:
        """Carry messages until either side is done. Raises ``NotServed`` or ``Refused`` before the WebSocket is accepted."""
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                await self._shake_hands(ask)
        except (StreamFailed, TimeoutError) as error:
            raise broken() from error
        await self._send({"type": "websocket.accept", "subprotocol": self._protocol.subprotocol})
        tasks = [asyncio.create_task(act()) for act in (self._from_client, self._from_workspace, self._watch)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            code = next(iter(done)).result()
            if code is None:  # the close is on its way; breaking the stream off at once would overtake it
                await asyncio.wait(tasks[1:2], timeout=CLOSE_SECONDS)
        except StreamFailed:
            code = RESTART
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if code is not None:
            await self._send({"type": "websocket.close", "code": code})

    async def _shake_hands(self, ask: Ask) -> None:
        asked = [Subprotocol(word.strip()) for word in (ask.headers.get("sec-websocket-protocol") or "").split(",") if word.strip()]
        uri = parse_uri("ws://workspace" + ask.target.decode("latin-1"))
        self._protocol = ClientProtocol(uri, subprotocols=asked or None, max_size=WORKSPACE_MESSAGE_BYTES_MAX)
        request = self._protocol.connect()
        del request.headers["Host"]
        request.headers["Host"] = ask.headers.get("host") or "workspace"
        for name, value in for_workspace(ask.headers, ask.token, OWN):
            request.headers[name] = value
        self._protocol.send_request(request)
        await self._flush()
        while True:
            data = await self._stream.read()
            self._take(data)
            self._early += self._protocol.events_received()
            if self._protocol.handshake_exc is not None:
                raise self._refusal(self._protocol.handshake_exc)
            if self._protocol.state is State.OPEN:
                return
            if data is None:
                raise broken()

    def _refusal(self, error: Exception) -> NotServed | Refused:
        return Refused(error.response) if isinstance(error, InvalidStatus) else broken()

    def _take(self, data: bytes | None) -> None:
        if data is None:
            self._protocol.receive_eof()
        else:
            self._protocol.receive_data(data)

    async def _flush(self) -> None:
        async with self._writing:
            for data in self._protocol.data_to_send():
                if data:
                    await self._stream.write(data)
                else:
                    await self._stream.finish()

    async def _from_client(self) -> int | None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                code = message.get("code") or GOING_AWAY
                self._protocol.send_close(GOING_AWAY if code in NOT_SENT else code)
                await self._flush()
                return None
            if (text := message.get("text")) is not None:
                self._protocol.send_text(text.encode("utf-8", "replace"))
            else:
                self._protocol.send_binary(message.get("bytes") or b"")
            await self._flush()

    async def _from_workspace(self) -> int | None:
        parts: list[bytes] = []
        kind = Opcode.TEXT
        events: list[object] = self._early
        code: int | None = None
        while True:
            for event in events:
                if isinstance(event, Frame) and event.opcode is Opcode.CLOSE:
                    code = int(Close.parse(event.data).code)
                if not isinstance(event, Frame) or event.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                    continue
                kind = event.opcode if event.opcode is not Opcode.CONT else kind
                parts.append(bytes(event.data))
                if event.fin:
                    whole = b"".join(parts)
                    parts.clear()
                    if not await self._hand(kind, whole):
                        return UNREADABLE
            await self._flush()  # answers to pings, and the close
            if self._protocol.state in (State.CLOSING, State.CLOSED):
                return RESTART if code is None else NORMAL if code in NOT_SENT else code
            self._take(await self._stream.read())
            events = list(self._protocol.events_received())

    async def _hand(self, kind: Opcode, data: bytes) -> bool:
        if kind is Opcode.BINARY:
            await self._send({"type": "websocket.send", "bytes": data})
            return True
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            return False
        await self._send({"type": "websocket.send", "text": text})
        return True

    async def _watch(self) -> int | None:
        while True:
            await asyncio.sleep(self._recheck_seconds)
            if not await self._allowed():
                return FORBIDDEN
