"""The batch pass: rules kept by an independent check, the optimum by looking at every plan on small cases, the bound never above it."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhisuan.placement.batch.greedy import greedy
from zhisuan.placement.batch.options import options_of
from zhisuan.placement.batch.rules import plan
from zhisuan.placement.batch.types import BatchJob, BatchPlan, Problem, Site, Wish
from zhisuan.simulation.batch.check import problems_of
from zhisuan.simulation.batch.made import made_problem

SLOTS = 3


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    def numbers(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.lists(st.integers(low, high), min_size=SLOTS, max_size=SLOTS)))

    def some(of: list[str]) -> frozenset[str]:
        return frozenset(draw(st.sets(st.sampled_from(of), max_size=1)) if draw(st.integers(0, 3)) == 0 else ())

    sites = tuple(
        Site(
            f"s{n}",
            f"p{n}",
            f"r{n}",
            draw(st.sampled_from("ab")),
            numbers(0, 4),
            numbers(0, 90),
            numbers(0, 10**8),
            draw(st.integers(1, 4)),
            draw(st.integers(1, 2)),
        )
        for n in range(draw(st.integers(1, 2)))
    )
    wishes = [
        Wish(
            draw(st.integers(1, 3000)),
            draw(st.integers(1, 2)),
            draw(st.integers(1, 3)),
            (("a", 1000), ("b", 2000)) if draw(st.booleans()) else (("a", 1500),),
            draw(st.integers(0, 1)),
            draw(st.integers(0, SLOTS)),
            draw(st.integers(1, SLOTS)),
            draw(st.integers(0, 5 * 10**7)),
            draw(st.sampled_from([40, 100])),
            some(["s0", "p1"]),
            some(["s1", "p0"]),
            some(["r0"]),
        )
        for _ in range(draw(st.integers(1, 3)))
    ]
    chosen = draw(st.lists(st.sampled_from(wishes), min_size=1, max_size=4))
    return Problem(sites, tuple(BatchJob(f"j{n}", wish) for n, wish in enumerate(chosen)), SLOTS)


def least(problem: Problem) -> int:
    """The least that any plan costs, by trying every start of every job."""
    sites, weights = problem.sites, problem.weights
    choices: list[list[tuple[int, int, int, int]]] = []
    for job in problem.jobs:
        wish, mine = job.wish, [(-1, 0, 0, job.wish.value_ucny)]
        for at, site in enumerate(sites):
            rate = dict(wish.rates).get(site.device_class)
            names = {site.id, site.provider}
            if rate is None or names & wish.deny or (wish.allow and not names & wish.allow):
                continue
            if (wish.regions and site.region not in wish.regions) or wish.nodes > site.gang_nodes_max:
                continue
            if wish.cards_per_node > site.cards_per_node:
                continue
            length = -(-wish.milli_slots // rate)
            for slot in range(wish.release, min(wish.deadline, SLOTS) - length + 1):
                span = range(slot, slot + length)
                money = sum(site.price_ucny[t] for t in span) * wish.price_percent // 100
                carbon = sum(site.carbon_mg[t] * weights.carbon_ucny_per_kg // 10**6 for t in span)
                late = max(slot + length - wish.due, 0) * weights.late_ucny
                mine.append((at, slot, length, wish.nodes * wish.cards_per_node * (money + carbon + late)))
        choices.append(mine)
    best = None
    for picked in itertools.product(*choices):
        use: dict[tuple[int, int], int] = {}
        for job, (at, slot, length, _) in zip(problem.jobs, picked, strict=True):
            for t in range(slot, slot + length):
                use[at, t] = use.get((at, t), 0) + job.wish.nodes * job.wish.cards_per_node
        if all(n <= sites[at].cards[t] for (at, t), n in use.items()):
            cost = sum(one[3] for one in picked)
            best = cost if best is None else min(best, cost)
    assert best is not None
    return best


@given(problems())
@settings(max_examples=120, deadline=None)
def test_small_batches_are_planned_optimally_and_the_bound_is_true(problem: Problem) -> None:
    made = plan(problem, gap_ppm=0)
    assert problems_of(problem, made) == []
    best = least(problem)
    assert made.objective_ucny == best and made.bound_ucny <= best
    assert greedy(options_of(problem)).objective >= best


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["city", "equal"])
@pytest.mark.parametrize("load", [40, 130])
def test_large_batches_keep_every_rule_and_beat_greedy(shape: str, load: int) -> None:
    problem = made_problem(200, 12, load, 5, shape)
    made = plan(problem, time_limit_s=2)
    assert problems_of(problem, made) == []
    assert made.bound_ucny <= made.objective_ucny < greedy(options_of(problem)).objective
    assert all(one.reason.en and one.reason.zh for one in (*made.starts, *made.left_out))


def test_the_same_batch_gives_the_same_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = made_problem(30, 6, 25, 2, "equal")
    first, second = plan(problem, gap_ppm=20_000), plan(problem, gap_ppm=20_000)
    assert first.stopped != "time" and first == second


def site(name: str, **other: object) -> Site:
    given: dict[str, object] = {"provider": "p", "region": "r", "device_class": "a", "cards": (4, 4, 4), "price_ucny": (10, 10, 10), "carbon_mg": (0, 0, 0), "cards_per_node": 4, "gang_nodes_max": 1}  # fmt: skip
    return Site(name, **{**given, **other})  # type: ignore[arg-type]


def wish(**other: object) -> Wish:
    given: dict[str, object] = {"milli_slots": 1000, "nodes": 1, "cards_per_node": 4, "rates": (("a", 1000),), "release": 0, "due": 3, "deadline": 3, "value_ucny": 10**9}  # fmt: skip
    return Wish(**{**given, **other})  # type: ignore[arg-type]


def planned(sites: list[Site], *wishes: Wish) -> BatchPlan:
    problem = Problem(tuple(sites), tuple(BatchJob(f"j{n}", one) for n, one in enumerate(wishes)), SLOTS)
    made = plan(problem)
    assert problems_of(problem, made) == []
    return made


@pytest.mark.parametrize(
    "changed, binding",
    [
        ({"deny": frozenset({"p"})}, "denied"),
        ({"allow": frozenset({"elsewhere"})}, "denied"),
        ({"regions": frozenset({"x"})}, "region"),
        ({"rates": (("b", 1000),)}, "class"),
        ({"cards_per_node": 8}, "node"),
        ({"nodes": 2}, "gang"),
        ({"milli_slots": 9000}, "window"),
        ({"release": 2, "milli_slots": 1500}, "window"),
        ({"value_ucny": 5}, "capacity"),
    ],
)
def test_what_is_left_out_says_which_constraint_binds(changed: dict[str, object], binding: str) -> None:
    (left,) = planned([site("one")], wish(**changed)).left_out
    assert left.binding == binding and left.failed == ((binding, 1),)
    assert left.reason.en and left.reason.zh


def test_the_last_constraint_that_any_site_meets_up_to_is_the_binding_one() -> None:
    (left,) = planned(
        [site("one", provider="q"), site("two", region="x")], wish(deny=frozenset({"q"}), regions=frozenset({"r"}))
    ).left_out
    assert left.failed == (("denied", 1), ("region", 1)) and left.binding == "region"


def test_a_faster_class_is_worth_its_price() -> None:
    made = planned([site("slow"), site("fast", device_class="b", price_ucny=(15,) * 3)], wish(milli_slots=2000, rates=(("a", 1000), ("b", 2000))))  # fmt: skip
    (start,) = made.starts
    assert (start.site, start.slots, start.cost_ucny) == ("fast", 1, 60)
    assert "Next is slow" in start.reason.en and "其次为 slow" in start.reason.zh


def test_cards_go_to_whom_they_are_worth_more_and_the_other_is_told() -> None:
    cheap, dear = site("cheap", price_ucny=(1_000_000,) * 3), site("dear", price_ucny=(3_000_000,) * 3)
    both = planned([cheap, dear], wish(milli_slots=3000, cards_per_node=4), wish(milli_slots=3000, cards_per_node=3))
    by_job = {one.job: one for one in both.starts}
    assert by_job["j0"].site == "cheap" and by_job["j1"].site == "dear"
    assert "its cards go to jobs to which they are worth more" in by_job["j1"].reason.en


def test_the_check_finds_what_is_wrong() -> None:
    problem = made_problem(30, 5, 60, 1)
    made = plan(problem)
    start = made.starts[0]
    for wrong in (
        replace(made, starts=(start, *made.starts)),
        replace(made, starts=(replace(start, slot=-1), *made.starts[1:])),
        replace(made, starts=(replace(start, cost_ucny=1), *made.starts[1:])),
        replace(made, bound_ucny=made.objective_ucny + 1),
    ):
        assert problems_of(problem, wrong)


def test_nothing_to_plan() -> None:
    assert plan(Problem((), (), SLOTS)).objective_ucny == 0
    made = plan(Problem((), (BatchJob("j", wish()),), SLOTS))
    assert made.left_out[0].reason.en == "There are no sites."
