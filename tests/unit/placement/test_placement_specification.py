"""The search on columns and the plain rules give one plan, on random snapshots and after random changes of them."""

from dataclasses import replace

import numpy as np
import placement_specification as specification
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.base.money import cost_ucny
from zhisuan.placement.columns import columns_of
from zhisuan.placement.rules import plan
from zhisuan.placement.search import Prices, price_of
from zhisuan.placement.site_wishes import Wish
from zhisuan.placement.types import ClassFacts, DeviceState, Need, NodeState, SiteState, Snapshot

CLASSES = (
    ClassFacts("cpu-core", frozenset({"cpucore"}), 25_000, 5_000),
    ClassFacts("big-core", frozenset({"bigcore"}), 30_000, 9_000),
    ClassFacts("a100-40g", frozenset({"a100", "a10040gb"}), 900_000, 400_000, 40960),
    ClassFacts("a100-80g", frozenset({"a100", "a10080gb"}), 900_000, 450_000, 81920),
    ClassFacts("h20", frozenset({"h20"}), 500_000, 300_000, 98304),
    ClassFacts("new-card", frozenset({"new", "h20"}), None, 1_000),
)
FACTORS = ((), (("a100-40g", 900_000),), (("cpu-core", 999_999), ("h20", 1)))
"""Few values of each thing, so that nodes are often equal, just fit, or just do not."""


@st.composite
def nodes(draw: st.DrawFn, name: str) -> NodeState:
    devices = []
    for n in range(draw(st.sampled_from((1, 1, 1, 0, 2, 3)))):
        class_id = draw(st.sampled_from(("cpu-core", "cpu-core", "big-core", None, "unknown")))
        capacity = draw(st.sampled_from((4000, 8000)))
        used = draw(st.sampled_from((0, 1000, 4000)))
        devices.append(DeviceState(f"{name}c{n}", f"cpu{n}", "cpu", class_id, capacity, used, draw(st.integers(0, 5)) > 0))
    for n in range(draw(st.sampled_from((1, 1, 0, 2)))):
        used = draw(st.sampled_from((0, 1024)))
        devices.append(DeviceState(f"{name}m{n}", f"mem{n}", "memory", None, draw(st.sampled_from((1024, 4096))), used, True))
    for n in range(draw(st.integers(0, 5))):
        class_id = draw(st.sampled_from(("a100-40g", "a100-40g", "a100-80g", "h20", "new-card", None, "unknown")))
        capacity, used = draw(st.sampled_from(((1000, 0), (1000, 0), (1000, 1000), (500, 0), (2000, 1000))))
        devices.append(
            DeviceState(f"{name}g{n}", f"gpu{n}", "accelerator", class_id, capacity, used, draw(st.integers(0, 5)) > 0)
        )
    return NodeState(name, f"host-{name}", draw(st.integers(0, 7)) > 0, tuple(draw(st.permutations(devices))))


@st.composite
def sites(draw: st.DrawFn, number: int) -> SiteState:
    count = draw(st.integers(0, 5))
    return SiteState(
        id=f"s{number}", name=f"site {number}", provider_id=draw(st.sampled_from(("p", "q"))), reachable=draw(st.integers(0, 7)) > 0,
        state=draw(st.sampled_from(("open", "open", "open", "open", "draining", "joining", "invited"))),
        isolated=draw(st.integers(0, 7)) > 0, region=draw(st.sampled_from(("CN-AH", "CN-GS"))), pue_milli=draw(st.sampled_from((1000, 1300))),
        grid_g_per_mwh=draw(st.sampled_from((300_000, 600_001))),
        nodes=tuple(draw(st.permutations([draw(nodes(f"{number}-{n}")) for n in range(count)]))),
        gang_nodes_max=draw(st.integers(0, 4)), offered=draw(st.integers(0, 7)) > 0, factors_ppm=draw(st.sampled_from(FACTORS)),
        jupyterlab=draw(st.booleans()), provider_name="provider", green_ppm=draw(st.sampled_from((None, 0, 800_000, 1_000_000))),
        round_trips_us=draw(st.sampled_from(((), (("Hefei", 5000),), (("Hefei", 20_000), ("Wuhu", 1000))))),
    )  # fmt: skip


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    made = [draw(sites(n)) for n in range(draw(st.integers(0, 5)))]
    price = draw(st.sampled_from((400_000_000, 123_456_789, 2000, 10**14)))
    return Snapshot(tuple(draw(st.permutations(made))), CLASSES, price, draw(st.booleans()))


