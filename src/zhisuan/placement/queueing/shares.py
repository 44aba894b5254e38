"""Fair shares: what somebody has used of late, and holds now, of what there is.

Use is forgotten with a half-life: whatever was used counts half as much ``HALF_LIFE_SECONDS`` later, falling evenly between one halving
and the next, so that it is exact in whole numbers:

    weight(age) = (2 H − age mod H) / (2 H) / 2 ** (age div H)

It is kept by the hour. What is held now counts as if it were held for ``HELD_SECONDS`` on, so that he who has just been given much
is not asked first again.
"""

from collections.abc import Mapping

from zhisuan.placement.queueing.types import NOTHING, Amounts

HOUR_SECONDS = 3600
HALF_LIFE_SECONDS = 24 * HOUR_SECONDS
HELD_SECONDS = HOUR_SECONDS
KEPT_HALF_LIVES = 10
"""What is older counts less than a thousandth, and is not kept."""
SCALE = 10**12


def decayed(used: int, age_seconds: int) -> int:
    """What use of so long ago counts now, rounded down."""
    halvings, rest = divmod(max(0, age_seconds), HALF_LIFE_SECONDS)
    return used * (2 * HALF_LIFE_SECONDS - rest) // (2 * HALF_LIFE_SECONDS << halvings)


def recent(hours: Mapping[int, Amounts], now: int) -> Amounts:
    """Amount-seconds by hour (the hour's first second), as they count now. An hour's use is as old as its middle."""
    cards = cores = 0
    for start, used in hours.items():
        age = now - start - HOUR_SECONDS // 2
        cards += decayed(used.cards_milli, age)
        cores += decayed(used.cores_milli, age)
    return Amounts(cards, cores)


def by_hour(amounts: Amounts, begin: int, end: int) -> dict[int, Amounts]:
    """The amount-seconds of ``[begin, end)``, hour by hour; their sum is exactly amounts × (end − begin)."""
    found: dict[int, Amounts] = {}
    at = begin
    while at < end:
        start = at - at % HOUR_SECONDS
        until = min(end, start + HOUR_SECONDS)
        found[start] = found.get(start, NOTHING) + amounts.times(until - at)
        at = until
    return found


def dominant(used: Amounts, held: Amounts, capacity: Amounts, weight: int) -> int:
    """The larger part of what there is, of cards or of cores, that counts as had, by its weight: in 10⁻¹² amount-seconds of the whole."""
    had = used + held.times(HELD_SECONDS)
    return max(
        had.cards_milli * SCALE // (max(1, capacity.cards_milli) * weight),
        had.cores_milli * SCALE // (max(1, capacity.cores_milli) * weight),
    )
