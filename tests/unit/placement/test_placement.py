"""Placement on random snapshots, against what a person would do with pencil and paper."""

import itertools
import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.base.money import cost_ucny
from zhisuan.catalog.device_classes import load_device_classes
from zhisuan.execution.snapshot import class_facts
from zhisuan.placement.rules import CONSTRAINTS, PERMANENT, class_ids_named, plan
from zhisuan.placement.types import ClassFacts, DeviceState, Need, NodeState, Plan, SiteState, Snapshot

CLASSES = (
    ClassFacts("cpu-core", frozenset({"cpucore"}), 25_000, 5_000),
    ClassFacts("a100-40g", frozenset({"a100", "a10040gb"}), 900_000, 400_000),
    ClassFacts("a100-80g", frozenset({"a100", "a10080gb"}), 1_000_000, 400_000),
    ClassFacts("h20", frozenset({"h20"}), 500_000, 300_000),
    ClassFacts("new-card", frozenset({"new"}), None, 1_000),
)
BY_ID = {c.class_id: c for c in CLASSES}
CARD_CLASSES = [None, "a100-40g", "a100-80g", "h20", "new-card"]
ids = st.integers(0, 10**6)


@st.composite
def devices(draw: st.DrawFn, node: str) -> tuple[DeviceState, ...]:
    cores, memory = draw(st.integers(0, 8)) * 1000, draw(st.integers(0, 8)) * 1024
    made = [
        DeviceState(
            f"{node}c", "cpu", "cpu", "cpu-core", cores, draw(st.integers(0, cores)), draw(st.booleans()) or True
        ),
        DeviceState(f"{node}m", "memory", "memory", None, memory, draw(st.integers(0, memory)), True),
    ]
    for n in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(CARD_CLASSES))
        used = draw(st.sampled_from((0, 0, 1000)))
        made.append(DeviceState(f"{node}g{n}", f"g{n}", "accelerator", kind, 1000, used, draw(st.integers(0, 4)) > 0))
    return tuple(made)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    sites = []
    for s in range(draw(st.integers(0, 4))):
        nodes = tuple(
            NodeState(f"n{s}{n}", f"host{n}", draw(st.integers(0, 5)) > 0, draw(devices(f"d{s}{n}")))
            for n in range(draw(st.integers(0, 3)))
        )
        sites.append(
            SiteState(
                id=f"s{s}",
                name=f"site {s}",
                provider_id="p",
                state=draw(st.sampled_from(("open", "open", "open", "draining", "joining", "invited"))),
                reachable=draw(st.integers(0, 5)) > 0,
                isolated=draw(st.integers(0, 5)) > 0,
                region="CN-AH",
                pue_milli=draw(st.integers(1000, 1800)),
                grid_g_per_mwh=draw(st.sampled_from((300_000, 600_000))),
                nodes=nodes,
                gang_nodes_max=draw(st.integers(1, 3)),
            )
        )
    return Snapshot(tuple(sites), CLASSES, draw(st.sampled_from((400_000_000, 1))), draw(st.booleans()))


names = st.sampled_from(("A100", "a100-80G", "A100 40GB", "H20", "new", "nothing"))
needs = st.builds(
    Need,
    cpus_milli=st.integers(1, 9000),
    memory_mib=st.integers(1, 9000),
    accelerators=st.lists(st.tuples(names, st.integers(1, 3)), max_size=2).map(tuple),
    nodes=st.sampled_from((1, 1, 2, 3)),
)


