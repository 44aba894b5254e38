"""The gateway's end of the tunnels: sites connect, streams are opened over them.

Life of a stream: OPEN and the request's DATA and END go out, the site answers HEAD, DATA … END. A stream of bytes
(``connect``) carries DATA and one END each way as they come. RESET from either side ends it at once. When the WebSocket goes, every stream on it fails with ``tunnel_lost``.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pydantic import ValidationError

from zhisuan.wire.flow import FlowError, Inbox, Outbox, SendWindow
from zhisuan.wire.frames import (
    STREAM_MAX,
    Frame,
    FrameError,
    FrameType,
    decode,
    decode_credit,
    encode,
    encode_credit,
)
from zhisuan.wire.gateway import TunnelHead, TunnelOpen, TunnelReset

log = logging.getLogger(__name__)
LINGER_SECONDS = 5.0


class StreamFailed(Exception):
    """The site, its service or the tunnel broke off a stream; ``code`` says which."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code


class TunnelStream:
    """One request to one service and its answer. One task uses it; ``abort`` may come from another."""

    def __init__(self, link: "SiteLink", number: int) -> None:
        self._link = link
        self._number = number
        self._window = SendWindow()
        self._inbox = Inbox()
        self._head: asyncio.Future[TunnelHead] = asyncio.get_running_loop().create_future()
        self._closed = False
        self._duplex = False
        self._finished = False
        self._linger: asyncio.TimerHandle | None = None

    async def send(self, opening: TunnelOpen, body: bytes) -> None:
        """Send the whole request. Returns early where the answer ends before the request is out."""
        await self._link.send(encode(FrameType.OPEN, self._number, opening.model_dump_json().encode()))
        sent = 0
        while sent < len(body):
            try:
                taken = await self._window.take(len(body) - sent)
            except StreamFailed:
                if self._inbox.ended:
                    return
                raise
            await self._link.send(encode(FrameType.DATA, self._number, body[sent : sent + taken]))
            sent += taken
        await self._link.send(encode(FrameType.END, self._number))

    async def connect(self, lease_id: str, generation: int, *, rank: int | None = None) -> None:
        """Make this a stream of bytes to the port of a lease's service, or to a shell beside the work of ``rank``. Raises ``StreamFailed``
        where there is none."""
        self._duplex = True
        method, path = ("CONNECT", "/") if rank is None else ("SHELL", f"/{rank}")
        opening = TunnelOpen(lease_id=lease_id, generation=generation, method=method, path=path)
        await self._link.send(encode(FrameType.OPEN, self._number, opening.model_dump_json().encode()))
        head = await self._head
        if head.status != 200:
            raise StreamFailed("upstream_failed", f"the site answered {head.status}")

    async def write(self, data: bytes) -> None:
        """Send bytes, waiting while the other end takes none. Raises ``StreamFailed`` when the stream is broken."""
        sent = 0
        while sent < len(data):
            taken = await self._window.take(len(data) - sent)
            await self._link.send(encode(FrameType.DATA, self._number, data[sent : sent + taken]))
            sent += taken

    async def finish(self) -> None:
        """Say that nothing more will be sent; what comes can still be read."""
        if not self._finished:
            self._finished = True
            await self._link.send(encode(FrameType.END, self._number))

    async def head(self) -> TunnelHead:
        return await self._head

    @property
    def ready(self) -> bool:
        """Whether ``read`` need not wait."""
        return self._inbox.ready

    async def read(self) -> bytes | None:
        """All of the answer's body that has arrived, waiting for something; None at its end."""
        data = await self._inbox.read()
        if due := self._inbox.credit_due():
            await self._link.send(encode_credit(self._number, due))
        return data

    def abort(self, error: BaseException) -> None:
        """Stop now: the reader gets ``error``, the site gets RESET."""
        self.close()
        self._fail(error, discard=True)

    def close(self) -> None:
        """The reader is done. An answer that has not ended is cancelled at the site."""
        if self._closed:
            return
        self._closed = True
        if not self._inbox.over or (self._duplex and not self._finished):
            self._link.post(encode(FrameType.RESET, self._number, _reset("cancelled")))
        self._link.drop(self._number)

    def close_soon(self) -> None:
        """All that matters has been read. Leave the site a moment to end by itself, so that it can keep its connection
        to the service; then cancel."""
        if self._inbox.over:
            self.close()
        else:
            self._linger = asyncio.get_running_loop().call_later(LINGER_SECONDS, self.close)

    def take(self, frame: Frame) -> None:
        """A frame of the site for this stream."""
        if frame.type == FrameType.DATA:
            self._inbox.push(frame.payload)
        elif frame.type == FrameType.HEAD:
            if not self._head.done():
                self._head.set_result(TunnelHead.model_validate_json(frame.payload))
        elif frame.type == FrameType.CREDIT:
            self._window.grant(decode_credit(frame.payload))
        elif frame.type == FrameType.END:
            self._inbox.end()
            if not self._head.done():
                self._fail(StreamFailed("upstream_failed", "the answer ended before it began"))
            if not self._duplex:
                self._after_end()
        elif frame.type == FrameType.RESET:
            reset = TunnelReset.model_validate_json(frame.payload)
            self._fail(StreamFailed(reset.code, reset.message))
            self._after_end()

    def lost(self, error: BaseException) -> None:
        self._fail(error)
        self._after_end()

    def _after_end(self) -> None:
        self._window.fail(StreamFailed("upstream_failed", "the answer ended before the request was sent"))
        if self._linger is not None:
            self._linger.cancel()
            self.close()

    def _fail(self, error: BaseException, *, discard: bool = False) -> None:
        self._inbox.fail(error, discard=discard)
        self._window.fail(error)
        if not self._head.done():
            self._head.set_exception(error)
            self._head.exception()  # mark it as seen: nobody need be waiting for the head


