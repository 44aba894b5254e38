"""The policies, all behind one interface: of the replicas that may be used, which one?

Ties are broken everywhere alike: fewer calls in flight, fewer served, then the key.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from zhisuan.gateway.routing.asks import Ask
from zhisuan.gateway.routing.known import Known, ReplicaKey

Chance = Callable[[], float]
"""A number at random, at least 0 and below 1."""


class Policy(Protocol):
    def choose(self, ask: Ask, able: Sequence[Known], now_us: int) -> Known:
        """One of ``able``, which is not empty and in the order of keys."""
        ...


def tie(replica: Known) -> tuple[int, int, ReplicaKey]:
    return replica.in_flight, replica.served, replica.key


@dataclass(slots=True)
class Random:
    chance: Chance

    def choose(self, ask: Ask, able: Sequence[Known], now_us: int) -> Known:
        return able[int(self.chance() * len(able))]


@dataclass(slots=True)
class RoundRobin:
    """The next key after the one used last, whatever came or went in between."""

    last: ReplicaKey = ("", 0)

    def choose(self, ask: Ask, able: Sequence[Known], now_us: int) -> Known:
        chosen = next((replica for replica in able if replica.key > self.last), able[0])
        self.last = chosen.key
        return chosen


@dataclass(slots=True)
class LeastInFlight:
    def choose(self, ask: Ask, able: Sequence[Known], now_us: int) -> Known:
        return min(able, key=tie)


@dataclass(slots=True)
class PowerOfTwo:
    """The less busy of two different ones at random (Mitzenmacher 2001)."""

    chance: Chance

    def choose(self, ask: Ask, able: Sequence[Known], now_us: int) -> Known:
        first = int(self.chance() * len(able))
        if len(able) == 1:
            return able[first]
        second = (first + 1 + int(self.chance() * (len(able) - 1))) % len(able)
        return min(able[first], able[second], key=tie)
