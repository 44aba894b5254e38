"""Credit flow control of one tunnel stream, the same at both ends.

An ``Outbox`` gathers the frames of all streams of a connection on their way out. A sender holds a ``SendWindow``, a receiver an ``Inbox``. The sender never has more than ``WINDOW_BYTES`` on the way that
the receiver has not read, so a slow reader holds back its own stream and no other, and memory per stream is bounded.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from zhisuan.wire.frames import BATCH_BYTES_MAX, DATA_BYTES_MAX, WINDOW_BYTES, encode_batch

WINDOW_BYTES_MAX = 2**31 - 1
OUTBOX_BYTES_MAX = 1024 * 1024


class FlowError(Exception):
    """The peer sent more than it was given credit for, or gave more credit than a window can hold."""


class Outbox:
    """Frames leave in order; those that are there at the same moment leave in one message, which saves system calls.

    ``write`` sends one message and waits while the connection is full. When it raises, the error goes to ``on_error``,
    once, and to every later ``send``.
    """

    def __init__(self, write: Callable[[bytes], Awaitable[None]], on_error: Callable[[Exception], None]) -> None:
        self._write = write
        self._on_error = on_error
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._error: Exception | None = None
        self._task: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._room.set()

    async def send(self, frame: bytes) -> None:
        """Queue ``frame``; waits while too much is queued. Raises what broke the connection."""
        await self._room.wait()
        if self._error is not None:
            raise self._error
        self.post(frame)

    def post(self, frame: bytes) -> None:
        """Queue ``frame`` without waiting; for the few that must go out whatever the sender does next."""
        if self._error is not None:
            return
        self._frames.append(frame)
        self._bytes += len(frame)
        if self._bytes >= OUTBOX_BYTES_MAX:
            self._room.clear()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._flush())

    def fail(self, error: Exception) -> None:
        """The connection is gone: drop what is queued, free who waits."""
        self._error = self._error or error
        self._frames.clear()
        self._bytes = 0
        self._room.set()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    async def _flush(self) -> None:
        try:
            while self._frames:
                await self._write(encode_batch(self._next()))
        except Exception as error:  # whatever the connection raises ends it; nobody else awaits this task
            self.fail(error)
            self._on_error(error)
        finally:
            self._task = None

    def _next(self) -> list[bytes]:
        gathered = [self._frames.popleft()]
        length = len(gathered[0])
        while self._frames and length + len(self._frames[0]) <= BATCH_BYTES_MAX:
            gathered.append(self._frames.popleft())
            length += len(gathered[-1])
        self._bytes -= length
        if self._bytes < OUTBOX_BYTES_MAX:
            self._room.set()
        return gathered


class SendWindow:
    """How much this side may still send on one stream. One sender at a time."""

    def __init__(self) -> None:
        self._left = WINDOW_BYTES
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None

    def grant(self, data_bytes: int) -> None:
        if self._left + data_bytes > WINDOW_BYTES_MAX:
            raise FlowError("the peer gave more credit than a window can hold")
        self._left += data_bytes
        _wake(self._waiter)

    def fail(self, error: BaseException) -> None:
        """Nothing more can be sent: a waiting and every later ``take`` raises ``error``."""
        self._error = self._error or error
        _wake(self._waiter)

    async def take(self, wanted: int) -> int:
        """Wait until something may be sent; how much of ``wanted``, at most ``DATA_BYTES_MAX``, may go in one frame."""
        while self._left == 0 and self._error is None:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self._error is not None:
            raise self._error
        taken = min(wanted, self._left, DATA_BYTES_MAX)
        self._left -= taken
        return taken


class Inbox:
    """What arrived on one stream and has not been read. One reader at a time."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._allowed = WINDOW_BYTES
        self._owed = 0
        self._ended = False
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def ended(self) -> bool:
        """Whether the peer said that it has sent all."""
        return self._ended

    @property
    def ready(self) -> bool:
        """Whether ``read`` would return, or raise, at once."""
        return bool(self._chunks) or self.over

    @property
    def over(self) -> bool:
        """Whether the peer can send nothing more."""
        return self._ended or self._error is not None

    def push(self, data: bytes) -> None:
        """Keep bytes of a DATA frame; ``FlowError`` when they exceed the credit given or follow the end."""
        if len(data) > self._allowed:
            raise FlowError("the peer sent more than it was given credit for")
        if self._ended:
            raise FlowError("the peer sent data after the end of its stream")
        self._allowed -= len(data)
        if data:
            self._chunks.append(data)
            _wake(self._waiter)

    def end(self) -> None:
        self._ended = True
        _wake(self._waiter)

    def fail(self, error: BaseException, *, discard: bool = False) -> None:
        """The stream broke. What had arrived is still read first, unless ``discard``."""
        if discard:
            self._chunks.clear()
        self._error = self._error or error
        _wake(self._waiter)

    async def read(self) -> bytes | None:
        """All that has arrived, waiting for something; None at the end of the stream; raises what broke it."""
        while not self._chunks and not self.over:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self._chunks:
            data = self._chunks.popleft() if len(self._chunks) == 1 else b"".join(self._chunks)
            self._chunks.clear()
            self._owed += len(data)
            return data
        if self._error is not None:
            raise self._error
        return None

    def credit_due(self) -> int:
        """Credit to send now for what has been read: none until half a window, so that CREDIT frames stay few."""
        if self._owed < WINDOW_BYTES // 2 or self.over:
            return 0
        due, self._owed = self._owed, 0
        self._allowed += due
        return due


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
