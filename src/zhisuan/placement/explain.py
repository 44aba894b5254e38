"""Why a wish finds no place now, and what would change that: computed by planning again, never guessed. Pure.

| part | says |
| --- | --- |
| steps | how many nodes each constraint took out, in the order in which they are tested, and how many were left |
| binding | the step that took out the last ones |
| relaxed | for each demand of the file, what it would have to be, alone, so that a place is found now |
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from zhisuan.base.text import Text
from zhisuan.placement.alternatives import plan_wish
from zhisuan.placement.candidates import Ranked, Together
from zhisuan.placement.site_wishes import Wish, milliseconds, percent
from zhisuan.placement.types import Candidate, Plan, Snapshot
from zhisuan.placement.words import degrees, grams, yuan


@dataclass(frozen=True, slots=True)
class Step:
    """``alternative``: its number, 0 for what is tested of sites before any. ``left``: nodes that pass this one too."""

    alternative: int
    constraint: str
    taken_out: int
    left: int
    text: Text
    unblock: Text

    def as_dict(self) -> dict[str, Any]:
        return {
            "alternative": self.alternative, "constraint": self.constraint, "taken_out": self.taken_out, "left": self.left,
            "text": self.text.as_dict(), "unblock": self.unblock.as_dict(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Relaxed:
    """``fits``: how many places there are now once ``field`` is so, and all else as it is."""

    field: str
    fits: int
    text: Text

    def as_dict(self) -> dict[str, Any]:
        return {"field": self.field, "fits": self.fits, "text": self.text.as_dict()}


def steps_of(snapshot: Snapshot, wish: Wish) -> tuple[Step, ...]:
    """For each alternative by itself; what is tested of sites comes first and is the same for all."""
    found: list[Step] = []
    for number, need in enumerate(wish.needs, 1):
        made = plan_wish(snapshot, replace(wish, needs=(need,)))
        left = sum(len(site.nodes) for site in snapshot.sites)
        for one in made.rejections:
            left -= one.count
            of_site = one.constraint.startswith("site_") and one.constraint != "site_open"
            if number == 1 or not of_site:
                alternative = 0 if of_site or len(wish.needs) == 1 else number
                found.append(Step(alternative, one.constraint, one.count, left, one.text, one.unblock))
    return tuple(found)


def binding_of(steps: Sequence[Step]) -> Step | None:
    """The one that left nothing: of several alternatives that of the one that came furthest."""
    ends = [group[-1] for _, each in groupby(steps, key=lambda s: s.alternative) if (group := list(each))[-1].left == 0]
    taken = [step for step in ends if step.taken_out > 0] or ends
    return max(taken, key=lambda step: (step.alternative > 0, step.taken_out), default=None)


def relaxations(snapshot: Snapshot, wish: Wish) -> tuple[Relaxed, ...]:
    """What one demand alone would have to be. Empty where no single one keeps the work from a place, or one is free."""
    if plan_wish(snapshot, wish).chosen is not None:
        return ()
    found = (way(snapshot, wish) for way in WAYS)
    return tuple(one for one in found if one is not None)


def _price(snapshot: Snapshot, wish: Wish) -> Relaxed | None:
    if not any(n.price_max_ucny is not None or n.rate_max_udu is not None for n in wish.needs):
        return None
    best = _bests(snapshot, _with(wish, price_max_ucny=None, rate_max_udu=None))
    if not best:
        return None
    by_rate = wish.needs[0].price_max_ucny is None
    if by_rate:
        least, asked = min(c.rate_udu_per_hour for c in best), wish.needs[0].rate_max_udu or 0
        fits, said = _count(snapshot, _with(wish, rate_max_udu=least)), (degrees(least), degrees(asked))
    else:
        least, asked = min(c.hour_ucny for c in best), wish.needs[0].price_max_ucny or 0
        fits, said = _count(snapshot, _with(wish, price_max_ucny=least)), (yuan(least), yuan(asked))
    return _told("zhisuan.price_max", fits, Text(f"at {said[0]} an hour instead of {said[1]}", f"每小时 {said[0]}（而非 {said[1]}）"))


def _carbon(snapshot: Snapshot, wish: Wish) -> Relaxed | None:
    if not any(n.carbon_max_mg is not None or n.carbon_card_max_mg is not None for n in wish.needs):
        return None
    best = _bests(snapshot, _with(wish, carbon_max_mg=None, carbon_card_max_mg=None))
    if not best:
        return None
    least = min(best, key=lambda c: c.carbon_g_per_hour_milli)
    need = wish.needs[max(least.alternative, 1) - 1]
    most, asked = least.carbon_g_per_hour_milli, need.carbon_most_mg or 0
    fits = _count(snapshot, _with(wish, carbon_max_mg=most, carbon_card_max_mg=None))
    text = Text(f"at {grams(most)} an hour instead of {grams(asked)}", f"每小时 {grams(most)}（而非 {grams(asked)}）")
    return _told("zhisuan.carbon_max", fits, text)


def _memory(snapshot: Snapshot, wish: Wish) -> Relaxed | None:
    asked = max(n.device_memory_mib for n in wish.needs)
    memory = {c.class_id: c.memory_mib or 0 for c in snapshot.classes}
    best = _bests(snapshot, _with(wish, device_memory_mib=0)) if asked else []
    sizes = [min((memory[str(s.class_id)] for s in c.shares if s.kind == "accelerator"), default=0) for c in best]
    if not sizes or not max(sizes):
        return None
    fits, most = _count(snapshot, _with(wish, device_memory_mib=max(sizes))), max(sizes)
    text = Text(f"with {most / 1024:g} GiB on each card instead of {asked / 1024:g}", f"每卡显存 {most / 1024:g} GiB（而非 {asked / 1024:g}）")
    return _told("zhisuan.device_memory", fits, text)


def _green(snapshot: Snapshot, wish: Wish) -> Relaxed | None:
    shares = {site.id: site.green_ppm or 0 for site in snapshot.sites}
    best = _bests(snapshot, replace(wish, green_ppm_min=0)) if wish.green_ppm_min else []
    if not best:
        return None
    most, asked = max(shares[c.site_id] for c in best), percent(wish.green_ppm_min)
    fits = _count(snapshot, replace(wish, green_ppm_min=most))
    return _told("zhisuan.green_only", fits, Text(f"with a green share of {percent(most)} instead of {asked}", f"绿电占比 {percent(most)}（而非 {asked}）"))


def _latency(snapshot: Snapshot, wish: Wish) -> Relaxed | None:
    """The site whose round trips are longest beyond what was asked by least."""
    trips = {site.id: dict(site.round_trips_us) for site in snapshot.sites}
    best = _bests(snapshot, replace(wish, latency_us=())) if wish.latency_us else []
    known = [trips[c.site_id] for c in best if all(place in trips[c.site_id] for place, _ in wish.latency_us)]
    if not known:
        return None
    nearest = min(known, key=lambda t: max(t[place] - most for place, most in wish.latency_us))
    longer = tuple((place, max(most, nearest[place])) for place, most in wish.latency_us)
    fits = _count(snapshot, replace(wish, latency_us=longer))
    changed = [(p, now, most) for (p, now), (_, most) in zip(longer, wish.latency_us, strict=True) if now > most]
    said = ", ".join(f"{p} {milliseconds(now)}" for p, now, _ in changed)
    asked = ", ".join(milliseconds(most) for _, _, most in changed)
    return _told("zhisuan.latency", fits, Text(f"with a round trip of {said} instead of {asked}", f"往返时延 {said}（而非 {asked}）"))


def _lifted(field: str, names: tuple[str, ...]) -> Callable[[Snapshot, Wish], Relaxed | None]:
    """Of a wish about sites that has no measure: what there is without it."""

    def way(snapshot: Snapshot, wish: Wish) -> Relaxed | None:
        if not any(getattr(wish, name) for name in names):
            return None
        without: dict[str, Any] = dict.fromkeys(names, ())
        fits = _count(snapshot, replace(wish, **without))
        return _told(field, fits, Text(f"without {field}", f"不设 {field}")) if fits else None

    return way


def _nodes(snapshot: Snapshot, wish: Wish) -> Relaxed | None:
    """The most nodes that find a place together."""
    asked = wish.needs[0].nodes
    low, high = 0, asked - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _count(snapshot, _with(wish, nodes=middle)) else (low, middle - 1)
    fits = _count(snapshot, _with(wish, nodes=low)) if low else 0
    return _told("num_nodes", fits, Text(f"with {low} nodes instead of {asked}", f"{low} 个节点（而非 {asked} 个）")) if fits else None


def _cards(snapshot: Snapshot, wish: Wish) -> Relaxed | None:
    """The most cards of the first alternative's kind that find a place on each node."""
    need = wish.needs[0]
    if len(need.accelerators) != 1:
        return None
    [(name, asked)] = need.accelerators

    def fewer(count: int) -> Wish:
        return replace(wish, needs=(replace(need, accelerators=((name, count),)),))

    low, high = 0, asked - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _count(snapshot, fewer(middle)) else (low, middle - 1)
    fits = _count(snapshot, fewer(low)) if low else 0
    return _told("resources.accelerators", fits, Text(f"with {name}:{low} instead of {name}:{asked}", f"{name}:{low}（而非 {name}:{asked}）")) if fits else None


