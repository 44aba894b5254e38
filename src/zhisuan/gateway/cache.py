"""Answers of the server that are kept a while: whose key this is, whose site credential."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from zhisuan.gateway.control import ServerUnavailable

GOOD_ENTRIES_MAX = 100_000
BAD_ENTRIES_MAX = 10_000
RETRY_SECONDS = 2.0


class Validity(Protocol):
    @property
    def valid(self) -> bool: ...


A = TypeVar("A", bound=Validity)


@dataclass(frozen=True, slots=True)
class _Entry(Generic[A]):
    answer: A
    asked_at: float
    ttl: float
    retry_at: float = 0.0


class AnswerCache(Generic[A]):
    """One question in flight per digest; good answers live ``ttl`` seconds and are renewed ahead of time while in use.

    While the server does not answer, the last good answer serves until it is ``stale_seconds`` old. Good and bad
    answers are kept apart, so that a flood of wrong keys cannot push out right ones.
    """

    def __init__(
        self,
        ask: Callable[[str], Awaitable[A]],
        *,
        ttl: Callable[[A], float],
        stale_seconds: float,
        wait_seconds: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._ask = ask
        self._ttl = ttl
        self._stale_seconds = stale_seconds
        self._wait_seconds = wait_seconds
        self._monotonic = monotonic
        self._good: dict[str, _Entry[A]] = {}
        self._bad: dict[str, _Entry[A]] = {}
        self._asking: dict[str, asyncio.Task[A]] = {}

    async def get(self, digest: str) -> A:
        """The answer for ``digest``; ``ServerUnavailable`` when there is none and none can be had."""
        now = self._monotonic()
        entry = self._good.get(digest) or self._bad.get(digest)
        if entry is not None and now < max(entry.asked_at + entry.ttl, self._serves_until(entry, now)):
            if entry.answer.valid and now > entry.asked_at + entry.ttl / 2 and now >= entry.retry_at:
                self._start(digest)
            return entry.answer
        task = self._start(digest)
        try:
            return await asyncio.wait_for(asyncio.shield(task), self._wait_seconds)
        except (ServerUnavailable, TimeoutError) as error:
            return self._stale(digest, error)

    async def fresh(self, digest: str) -> A:
        """Ask the server now, whatever is kept."""
        return await asyncio.shield(self._start(digest))

    async def close(self) -> None:
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _serves_until(self, entry: _Entry[A], now: float) -> float:
        """After a failed question the kept answer serves without asking again until ``retry_at``."""
        return min(entry.retry_at, entry.asked_at + self._stale_seconds) if entry.retry_at > now else 0.0

    def _stale(self, digest: str, error: Exception) -> A:
        entry = self._good.get(digest)
        now = self._monotonic()
        if entry is None or now >= entry.asked_at + max(self._stale_seconds, entry.ttl):
            self._good.pop(digest, None)
            raise ServerUnavailable(str(error) or "the server did not answer in time") from error
        self._good[digest] = replace(entry, retry_at=now + RETRY_SECONDS)
        return entry.answer

    def _start(self, digest: str) -> asyncio.Task[A]:
        task = self._asking.get(digest)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._question(digest))
            self._asking[digest] = task
            task.add_done_callback(lambda done: self._asked(digest, done))
        return task

    async def _question(self, digest: str) -> A:
        asked_at = self._monotonic()
        answer = await self._ask(digest)
        entry = _Entry(answer, asked_at, self._ttl(answer))
        self._good.pop(digest, None)
        self._bad.pop(digest, None)
        kept, limit = (self._good, GOOD_ENTRIES_MAX) if answer.valid else (self._bad, BAD_ENTRIES_MAX)
        if len(kept) >= limit:
            del kept[next(iter(kept))]
        kept[digest] = entry
        return answer

    def _asked(self, digest: str, task: asyncio.Task[A]) -> None:
        del self._asking[digest]
        if task.cancelled() or task.exception() is None:
            return
        entry = self._good.get(digest)
        if entry is not None:
            self._good[digest] = replace(entry, retry_at=self._monotonic() + RETRY_SECONDS)
