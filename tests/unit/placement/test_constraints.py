"""What an order demands of its place: as the plain rules have it, never broken, and never in the way of an order that demands less."""

from collections import Counter
from dataclasses import fields, replace
from typing import Any

import placement_specification as specification
from hypothesis import given
from hypothesis import strategies as st
from test_placement_specification import CLASSES, needs, same_plan, snapshots, wishes

from zhisuan.placement.alternatives import plan_wish
from zhisuan.placement.rules import plan
from zhisuan.placement.site_wishes import Wish
from zhisuan.placement.types import Candidate, DeviceState, Need, NodeState, SiteState, Snapshot

CEILINGS = ("price_max_ucny", "rate_max_udu", "carbon_max_mg", "carbon_card_max_mg")
OF_SITES: dict[str, Any] = {
    "sites": (), "avoid_sites": (), "regions": (), "avoid_regions": (), "providers": (), "avoid_providers": (), "green_ppm_min": 0,
    "latency_us": (),
}  # fmt: skip


def place_of(candidate: Candidate) -> tuple[str, tuple[str, ...], int]:
    return candidate.site_id, tuple(n.node_id for n in candidate.nodes), candidate.rate_udu_per_hour


@given(snapshot=snapshots(), wish=wishes)
def test_wishes_are_planned_as_the_plain_rules_plan_them(snapshot: Snapshot, wish: Wish) -> None:
    made = plan_wish(snapshot, wish)
    said, out, ever = specification.plan_wish(snapshot, wish)
    several = len(wish.needs) > 1
    assert [(c.alternative, place_of(c)) for c in made.candidates] == [(n if several else 0, place_of(c)) for n, c in said]
    assert Counter([r.count for r in made.rejections]) == Counter(list(out.values()))
    assert {r.constraint for r in made.rejections} == {name for _, name in out}
    assert made.could_ever_fit == ever
    assert made.reason.en and made.reason.zh


@given(snapshot=snapshots(), wish=wishes)
def test_no_candidate_breaks_a_constraint(snapshot: Snapshot, wish: Wish) -> None:
    sites, classes = {s.id: s for s in snapshot.sites}, {c.class_id: c for c in snapshot.classes}
    for candidate in plan_wish(snapshot, wish).candidates:
        need, site = wish.needs[max(candidate.alternative, 1) - 1], sites[candidate.site_id]
        cards = [s for s in candidate.shares if s.kind == "accelerator"]
        assert all((classes[str(s.class_id)].memory_mib or 0) >= need.device_memory_mib for s in cards)
        assert need.price_max_ucny is None or candidate.hour_ucny <= need.price_max_ucny
        assert need.rate_max_udu is None or candidate.rate_udu_per_hour <= need.rate_max_udu
        assert need.carbon_max_mg is None or candidate.carbon_g_per_hour_milli <= need.carbon_max_mg
        if cards and need.carbon_card_max_mg is not None:
            assert candidate.carbon_g_per_hour_milli <= need.carbon_card_max_mg * len(cards)
        assert specification.left_out(site, wish) is None


@given(snapshot=snapshots(), wish=wishes, data=st.data())
def test_demanding_less_never_takes_a_place_away(snapshot: Snapshot, wish: Wish, data: st.DataObject) -> None:
    """One demand is dropped; what was found is still found, what could ever fit still could."""
    of_sites, of_needs = [n for n in OF_SITES if getattr(wish, n)], [*CEILINGS, "device_memory_mib"]
    name = data.draw(st.sampled_from([*of_sites, *of_needs]))
    nothing: dict[str, Any] = {name: OF_SITES.get(name, 0 if name == "device_memory_mib" else None)}
    less = replace(wish, **nothing) if name in OF_SITES else replace(wish, needs=tuple(replace(n, **nothing) for n in wish.needs))
    before, after = plan_wish(snapshot, wish), plan_wish(snapshot, less)
    assert len(after.candidates) >= len(before.candidates)
    assert after.could_ever_fit or not before.could_ever_fit


