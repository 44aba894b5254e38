"""Calls that come at the same time are done together: what each would cost alone is paid once for all of them.

Nobody waits for company: a call that finds nobody at work begins at once, and those that come meanwhile are the next batch, begun
by the first of them. Those that wait take up no thread.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from fastapi.concurrency import run_in_threadpool

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


class _Call(Generic[Asked, Answered]):
    """``turn`` is set when the answer is there, or when this call is the one to begin the next batch."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.turn = asyncio.Event()
        self.done = False
        self.answer: Answered | Exception | None = None

    def result(self) -> Answered:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[return-value]


class Together(Generic[Asked, Answered]):
    """``work`` runs in a thread; it gets at most ``most`` of what is asked, in the order in which it came, and answers each, or with an
    exception for it. For calls on one event loop."""

    def __init__(self, work: Callable[[Sequence[Asked]], Sequence[Answered | Exception]], most: int) -> None:
        self._work = work
        self._most = most
        self._waiting: deque[_Call[Asked, Answered]] = deque()
        self._busy = False

    async def __call__(self, asked: Asked) -> Answered:
        """The answer to this call; raises what was answered for it, or what ended its batch."""
        mine: _Call[Asked, Answered] = _Call(asked)
        self._waiting.append(mine)
        if self._busy:
            await self._turn_of(mine)
        if not mine.done:
            await self._lead()
        return mine.result()

    async def _turn_of(self, mine: _Call[Asked, Answered]) -> None:
        try:
            await mine.turn.wait()
        except asyncio.CancelledError:  # whoever called has gone: what is begun is done, what is not begins without it
            if mine in self._waiting:
                self._waiting.remove(mine)
                if mine.turn.is_set():
                    self._hand_on()
            raise

    async def _lead(self) -> None:
        self._busy = True
        batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        answers: Sequence[Answered | Exception] = ()
        try:
            answers = await run_in_threadpool(self._work, [call.asked for call in batch])
        except Exception as error:
            answers = [error] * len(batch)
        finally:
            for number, call in enumerate(batch):
                call.answer = answers[number] if number < len(answers) else RuntimeError("the batch was not answered")
                call.done = True
                call.turn.set()
            self._hand_on()

    def _hand_on(self) -> None:
        self._busy = bool(self._waiting)
        if self._waiting:
            self._waiting[0].turn.set()