names = st.sampled_from(("A100", "A100", "A100", "a100-40g", "a100-40g", "H20", "new", "nothing", "cpu-core"))
needs = st.builds(
    Need,
    cpus_milli=st.sampled_from((1, 1000, 4000, 4001, 8000, 9000)),
    memory_mib=st.sampled_from((1, 1024, 3072, 4096, 5000)),
    accelerators=st.lists(st.tuples(names, st.integers(1, 3)), max_size=3).map(tuple),
    nodes=st.sampled_from((1, 1, 1, 2, 3)),
    jupyterlab=st.sampled_from((False, False, True)),
    device_memory_mib=st.sampled_from((0, 0, 0, 40960, 81920, 10**6)),
    price_max_ucny=st.none() | st.sampled_from((0, 2, 100_000, 400_000, 3_600_000, 3_600_001, 7_300_000, 10**12)),
    rate_max_udu=st.none() | st.none() | st.sampled_from((0, 25_000, 900_000, 925_000, 1_800_000)),
    carbon_max_mg=st.none() | st.none() | st.sampled_from((0, 150, 117_000, 121_500, 351_000, 10**7)),
    carbon_card_max_mg=st.none() | st.none() | st.sampled_from((0, 100_000, 136_500, 10**7)),
)
site_names = st.sampled_from(("s0", "site 1", "s2", "s3"))
wishes = st.builds(
    Wish,
    needs=st.lists(needs, min_size=1, max_size=3, unique=True).map(tuple),
    ordered=st.booleans(),
    sites=st.just(()) | st.lists(site_names, max_size=2, unique=True).map(tuple),
    standby=st.just(()),
    avoid_sites=st.just(()) | st.lists(site_names, max_size=1).map(tuple),
    regions=st.sampled_from(((), (), ("CN-AH",), ("CN-AH", "CN-GS"))),
    avoid_regions=st.sampled_from(((), (), ("CN-GS",))),
    providers=st.sampled_from(((), (), ("p",), ("q", "p"), ("provider",))),
    avoid_providers=st.sampled_from(((), (), ("q",))),
    green_ppm_min=st.sampled_from((0, 0, 800_000, 1_000_000)),
    latency_us=st.sampled_from(((), (), (("Hefei", 5000),), (("Hefei", 20_000),), (("Hefei", 30_000), ("Wuhu", 1000)))),
).flatmap(
    lambda wish: st.just(wish) if not wish.sites else st.sampled_from(
        (wish, replace(wish, standby=tuple(n for n in ("s3", "s0") if n not in wish.sites)))
    )
)  # fmt: skip


def same_plan(snapshot: Snapshot, need: Need) -> None:
    found, said = plan(snapshot, need), specification.plan(snapshot, need)
    assert found.as_dict() == said.as_dict()
    assert tuple(found.candidates) == said.candidates
    assert found == said


@given(snapshot=snapshots(), need=needs)
def test_the_search_gives_the_plan_that_the_plain_rules_give(snapshot: Snapshot, need: Need) -> None:
    same_plan(snapshot, need)


@given(snapshot=snapshots(), others=st.lists(snapshots(), min_size=1, max_size=3), need=needs, data=st.data())
def test_columns_carried_on_from_an_earlier_snapshot_change_nothing(
    snapshot: Snapshot, others: list[Snapshot], need: Need, data: st.DataObject
) -> None:
    """Sites change, come, go, and stay the same object; each time the columns are made from those before."""
    columns = columns_of(snapshot.sites)
    held = {s.id: s for s in snapshot.sites}
    for other in others:
        for site in other.sites:
            kind = data.draw(st.sampled_from(("keep", "take", "nodes", "leave")))
            if kind == "leave":
                held.pop(site.id, None)
            elif kind == "take":
                held[site.id] = site
            elif kind == "nodes" and site.id in held:
                there = {n.id: n for n in site.nodes}
                held[site.id] = replace(held[site.id], nodes=tuple(there.get(n.id, n) for n in held[site.id].nodes))
        now = replace(snapshot, sites=tuple(held.values()), columns=columns)
        same_plan(now, need)
        columns = columns_of(now.sites, columns)


def test_of_many_candidates_each_stands_in_its_place() -> None:
    """More than are kept in order from the beginning, looked at from the middle."""
    made = tuple(
        SiteState(
            f"s{n:02}", f"site {n}", "p", "open", True, True, "CN-AH", 1000 + n % 3, 300_000 + n % 2,
            tuple(
                NodeState(f"n{n:02}{m}", f"h{m}", True, (
                    DeviceState(f"d{n:02}{m}c", "cpu", "cpu", "cpu-core", 8000, 1000 * ((n * m) % 5), True),
                    DeviceState(f"d{n:02}{m}m", "memory", "memory", None, 4096, 0, True),
                ))
                for m in range(4)
            ),
        )
        for n in range(30)
    )  # fmt: skip
    snapshot, need = Snapshot(made, CLASSES, 400_000_000, True), Need(5000, 1024, ())
    found, said = plan(snapshot, need).candidates, specification.plan(snapshot, need).candidates
    assert len(said) > 60
    assert (found[40], found[-1], found[3:50:7]) == (said[40], said[-1], said[3:50:7])
    assert list(found) == list(said)


@given(rates=st.lists(st.sampled_from((0, 1, 25_000, 50_000, 75_000, 10**10, 10**17)), min_size=1), price=st.sampled_from((1, 2000, 10**9)))
def test_prices_of_a_column_are_the_prices_of_its_numbers(rates: list[int], price: int) -> None:
    found = price_of(np.array(rates, np.int64), Prices({}, price, True))
    assert [int(n) for n in found] == [cost_ucny(rate, price) for rate in rates]