@given(snapshot=snapshots(), need=needs, price=st.integers(0, 8_000_000), more=st.integers(0, 8_000_000))
def test_a_higher_ceiling_lets_in_all_that_a_lower_one_did(snapshot: Snapshot, need: Need, price: int, more: int) -> None:
    low = plan(snapshot, replace(need, price_max_ucny=price))
    high = plan(snapshot, replace(need, price_max_ucny=price + more))
    assert {place_of(c) for c in low.candidates} <= {place_of(c) for c in high.candidates}


@given(snapshot=snapshots(), need=needs)
def test_ceilings_take_out_exactly_what_is_over_them(snapshot: Snapshot, need: Need) -> None:
    """Of work on one node: the candidates are those of the order without ceilings that are under them."""
    none: dict[str, Any] = dict.fromkeys(CEILINGS)
    free = replace(need, nodes=1, **none)
    held = replace(need, nodes=1)
    under = [c for c in plan(snapshot, free).candidates if specification._over(c, held) is None]
    assert list(plan(snapshot, held).candidates) == under


@given(snapshot=snapshots(), cards=st.sampled_from(((), (("A100", 1),), (("h20", 2),))), nodes=st.sampled_from((1, 1, 2)))
def test_a_ceiling_at_the_very_figure_of_a_place_keeps_it_and_one_below_does_not(
    snapshot: Snapshot, cards: tuple[tuple[str, int], ...], nodes: int
) -> None:
    """As the plain rules have it also there, and in what could ever fit."""
    need = Need(1000, 1, cards, nodes)
    found = specification.plan(snapshot, need).candidates
    for one in {place_of(c): c for c in (*found[:1], *found[-1:])}.values():
        figures: dict[str, int] = {
            "price_max_ucny": one.hour_ucny, "rate_max_udu": one.rate_udu_per_hour, "carbon_max_mg": one.carbon_g_per_hour_milli,
        }  # fmt: skip
        for name, most in figures.items():
            at: dict[str, Any] = {name: most}
            below: dict[str, Any] = {name: most - 1}
            same_plan(snapshot, replace(need, **at))
            same_plan(snapshot, replace(need, **below))
            assert place_of(one) in {place_of(c) for c in plan(snapshot, replace(need, **at)).candidates}
            assert place_of(one) not in {place_of(c) for c in plan(snapshot, replace(need, **below)).candidates}


def test_several_nodes_that_together_never_come_under_a_ceiling_could_never_fit() -> None:
    nodes = tuple(
        NodeState(f"n{n}", f"h{n}", True, (
            DeviceState(f"{n}c", "cpu", "cpu", "cpu-core", 8000, 0, True), DeviceState(f"{n}m", "memory", "memory", None, 4096, 0, True),
            DeviceState(f"{n}g", "gpu0", "accelerator", "h20", 1000, 0, True),
        ))
        for n in range(2)
    )  # fmt: skip
    site = SiteState("s", "s", "p", "open", True, True, "CN-AH", 1000, 600_000, nodes, 2)
    city, pair = Snapshot((site,), CLASSES, 400_000_000, True), Need(1000, 1, (("H20", 1),), 2)
    ever = {
        name: [plan(city, replace(pair, **{name: most})).could_ever_fit for most in figures]  # type: ignore[arg-type]
        for name, figures in {
            "price_max_ucny": (3_999_999, 4_000_000), "rate_max_udu": (999_999, 1_000_000), "carbon_max_mg": (365_999, 366_000),
            "carbon_card_max_mg": (182_999, 183_000),
        }.items()
    }  # fmt: skip
    assert ever == {name: [False, True] for name in CEILINGS}


def test_every_demand_of_a_wish_is_held_against_the_plain_rules() -> None:
    """A new field of the wish or the need has to be put into the strategies above."""
    drawn = {"needs", "ordered", "standby", *OF_SITES}
    assert {f.name for f in fields(Wish)} == drawn
    shape = {"cpus_milli", "memory_mib", "accelerators", "nodes", "jupyterlab"}
    assert {f.name for f in fields(Need)} == {*shape, *CEILINGS, "device_memory_mib"}
