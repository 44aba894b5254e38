"""How many replicas a service should have: what is seen in, a number and its reason out. Pure, and in whole numbers.

| rule | wants |
| --- | --- |
| ``Fixed`` | always the same |
| ``OnConcurrency`` | one for each ``calls`` in flight |
| ``OnQueue`` | one for each ``calls`` waiting when more wait than that for each ready one; one less when less than half would wait |
| ``OnTokenRate`` | one for each ``tokens_per_s`` of input that came in the last ``window`` periods |
| ``OnForecast`` | the same for the most that is expected until a replica started now would be ready |

More replicas are wanted at once. Fewer are wanted only when fewer would have done all through the last ``calm_us``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from zhisuan.base.text import Text
from zhisuan.placement.demand import expected

SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Seen:
    """``live`` replicas are ready or, ``starting`` of them, will be. ``waiting`` calls, of those in flight, have no first token yet. ``tokens`` came in each
    whole period of ``period_us``, oldest first; ``wanted`` is what was wanted at earlier looks, with when."""

    now_us: int
    live: int
    starting: int
    in_flight: int
    waiting: int
    period_us: int
    tokens: Sequence[int]
    wanted: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True, slots=True)
class Bounds:
    least: int
    most: int
    cold_start_us: int
    calm_us: int


@dataclass(frozen=True, slots=True)
class Plan:
    """``wanted`` is what the moment asks for, ``replicas`` what there shall be."""

    wanted: int
    replicas: int
    reason: Text


class Rule(Protocol):
    def wanted(self, seen: Seen, bounds: Bounds) -> int: ...


@dataclass(frozen=True, slots=True)
class Fixed:
    replicas: int

    def wanted(self, seen: Seen, bounds: Bounds) -> int:
        return self.replicas


@dataclass(frozen=True, slots=True)
class OnConcurrency:
    calls: int

    def wanted(self, seen: Seen, bounds: Bounds) -> int:
        return -(-seen.in_flight // self.calls)


@dataclass(frozen=True, slots=True)
class OnQueue:
    calls: int

    def wanted(self, seen: Seen, bounds: Bounds) -> int:
        if not seen.in_flight:
            return 0
        ready = seen.live - seen.starting
        if seen.waiting > self.calls * ready:
            return max(seen.live, -(-seen.waiting // self.calls))
        few = 2 * seen.waiting < self.calls * (seen.live - 1)
        return max(1, seen.live - few)


@dataclass(frozen=True, slots=True)
class OnTokenRate:
    tokens_per_s: int
    window: int = 4

    def wanted(self, seen: Seen, bounds: Bounds) -> int:
        last = seen.tokens[-self.window :]
        return replicas_for(sum(last), len(last) * seen.period_us, self.tokens_per_s, seen.in_flight)


@dataclass(frozen=True, slots=True)
class OnForecast:
    """``season`` is the number of periods after which demand is thought to repeat; 0 for none."""

    tokens_per_s: int
    season: int = 0

    def wanted(self, seen: Seen, bounds: Bounds) -> int:
        ahead = 1 + -(-bounds.cold_start_us // seen.period_us)
        most = max(expected(seen.tokens, ahead, self.season))
        return replicas_for(most, seen.period_us, self.tokens_per_s, seen.in_flight)


def replicas_for(tokens: int, us: int, tokens_per_s: int, in_flight: int) -> int:
    """Enough for this rate, rounded up, and one while anything is in flight."""
    for_rate = -(-tokens * SECOND_US // (us * tokens_per_s)) if us else 0
    return max(for_rate, min(1, in_flight))


def plan(rule: Rule, seen: Seen, bounds: Bounds) -> Plan:
    wanted = min(bounds.most, max(bounds.least, rule.wanted(seen, bounds)))
    lately = max((number for at, number in seen.wanted if at > seen.now_us - bounds.calm_us), default=wanted)
    replicas = max(wanted, min(seen.live, lately))
    if replicas > seen.live:
        reason = Text(f"{wanted} are wanted, {seen.live} are live", f"需要 {wanted} 个，现有 {seen.live} 个")
    elif replicas < seen.live:
        reason = Text(f"no more than {replicas} were wanted lately", f"近期所需不超过 {replicas} 个")
    elif wanted < seen.live:
        reason = Text(
            f"{wanted} would do, but {lately} were wanted lately", f"{wanted} 个即可，但近期曾需要 {lately} 个"
        )
    else:
        reason = Text("as many as are wanted", "数量合适")
    return Plan(wanted, replicas, reason)