def shuffled(snapshot: Snapshot, seed: int) -> Snapshot:
    rng = random.Random(seed)

    def mixed(things: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(rng.sample(things, len(things)))

    sites = [
        replace(s, nodes=mixed(tuple(replace(n, devices=mixed(n.devices)) for n in s.nodes))) for s in snapshot.sites
    ]  # fmt: skip
    return replace(snapshot, sites=mixed(tuple(sites)), classes=mixed(snapshot.classes))


def all_nodes(snapshot: Snapshot) -> list[tuple[SiteState, NodeState]]:
    return [(s, n) for s in snapshot.sites for n in s.nodes]


@given(snapshot=snapshots(), need=needs)
def test_a_plan_never_takes_more_than_is_free_and_all_that_was_asked_for(snapshot: Snapshot, need: Need) -> None:
    there = {n.id: (s, n) for s, n in all_nodes(snapshot)}
    for candidate in plan(snapshot, need).candidates:
        assert len({n.node_id for n in candidate.nodes}) == need.nodes
        classes_by_node = set()
        for part in candidate.nodes:
            site, node = there[part.node_id]
            assert (site.id, part.hostname) == (candidate.site_id, node.hostname)
            assert site.state == "open" and site.reachable and site.isolated and node.present
            assert need.nodes <= site.gang_nodes_max
            free = {d.id: d.free for d in node.devices}
            taken: Counter[str] = Counter()
            for share in part.shares:
                taken[share.device_id] += share.amount
                assert share.left == free[share.device_id] - share.amount
            assert len(taken) == len(part.shares), "no device is named twice"
            assert all(amount <= free[i] for i, amount in taken.items())
            by_kind: Counter[str] = Counter()
            for share in part.shares:
                by_kind[share.kind] += share.amount
            cards = sum(count for _, count in need.accelerators) * 1000
            assert by_kind == Counter(cpu=need.cpus_milli, memory=need.memory_mib) + Counter(accelerator=cards)
            left = [s.class_id for s in part.shares if s.kind == "accelerator"]
            classes_by_node.add(tuple(left))
            for name, count in need.accelerators:
                asked, left = left[:count], left[count:]
                assert len(set(asked)) == 1 and asked[0] in class_ids_named(name, BY_ID)
        assert len(classes_by_node) == 1, "the cards of a gang are of one class"


@given(snapshot=snapshots(), need=needs)
def test_candidates_come_by_price_then_carbon_then_packing_then_id(snapshot: Snapshot, need: Need) -> None:
    """Price and carbon are worked out again here from the shares."""
    sites = {s.id: s for s in snapshot.sites}
    nodes = {n.id: n for _, n in all_nodes(snapshot)}
    keys = []
    for c in plan(snapshot, need).candidates:
        rate = power = 0
        for share in c.shares:
            if share.class_id is None:
                continue
            facts = BY_ID[share.class_id]
            power += facts.power_milliwatts * share.amount // 1000
            free_core = share.kind == "cpu" and need.accelerators and snapshot.cpu_with_accelerator_free
            rate += 0 if free_core else (facts.rate_udu_per_hour or 0) * share.amount // 1000
        price = cost_ucny(rate, snapshot.price_e8_per_du)
        assert (c.rate_udu_per_hour, c.power_milliwatts, c.hour_ucny) == (rate, power, price)
        site = sites[c.site_id]
        carbon = power * site.pue_milli * site.grid_g_per_mwh // 10**9
        cores = [max(d.free for d in nodes[n.node_id].devices if d.kind == "cpu") for n in c.nodes]
        keys.append((price, carbon, sum(cores) - need.nodes * need.cpus_milli, c.site_id, c.nodes[0].node_id))
    assert keys == sorted(keys)


@given(snapshot=snapshots(), need=needs, seed=ids)
def test_the_order_of_the_snapshot_does_not_matter(snapshot: Snapshot, need: Need, seed: int) -> None:
    def facts(made: Plan) -> object:
        return made.as_dict() | {"shares": [sorted(c.shares, key=lambda s: s.device_id) for c in made.candidates]}

    assert facts(plan(snapshot, need)) == facts(plan(shuffled(snapshot, seed), need))


@given(snapshot=snapshots(), need=needs)
def test_every_node_is_a_candidate_or_counted_out_once(snapshot: Snapshot, need: Need) -> None:
    made = plan(snapshot, need)
    if need.nodes == 1:
        assert len(made.candidates) + sum(r.count for r in made.rejections) == len(all_nodes(snapshot))
    assert [r.constraint for r in made.rejections] == [
        c for c in CONSTRAINTS if c in {r.constraint for r in made.rejections}
    ]
    assert all(r.text.en and r.unblock.zh and r.permanent == (r.constraint in PERMANENT) for r in made.rejections)
    assert made.reason.en and made.reason.zh


@given(snapshot=snapshots(), need=needs)
def test_what_could_ever_fit_is_what_fits_when_all_is_empty_open_and_well(snapshot: Snapshot, need: Need) -> None:
    usual = ("open", "draining", "verified", "joining")
    ideal = replace(snapshot, sites=tuple(
        replace(s, state="open", reachable=True, isolated=True, nodes=tuple(
            replace(n, present=True, devices=tuple(replace(d, allocated=0, usable=True) for d in n.devices)) for n in s.nodes
        ))
        for s in snapshot.sites if s.state in usual
    ))  # fmt: skip
    assert plan(snapshot, need).could_ever_fit == bool(plan(ideal, need).candidates)


@given(snapshot=snapshots(), need=needs)
def test_less_need_never_fits_worse(snapshot: Snapshot, need: Need) -> None:
    smaller = replace(need, cpus_milli=max(1, need.cpus_milli // 2), memory_mib=max(1, need.memory_mib // 2))
    fitting = {n.node_id for c in plan(snapshot, need).candidates for n in c.nodes}
    if need.nodes == 1:
        assert fitting <= {n.node_id for c in plan(snapshot, smaller).candidates for n in c.nodes}
    fewer = replace(need, nodes=max(1, need.nodes - 1))
    assert bool(fitting) <= bool(plan(snapshot, smaller).candidates)
    assert bool(fitting) <= bool(plan(snapshot, fewer).candidates)


@given(snapshot=snapshots(), need=needs)
def test_a_gang_is_found_exactly_where_enough_nodes_of_a_site_fit_alike(snapshot: Snapshot, need: Need) -> None:
    """Tried by hand: each set of nodes of each site, each choice of classes, one node at a time."""
    expected = set()
    for site in snapshot.sites:
        choices = itertools.product(*(sorted(class_ids_named(name, BY_ID)) for name, _ in need.accelerators))
        for chosen in choices:
            cards = tuple((c, count) for c, (_, count) in zip(chosen, need.accelerators, strict=True))
            one = Need(need.cpus_milli, need.memory_mib, cards)
            alone = [n for n in site.nodes if plan(replace(snapshot, sites=(replace(site, nodes=(n,)),)), one).candidates]
            if len(alone) >= need.nodes and need.nodes <= site.gang_nodes_max:
                expected.add(site.id)
    assert {c.site_id for c in plan(snapshot, need).candidates} == expected


def test_a_waiting_plan_says_what_is_missing_in_both_languages() -> None:
    assert plan(Snapshot((), CLASSES, 1, True), Need(1, 1, ())).reason.zh == "尚无站点加入。"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("A100", {"nvidia-a100-sxm4-80g", "nvidia-a100-pcie-80g"}),
        ("a100", {"nvidia-a100-sxm4-80g", "nvidia-a100-pcie-80g"}),
        ("nvidia-a100-sxm4-80g", {"nvidia-a100-sxm4-80g"}),
        ("A100 SXM4 80GB", {"nvidia-a100-sxm4-80g"}),
        ("Ascend 910B3", {"ascend-910b3-64g"}),
        ("ascend910b3", {"ascend-910b3-64g"}),
        ("A10000", set()),
        ("", set()),
        ("---", set()),
    ],
)
def test_accelerators_go_by_id_model_or_leading_words(name: str, expected: set[str]) -> None:
    facts = class_facts((c.class_id, c.model, c.published_rate_udu_per_hour, None, None) for c in load_device_classes())
    found = class_ids_named(name, {c.class_id: c for c in facts})
    assert expected <= found if len(expected) > 1 else found == expected
