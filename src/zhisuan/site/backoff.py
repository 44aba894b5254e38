"""Waiting between attempts, and saying once that the server is away and once that it is back."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from zhisuan.site.errors import Unreachable

Answer = TypeVar("Answer")

log = logging.getLogger("zhisuan.site")

FIRST_SECONDS = 0.25
LAST_SECONDS = 15.0

Fraction = Callable[[], float]
"""A source of evenly spread numbers in [0, 1)."""


class Backoff:
    """Delays that double from ``FIRST_SECONDS`` to ``LAST_SECONDS``, each shortened by up to half at random so that
    many agents do not come back at the same moment."""

    def __init__(self, fraction: Fraction) -> None:
        self._fraction = fraction
        self._failures = 0

    def reset(self) -> None:
        self._failures = 0

    def next_seconds(self) -> float:
        whole = min(LAST_SECONDS, FIRST_SECONDS * 2 ** min(self._failures, 16))
        self._failures += 1
        shortened: float = whole * (1 - self._fraction() / 2)
        return shortened

    async def pause(self) -> None:
        await asyncio.sleep(self.next_seconds())


class Link:
    """Whether the server answers; every lane tells, the log gets one line for each change."""

    def __init__(self) -> None:
        self._why: str | None = None
        self._refusals: set[str] = set()

    @property
    def up(self) -> bool:
        return self._why is None

    def failed(self, why: str) -> None:
        if self._why is None:
            log.warning("The server does not answer: %s. Work goes on; usage and logs are kept until it is back.", why)
        self._why = why

    def succeeded(self) -> None:
        if self._why is not None:
            log.info("The server answers again; sending what was kept.")
        self._why = None

    def refused(self, what: str, why: str) -> None:
        """A refusal that is tried again and again is said once."""
        if what not in self._refusals:
            self._refusals.add(what)
            log.error("The server refuses %s: %s Trying again until it takes it.", what, why)

    def taken(self, what: str) -> None:
        self._refusals.discard(what)


async def until_reached(link: Link, backoff: Backoff, call: Callable[[], Awaitable[Answer]]) -> Answer:
    """The answer of ``call``, tried again for as long as the server cannot be reached; other errors pass."""
    while True:
        try:
            answer = await call()
        except Unreachable as error:
            link.failed(error.why)
            await backoff.pause()
        else:
            link.succeeded()
            backoff.reset()
            return answer
