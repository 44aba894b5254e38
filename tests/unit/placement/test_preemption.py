"""Which spot leases make way: properties over small random sites, held against trying every set."""

from dataclasses import replace
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from zhisuan.placement.preemption import Holding, preempt
from zhisuan.placement.rules import plan
from zhisuan.placement.site_wishes import Wish
from zhisuan.placement.types import ClassFacts, DeviceState, Need, NodeState, SiteState, Snapshot

CPU = ClassFacts("cpu-core", frozenset({"cpucore"}), 25_000, 4000)
CARD = ClassFacts("card", frozenset({"card"}), 1_000_000, 400_000)


def site(number: int, nodes: list[tuple[int, int]], on_demand: list[tuple[int, int]]) -> SiteState:
    """``nodes``: (cores, cards) of each; ``on_demand``: what work on demand holds there."""
    made = []
    for n, ((cores, cards), (used, cards_used)) in enumerate(zip(nodes, on_demand, strict=True)):
        where = f"{number}.{n}"
        devices = [
            DeviceState(f"{where}.cpu", "cpu", "cpu", "cpu-core", cores * 1000, min(used, cores) * 1000, True),
            DeviceState(f"{where}.mem", "memory", "memory", None, 1 << 20, 0, True),
        ]
        devices += [
            DeviceState(f"{where}.gpu{g}", f"gpu{g}", "accelerator", "card", 1000, 1000 if g < cards_used else 0, True)
            for g in range(cards)
        ]
        made.append(NodeState(where, f"host{where}", True, tuple(devices)))
    return SiteState(f"site{number}", f"site {number}", "p", "open", True, True, "CN-AH", 1200, 500, tuple(made), gang_nodes_max=4)


def snapshot(*sites: SiteState) -> Snapshot:
    return Snapshot(sites, (CPU, CARD), 10**8, True)


def hold(before: Snapshot, need: Need, number: int, loss: int) -> tuple[Snapshot, Holding] | None:
    """Give spot work its best place."""
    chosen = plan(before, need).chosen
    if chosen is None:
        return None
    taken = {s.device_id: s.amount for s in chosen.shares}
    sites = tuple(
        replace(
            s,
            nodes=tuple(
                replace(
                    n,
                    devices=tuple(replace(d, allocated=d.allocated + taken.get(d.id, 0)) for d in n.devices),
                )
                for n in s.nodes
            ),
        )
        for s in before.sites
    )
    holding = Holding(f"lea{number:02d}", chosen.site_id, tuple(sorted(taken.items())), number, loss)
    return replace(before, sites=sites), holding


def without(full: Snapshot, gone: tuple[Holding, ...]) -> Snapshot:
    back = {device: amount for h in gone for device, amount in h.shares}
    for h in gone:
        for device, _ in h.shares:
            back[device] = sum(a for other in gone for d, a in other.shares if d == device)
    sites = tuple(
        replace(
            s,
            nodes=tuple(
                replace(n, devices=tuple(replace(d, allocated=d.allocated - back.get(d.id, 0)) for d in n.devices))
                for n in s.nodes
            ),
        )
        for s in full.sites
    )
    return replace(full, sites=sites)


needs = st.builds(
    lambda cores, cards, nodes: Need(cores * 1000, 1024, (("card", cards),) if cards else (), nodes),
    st.integers(1, 4), st.integers(0, 2), st.integers(1, 2),
)  # fmt: skip
shapes = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 2)), min_size=1, max_size=3)


@st.composite
def cities(draw: st.DrawFn) -> tuple[Snapshot, list[Holding]]:
    sites = []
    for number in range(draw(st.integers(1, 2))):
        nodes = draw(shapes)
        used = [(draw(st.integers(0, 4)), draw(st.integers(0, 2))) for _ in nodes]
        sites.append(site(number, nodes, used))
    now, held = snapshot(*sites), []
    for number in range(draw(st.integers(0, 5))):
        made = hold(now, replace(draw(needs), nodes=1), number, draw(st.integers(0, 3)))
        if made is not None:
            now = made[0]
            held.append(made[1])
    return now, held


@settings(max_examples=150, deadline=None)
@given(cities(), needs)
def test_it_ends_as_little_as_any_choice_would(city: tuple[Snapshot, list[Holding]], need: Need) -> None:
    full, held = city
    found = preempt(full, Wish((need,)), held)
    if plan(full, need).chosen is not None:
        assert found is None, "a place is free"
        return
    possible = [
        chosen
        for size in range(1, len(held) + 1)
        for chosen in combinations(held, size)
        if len({h.site_id for h in chosen}) == 1 and plan(without(full, chosen), need).chosen is not None
    ]
    if not possible:
        assert found is None, "no set of spot leases makes room"
        return
    assert found is not None
    ended = tuple(h for h in held if h.lease_id in found.lease_ids)
    assert len(ended) == len(found.lease_ids), "only spot leases, each once"
    chosen = plan(without(full, ended), need).chosen
    assert chosen is not None and chosen.site_id == found.site_id, "room is there once they have ended"
    fewest = min(len(c) for c in possible)
    for size in range(1, len(ended)):
        for fewer in combinations(ended, size):
            assert plan(without(full, fewer), need).chosen is None, "none could be left out"
    if fewest <= 2:
        assert len(ended) == fewest
        assert found.loss_udu == min(sum(h.loss_udu for h in c) for c in possible if len(c) == fewest)


@settings(max_examples=50, deadline=None)
@given(cities(), needs)
def test_the_answer_is_the_same_whatever_the_order(city: tuple[Snapshot, list[Holding]], need: Need) -> None:
    full, held = city
    assert preempt(full, Wish((need,)), held) == preempt(full, Wish((need,)), held[::-1])


@settings(max_examples=50, deadline=None)
@given(cities(), needs)
def test_what_is_ending_already_is_waited_for(city: tuple[Snapshot, list[Holding]], need: Need) -> None:
    """Once room is being made for somebody, asking again ends nobody else: no loop takes all down."""
    full, held = city
    found = preempt(full, Wish((need,)), held)
    if found is not None:
        ending = [h for h in held if h.lease_id in found.lease_ids]
        assert preempt(full, Wish((need,)), [h for h in held if h not in ending], ending) is None


def test_of_equal_loss_the_newest_goes() -> None:
    now, held = snapshot(site(0, [(4, 0)], [(0, 0)])), []
    for number in range(4):
        made = hold(now, Need(1000, 1024, ()), number, 7)
        assert made is not None
        now, holding = made
        held.append(holding)
    found = preempt(now, Wish((Need(1000, 1024, ()),)), held)
    assert found is not None and found.lease_ids == ("lea03",)
    cheaper = [replace(h, loss_udu=1) if h.lease_id == "lea01" else h for h in held]
    found = preempt(now, Wish((Need(1000, 1024, ()),)), cheaper)
    assert found is not None and found.lease_ids == ("lea01",)
    assert "1 interruptible" in found.reason.en
