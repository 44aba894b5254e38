"""Calls that come at the same time are done together: what each would cost alone is paid once for all of them.

There is no thread and no waiting for company: a call that finds nobody at work begins at once, and those that come meanwhile are the
next batch, done by the first of them.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


class _Call(Generic[Asked, Answered]):
    """``turn`` is set when the answer is there, or when this call is the one to do the next batch."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.turn = threading.Event()
        self.done = False
        self.answer: Answered | Exception | None = None

    def result(self) -> Answered:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[return-value]


class Together(Generic[Asked, Answered]):
    """``work`` gets at most ``most`` of what is asked, in the order in which it came, and answers each, or with an exception for it."""

    def __init__(self, work: Callable[[Sequence[Asked]], Sequence[Answered | Exception]], most: int) -> None:
        self._work = work
        self._most = most
        self._lock = threading.Lock()
        self._waiting: deque[_Call[Asked, Answered]] = deque()
        self._busy = False

    def __call__(self, asked: Asked) -> Answered:
        """The answer to this call; raises what was answered for it, or what ended its batch."""
        mine: _Call[Asked, Answered] = _Call(asked)
        with self._lock:
            self._waiting.append(mine)
            leads, self._busy = not self._busy, True
        if not leads:
            mine.turn.wait()
            if mine.done:
                return mine.result()
        self._lead()
        return mine.result()

    def _lead(self) -> None:
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        answers: Sequence[Answered | Exception] = ()
        try:
            answers = self._work([call.asked for call in batch])
        except Exception as error:
            answers = [error] * len(batch)
        finally:
            with self._lock:
                following = self._waiting[0] if self._waiting else None
                self._busy = following is not None
            lost = RuntimeError("the batch was not answered")
            for number, call in enumerate(batch):
                call.answer = answers[number] if number < len(answers) else lost
                call.done = True
                call.turn.set()
            if following is not None:
                following.turn.set()
