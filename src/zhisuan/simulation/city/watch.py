"""What is counted while time passes: devices in use, work that waits, fairness. Integrals over each hour, in whole numbers."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from zhisuan.simulation.city.types import HOUR

PPM = 10**6


@dataclass(slots=True)
class Watch:
    """By hour: ``used`` by class in thousandths of a device times seconds, ``waiting`` in jobs times seconds; Jain's index and the ratio
    of the least to the largest dominant share of those who have or want something, in millionths, at its beginning."""

    used: dict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    waiting: Counter[int] = field(default_factory=Counter)
    jain_ppm: dict[int, int] = field(default_factory=dict)
    least_ppm: dict[int, int] = field(default_factory=dict)

    def pass_time(self, begin: int, end: int, used: Mapping[str, int], waiting: int) -> None:
        while begin < end:
            hour = begin // HOUR
            seconds = min(end, (hour + 1) * HOUR) - begin
            here = self.used[hour]
            for class_id, amount in used.items():
                here[class_id] += amount * seconds
            self.waiting[hour] += waiting * seconds
            begin += seconds

    def note_fairness(self, hour: int, shares: Sequence[int]) -> None:
        """``shares`` of the organisations that have or want something: nothing is said where there is none."""
        if shares and max(shares):
            self.jain_ppm[hour] = jain_ppm(shares)
            self.least_ppm[hour] = min(shares) * PPM // max(shares)


def jain_ppm(shares: Sequence[int]) -> int:
    """Jain, Chiu, Hawe (1984): (Σx)² ÷ (n·Σx²), 1 where all are equal, 1/n where one has all.

    >>> jain_ppm([5, 5]), jain_ppm([5, 0])
    (1000000, 500000)
    """
    return sum(shares) ** 2 * PPM // (len(shares) * sum(x * x for x in shares))