WAYS: tuple[Callable[[Snapshot, Wish], Relaxed | None], ...] = (
    _lifted("zhisuan.sites", ("sites", "standby")),
    _lifted("zhisuan.avoid_sites", ("avoid_sites",)),
    _lifted("zhisuan.region", ("regions",)),
    _lifted("zhisuan.avoid_regions", ("avoid_regions",)),
    _lifted("zhisuan.providers", ("providers",)),
    _lifted("zhisuan.avoid_providers", ("avoid_providers",)),
    _green, _latency, _memory, _price, _carbon, _nodes, _cards,
)  # fmt: skip


def _told(field: str, fits: int, how: Text) -> Relaxed:
    return Relaxed(field, fits, Text(f"{how.en} {fits} place(s) fit now", f"{how.zh}时当前有 {fits} 处可承接"))


def _with(wish: Wish, **changed: Any) -> Wish:
    return replace(wish, needs=tuple(replace(need, **changed) for need in wish.needs))


def _count(snapshot: Snapshot, wish: Wish) -> int:
    return len(plan_wish(snapshot, wish).candidates)


def _bests(snapshot: Snapshot, wish: Wish) -> list[Candidate]:
    return best_of_sites(plan_wish(snapshot, wish))


def best_of_sites(made: Plan) -> list[Candidate]:
    """The best candidate of each site that has one, best first."""
    found: dict[str, Candidate] = {}
    of_sites = made.candidates.best_of_sites() if isinstance(made.candidates, Ranked | Together) else made.candidates
    for candidate in of_sites:
        found.setdefault(candidate.site_id, candidate)
    return list(found.values())
