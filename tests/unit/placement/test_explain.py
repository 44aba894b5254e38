"""What is said of a wish that finds no place is true: each step counts, each change that would help does help, no time is too early."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from test_placement_specification import CLASSES, snapshots, wishes

from zhisuan.placement.alternatives import plan_wish
from zhisuan.placement.explain import best_of_sites, binding_of, relaxations, steps_of
from zhisuan.placement.site_wishes import Wish
from zhisuan.placement.types import DeviceState, Need, NodeState, SiteState, Snapshot


def site(name: str, *, cores: int = 8, used: int = 0, cards: tuple[str, ...] = (), **more: object) -> SiteState:
    devices = (
        DeviceState(f"{name}c", "cpu", "cpu", "cpu-core", cores * 1000, used * 1000, True),
        DeviceState(f"{name}m", "mem", "memory", None, 4096, 0, True),
        *(DeviceState(f"{name}g{n}", f"gpu{n}", "accelerator", card, 1000, 0, True) for n, card in enumerate(cards)),
    )
    made = SiteState(name, name, "p", "open", True, True, "CN-AH", 1000, 600_000, (NodeState(f"n{name}", "h", True, devices),))
    return replace(made, **more)  # type: ignore[arg-type]


def snapshot(*sites: SiteState) -> Snapshot:
    return Snapshot(sites, CLASSES, 400_000_000, True)


def ways(given_sites: tuple[SiteState, ...], wish: Wish) -> dict[str, tuple[int, str]]:
    return {r.field: (r.fits, r.text.en) for r in relaxations(snapshot(*given_sites), wish)}


H20 = Need(1000, 1024, (("H20", 1),))


def test_a_price_that_would_do_is_computed_and_the_places_at_it_are_counted() -> None:
    dear = tuple(site(f"s{n}", cards=("h20",)) for n in range(3))
    found = ways(dear, Wish((replace(H20, price_max_ucny=1_500_000),)))
    assert found == {"zhisuan.price_max": (3, "at ¥2.00 an hour instead of ¥1.50 3 place(s) fit now")}
    assert ways(dear, Wish((replace(H20, price_max_ucny=2_000_000),))) == {}


def test_each_demand_says_what_it_would_have_to_be() -> None:
    one = site("s", cards=("h20",), green_ppm=600_000, round_trips_us=(("Hefei", 21_500),))
    assert ways((one,), Wish((H20,), green_ppm_min=800_000)) == {
        "zhisuan.green_only": (1, "with a green share of 60 % instead of 80 % 1 place(s) fit now")
    }
    assert ways((one,), Wish((H20,), latency_us=(("Hefei", 20_000),))) == {
        "zhisuan.latency": (1, "with a round trip of Hefei 21.5 ms instead of 20 ms 1 place(s) fit now")
    }
    assert ways((one,), Wish((H20,), regions=("CN-GS",)))["zhisuan.region"][0] == 1
    assert "96 GiB" in ways((one,), Wish((replace(H20, device_memory_mib=200_000),)))["zhisuan.device_memory"][1]
    assert "H20:1 instead of H20:4" in ways((one,), Wish((replace(H20, accelerators=(("H20", 4),)),)))["resources.accelerators"][1]
    assert ways((one,), Wish((H20,), regions=("CN-GS",), green_ppm_min=800_000)) == {}, "no single change is enough"
    two = site("t", gang_nodes_max=4)
    pair = replace(two, nodes=(*two.nodes, replace(two.nodes[0], id="n2", devices=tuple(replace(d, id=d.id + "2") for d in two.nodes[0].devices))))
    assert "2 nodes instead of 3" in ways((pair,), Wish((Need(1000, 1024, (), nodes=3),)))["num_nodes"][1]


@given(city=snapshots(), wish=wishes)
def test_steps_count_every_node_and_the_last_leaves_what_fits(city: Snapshot, wish: Wish) -> None:
    alone = replace(wish, needs=wish.needs[:1])
    steps, made = steps_of(city, alone), plan_wish(city, alone)
    left = sum(len(s.nodes) for s in city.sites)
    for step in steps:
        left -= step.taken_out
        assert step.left == left >= 0
    if wish.needs[0].nodes == 1:
        assert left == len(made.candidates)
    assert (left == 0) == (made.chosen is None)
    binding = binding_of(steps)
    assert (binding is not None) == (made.chosen is None and bool(steps))
    assert binding is None or (binding.left == 0 and binding in steps)


@given(city=snapshots(), wish=wishes)
def test_what_is_said_to_help_helps(city: Snapshot, wish: Wish) -> None:
    found = relaxations(city, wish)
    if plan_wish(city, wish).chosen is not None:
        assert found == ()
    assert all(one.fits > 0 and one.text.zh for one in found)
    assert max(Counter(one.field for one in found).values(), default=1) == 1


@given(city=snapshots(), wish=wishes)
def test_the_best_of_each_site_is_the_first_of_all_its_candidates(city: Snapshot, wish: Wish) -> None:
    made = plan_wish(city, wish)
    firsts = {}
    for candidate in made.candidates:
        firsts.setdefault(candidate.site_id, candidate)
    assert best_of_sites(plan_wish(city, wish)) == list(firsts.values())
