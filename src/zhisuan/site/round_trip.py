"""How long a question to the server takes from here: what a tenant's call would add by the way alone."""

import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from statistics import median_low
from typing import Any

from zhisuan.base.clock import Clock
from zhisuan.site.client import ServerClient
from zhisuan.site.errors import Refused, Unreachable
from zhisuan.wire.joining import HelloAnswer

TRIES = 5


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """In microseconds over a connection that stands, the server's own time for an answer included; of ``count`` tries."""

    median_us: int
    best_us: int
    count: int
    to: str = "server"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Greeting:
    """What the server said, how far away it is, and how far this machine's clock is ahead of the server's (negative:
    behind), to half a round trip."""

    answer: HelloAnswer
    round_trip: RoundTrip
    clock_ahead: timedelta


async def greet(client: ServerClient, clock: Clock, token: str | None = None) -> Greeting:
    """Raises ``Unreachable``, and ``Refused`` by a server that does not know this call."""
    await client.hello()  # the first one makes the connection
    spans: list[tuple[int, timedelta]] = []
    for _ in range(TRIES):
        began, asked_at = time.perf_counter_ns(), clock.now()
        answer = await client.hello()
        took_us = (time.perf_counter_ns() - began) // 1000
        spans.append((took_us, _middle(asked_at, took_us) - answer.server_time))
    best = min(spans, key=lambda s: s[0])
    trip = RoundTrip(median_low(took for took, _ in spans), best[0], TRIES)
    return Greeting(await client.hello(token), trip, best[1])


def _middle(asked_at: datetime, took_us: int) -> datetime:
    return asked_at + timedelta(microseconds=took_us // 2)


async def measure_round_trip(client: ServerClient, clock: Clock) -> RoundTrip | None:
    """None where the server cannot be asked."""
    try:
        return (await greet(client, clock)).round_trip
    except (Unreachable, Refused):
        return None