class SiteLink:
    """One WebSocket of a site and the streams on it. ``write`` sends one message over it."""

    def __init__(self, site_id: str, write: Callable[[bytes], Awaitable[None]]) -> None:
        self.site_id = site_id
        self.lost = False
        self._outbox = Outbox(write, self._unwritable)
        self._streams: dict[int, TunnelStream] = {}
        self._last = 0

    def open(self) -> TunnelStream:
        if self.lost or self._last >= STREAM_MAX:
            raise StreamFailed("tunnel_lost", "the tunnel is gone")
        self._last += 1
        stream = TunnelStream(self, self._last)
        self._streams[self._last] = stream
        return stream

    def receive(self, message: bytes) -> None:
        """Hand one message of the site to its streams; ``FrameError`` when it cannot be read."""
        for frame in decode(message):
            stream = self._streams.get(frame.stream)
            if stream is not None:
                self._hand(stream, frame)

    def _hand(self, stream: TunnelStream, frame: Frame) -> None:
        try:
            stream.take(frame)
        except FlowError as error:
            self.post(encode(FrameType.RESET, frame.stream, _reset("flow_control")))
            self.drop(frame.stream)
            stream.lost(StreamFailed("flow_control", str(error)))
        except ValidationError as error:
            raise FrameError(f"the payload of a frame of type {frame.type} cannot be read") from error

    def drop(self, number: int) -> None:
        self._streams.pop(number, None)

    async def send(self, frame: bytes) -> None:
        """Queue a frame, waiting while the tunnel is full; ``StreamFailed`` when it is gone."""
        await self._outbox.send(frame)

    def post(self, frame: bytes) -> None:
        """Queue a frame without waiting."""
        self._outbox.post(frame)

    def lose(self, reason: str) -> None:
        """The WebSocket is gone: every stream on it fails, and no new one opens."""
        self.lost = True
        error = StreamFailed("tunnel_lost", reason)
        self._outbox.fail(error)
        for stream in list(self._streams.values()):
            stream.lost(error)

    def _unwritable(self, error: Exception) -> None:
        log.info("the tunnel of site %s cannot be written: %s", self.site_id, error)
        self.lose("the site is no longer connected")


def _reset(code: str) -> bytes:
    return TunnelReset(code=code).model_dump_json().encode()
