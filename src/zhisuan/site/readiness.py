"""Whether a service answers: asked often until it does, then now and then, and told when it changes."""

import asyncio
from collections.abc import Awaitable, Callable

from zhisuan.site.book import Book, Held

UNREADY_SECONDS = 0.25
READY_SECONDS = 5.0
DOUBT_SECONDS = 1.0
FAILURES_MAX = 3

Probe = Callable[[str, int, str], Awaitable[bool]]
"""``(lease_id, generation, path)`` → whether the service answers there."""


async def watch(held: Held, probe: Probe, book: Book) -> None:
    """Keep ``held.ready`` true to what the service does until the run ends. One slow answer is no outage: a ready service
    counts as not ready after ``FAILURES_MAX`` probes in a row have failed."""
    path = held.record.offer.readiness_path or "/"
    failures = 0
    book.set_ready(held, False)
    while not held.ended.is_set():
        answered = await probe(*held.key, path)
        if held.ended.is_set():
            return
        failures = 0 if answered else failures + 1
        if answered:
            book.set_ready(held, True)
        elif held.ready and failures >= FAILURES_MAX:
            book.set_ready(held, False)
        await _pause(held, READY_SECONDS if answered else DOUBT_SECONDS if held.ready else UNREADY_SECONDS)


async def _pause(held: Held, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await held.ended.wait()
    except TimeoutError:
        return
