"""What demand is expected in the next periods, from what came before: a season, if there is one, scaled to the recent level."""

from collections.abc import Sequence

RECENT = 8
"""Periods that make the level; fewer follow chance, more are slow (figures in docs/benchmarks/serve.md)."""
LEVEL_PERMILLE_MAX = 4_000


def expected(past: Sequence[int], ahead: int, season: int = 0) -> tuple[int, ...]:
    """Demand of each of the next ``ahead`` periods, in whole numbers, rounded up.

    Without a season, or before one is complete: the mean of the last periods, plus half their drift while it rises. With one: what the
    same period was a season ago, times how the last periods compare with theirs a season ago (at most fourfold).
    """
    if not past:
        return (0,) * ahead
    if season and len(past) >= season + RECENT:
        now, then = sum(past[-RECENT:]), sum(past[-RECENT - season : -season])
        permille = min(LEVEL_PERMILLE_MAX, now * 1000 // then) if then else 1000
        return tuple(-(-past[-season + step % season] * permille // 1000) for step in range(ahead))
    last = past[-RECENT:]
    level = -(-sum(last) // len(last))
    before = past[-2 * RECENT : -RECENT]
    rise = max(0, level - sum(before) // len(before)) if len(before) == RECENT else 0
    return tuple(level + rise * (step + 1) // (2 * RECENT) for step in range(ahead))
