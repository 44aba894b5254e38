"""Rules of scaling by name, with the numbers they go by."""

from collections.abc import Callable
from dataclasses import dataclass

from zhisuan.placement.scaling import Fixed, OnConcurrency, OnForecast, OnQueue, OnTokenRate, Rule


@dataclass(frozen=True, slots=True)
class Targets:
    """Of one replica: calls in flight, calls waiting, and input tokens a second."""

    concurrency: int = 8
    queue: int = 2
    tokens_per_s: int = 8_000
    season: int = 0


SCALINGS: dict[str, Callable[[int, Targets], Rule]] = {
    "fixed": lambda replicas, targets: Fixed(replicas),
    "concurrency": lambda replicas, targets: OnConcurrency(targets.concurrency),
    "queue": lambda replicas, targets: OnQueue(targets.queue),
    "token-rate": lambda replicas, targets: OnTokenRate(targets.tokens_per_s),
    "forecast": lambda replicas, targets: OnForecast(targets.tokens_per_s, targets.season),
}
