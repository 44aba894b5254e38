"""What every kind of fault has: how often it is drawn, with what value, and what it does."""

import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zhisuan.testing.city.city import City

Befall = Callable[["City", int, float], Coroutine[Any, Any, None]]


def _nothing(_chance: random.Random) -> float:
    return 0.0


@dataclass(frozen=True, slots=True)
class Kind:
    """``befall(city, whom, value)`` makes it happen and, where it ends by itself, waits and ends it. ``whom`` is a site's number,
    or a server's where ``of_server``. ``value`` is seconds, a count or an offset in seconds, as the kind has it."""

    name: str
    weight: int
    befall: Befall
    draw: Callable[[random.Random], float] = _nothing
    of_server: bool = False


def one_of(*values: float) -> Callable[[random.Random], float]:
    return lambda chance: chance.choice(values)
