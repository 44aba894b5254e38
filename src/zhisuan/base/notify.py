"""Waking waiters in this process when any process commits a change: PostgreSQL's LISTEN/NOTIFY behind asyncio events."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import psycopg
from psycopg import sql

log = logging.getLogger(__name__)
RETRY_SECONDS = 1.0


class Signal:
    """Set when something was notified since the last ``wait``."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, timeout_seconds: float) -> bool:
        """True when woken, False when the time ran out."""
        try:
            await asyncio.wait_for(self._event.wait(), timeout_seconds)
        except TimeoutError:
            return False
        self._event.clear()
        return True


class Hub:
    """One listening connection a process, fanned out to any number of waiters by channel and payload.

    After a lost connection every waiter is woken once, since a notification may have passed unheard.
    """

    def __init__(self, url: str, channels: Sequence[str]) -> None:
        self._url = url
        self._channels = tuple(channels)
        self._waiting: dict[tuple[str, str], set[Signal]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to listen; call inside the event loop that the waiters run in."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._listen, name="zhisuan-notify", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    @contextmanager
    def listening(self, channel: str, payload: str) -> Iterator[Signal]:
        """A signal for ``payload`` on ``channel``. Read the state after entering and before waiting, so nothing is missed."""
        signal = Signal()
        key = (channel, payload)
        self._waiting.setdefault(key, set()).add(signal)
        try:
            yield signal
        finally:
            waiting = self._waiting[key]
            waiting.discard(signal)
            if not waiting:
                del self._waiting[key]

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                with psycopg.connect(self._url, autocommit=True) as connection:
                    for channel in self._channels:
                        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                    self._call(self._wake_all)
                    while not self._stop.is_set():
                        for notice in connection.notifies(timeout=1.0):
                            self._call(self._wake, notice.channel, notice.payload)
            except psycopg.Error as error:
                log.warning("lost the notification connection, trying again: %s", error)
                self._stop.wait(RETRY_SECONDS)

    def _call(self, function: Callable[..., None], *arguments: str) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has closed: nobody waits any more
                self._loop.call_soon_threadsafe(function, *arguments)

    def _wake(self, channel: str, payload: str) -> None:
        for signal in self._waiting.get((channel, payload), set()) | self._waiting.get((channel, "*"), set()):
            signal.set()

    def _wake_all(self) -> None:
        for signals in self._waiting.values():
            for signal in signals:
                signal.set()
