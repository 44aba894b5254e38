"""Alternatives and wishes about sites, against planning each alternative by hand on the sites that are wished for."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from test_placement import CLASSES, needs, shuffled, snapshots

from zhisuan.placement.alternatives import plan_wish, unknown_sites
from zhisuan.placement.rules import plan
from zhisuan.placement.site_wishes import Wish
from zhisuan.placement.types import DeviceState, Need, NodeState, Plan, SiteState, Snapshot

site_names = st.sampled_from(("s0", "s1", "site 2", "s3"))


@st.composite
def wishes(draw: st.DrawFn) -> Wish:
    sites = draw(st.lists(site_names, max_size=2, unique=True))
    standby = [s for s in draw(st.lists(site_names, max_size=3, unique=True)) if s not in sites] if sites else []
    avoid = [s for s in draw(st.lists(site_names, max_size=2)) if s not in (*sites, *standby)]
    return Wish(
        tuple(draw(st.lists(needs, min_size=1, max_size=3, unique=True))), draw(st.booleans()), tuple(sites), tuple(standby),
        tuple(avoid), draw(st.sampled_from(((), (), ("CN-AH",), ("CN-GS",)))),
    )  # fmt: skip


def named(site: SiteState, names: tuple[str, ...]) -> bool:
    return site.id in names or site.name in names


@given(snapshot=snapshots(), wish=wishes())
def test_each_candidate_is_one_of_its_alternative_on_a_wished_site_and_none_is_missing(
    snapshot: Snapshot, wish: Wish
) -> None:
    allowed = {
        s.id
        for s in snapshot.sites
        if not named(s, wish.avoid_sites)
        and (not wish.regions or s.region in wish.regions)
        and (not wish.sites or named(s, wish.sites) or named(s, wish.standby))
    }
    made = plan_wish(snapshot, wish)
    found = sorted((c.site_id, tuple(n.node_id for n in c.nodes), c.rate_udu_per_hour) for c in made.candidates)
    by_hand = sorted(
        (c.site_id, tuple(n.node_id for n in c.nodes), c.rate_udu_per_hour)
        for need in wish.needs
        for c in plan(snapshot, need).candidates
        if c.site_id in allowed
    )
    assert found == by_hand
    alone = replace(snapshot, sites=tuple(s for s in snapshot.sites if s.id in allowed))
    assert made.could_ever_fit == any(plan(alone, need).could_ever_fit for need in wish.needs)
    assert made.reason.en and made.reason.zh


@given(snapshot=snapshots(), wish=wishes())
def test_the_order_is_primary_then_standbys_then_the_list_then_the_ordinary_one(snapshot: Snapshot, wish: Wish) -> None:
    sites = {s.id: s for s in snapshot.sites}

    def tier(site_id: str) -> int:
        site = sites[site_id]
        if not wish.standby or named(site, wish.sites):
            return 0
        return min(n for n, name in enumerate(wish.standby, 1) if named(site, (name,)))

    made = plan_wish(snapshot, wish)
    keys = [
        (tier(c.site_id), c.alternative if wish.ordered else 0, c.hour_ucny, c.carbon_g_per_hour_milli)
        for c in made.candidates
    ]
    assert keys == sorted(keys)


@given(snapshot=snapshots(), wish=wishes(), seed=st.integers(0, 10**6))
def test_the_order_of_the_snapshot_does_not_matter(snapshot: Snapshot, wish: Wish, seed: int) -> None:
    assert plan_wish(shuffled(snapshot, seed), wish) == plan_wish(snapshot, wish)


@given(snapshot=snapshots(), need=needs)
def test_one_alternative_and_no_wishes_is_the_plan_itself(snapshot: Snapshot, need: Need) -> None:
    assert plan_wish(snapshot, Wish((need,))) == plan(snapshot, need)


def site(ident: str, *classes: str, used: bool = False, **more: object) -> SiteState:
    devices = (
        DeviceState(f"{ident}c", "cpu", "cpu", "cpu-core", 8000, 0, True),
        DeviceState(f"{ident}m", "memory", "memory", None, 8192, 0, True),
        *(
            DeviceState(f"{ident}g{n}", f"g{n}", "accelerator", kind, 1000, 1000 if used else 0, True)
            for n, kind in enumerate(classes)
        ),
    )
    made = SiteState(
        ident, ident, "p", "open", True, True, "CN-AH", 1200, 500_000, (NodeState(f"{ident}n", "host", True, devices),)
    )
    return replace(made, **more)  # type: ignore[arg-type]


def planned(*sites: SiteState, **wish: object) -> Plan:
    needs = (Need(1000, 1024, (("A100 80GB", 1),)), Need(1000, 1024, (("H20", 1),)))
    return plan_wish(Snapshot(sites, CLASSES, 400_000_000, False), Wish(needs, **wish))  # type: ignore[arg-type]


def test_any_of_takes_the_cheaper_and_ordered_the_first_while_it_fits() -> None:
    both = site("a", "a100-80g", "h20")
    cheap, first = planned(both), planned(both, ordered=True)
    assert cheap.chosen and first.chosen
    assert (cheap.chosen.alternative, first.chosen.alternative) == (2, 1)
    assert "Alternative 2 of 2 (H20:1" in cheap.reason.en and "higher price" in cheap.reason.en
    assert "comes later in the order" in first.reason.en
    taken = planned(site("a", "a100-80g", used=True), site("b", "h20"), ordered=True)
    assert taken.chosen and taken.chosen.alternative == 2
    assert "Alternative 1 (A100 80GB:1" in taken.reason.en and "None of 2 nodes" in taken.reason.en


def test_the_reason_names_the_standby_and_why_not_the_primary() -> None:
    primary, standby = site("a", "h20"), site("b", "a100-80g")
    assert "a is the primary" in planned(primary, standby, sites=("a",), standby=("b",)).reason.en
    gone = planned(replace(primary, reachable=False), standby, sites=("a",), standby=("b",))
    assert gone.chosen and gone.chosen.site_id == "b" and "b is standby 1: a cannot take it now" in gone.reason.en


def test_sites_that_are_not_wished_are_counted_with_the_reason() -> None:
    made = planned(site("a", "h20"), site("b", "h20", region="CN-GS"), site("c", "h20"), avoid_sites=("a",), regions=("CN-AH",))
    assert [c.site_id for c in made.candidates] == ["c"]
    assert {r.constraint: r.count for r in made.rejections if r.constraint.startswith("site_")} == {
        "site_avoided": 1, "site_region": 1,
    }  # fmt: skip
    assert unknown_sites(Snapshot((site("a"),), CLASSES, 1, False), ("a", "z")) == ("z",)
