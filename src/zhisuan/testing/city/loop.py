"""An event loop whose time is made: it jumps to the next thing that is due instead of waiting for it."""

import asyncio
import selectors
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import anyio.to_thread


class Stalled(Exception):
    """Everything waits and nothing is due: without this the loop would hang."""


class _Jump(selectors.SelectSelector):
    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stalled("every task waits for something that no timer will bring")
        self.loop.jump(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Nothing on it may wait for a socket or another thread; what would go to a thread runs at once, in place. So a run on
    it is one sequence of steps, the same for the same seed."""

    def __init__(self) -> None:
        selector = _Jump()
        selector.loop = self
        self._virtual = 0.0
        super().__init__(selector)

    def time(self) -> float:
        return self._virtual

    def jump(self, seconds: float) -> None:
        self._virtual += max(0.0, seconds)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        done: asyncio.Future[Any] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done


async def _in_place(func: Callable[..., Any], *args: Any, **_options: Any) -> Any:
    return func(*args)


@contextmanager
def virtual_loop() -> Iterator[VirtualLoop]:
    """A loop for one scenario; the server's thread pool is replaced by calls in place while it lasts."""
    loop = VirtualLoop()
    with mock.patch.object(anyio.to_thread, "run_sync", _in_place):
        try:
            yield loop
        finally:
            loop.close()
