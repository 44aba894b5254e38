"""Who of the waiting starts next: order, shares, quotas and reservations as pure functions, with their properties."""

import random
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.placement.alternatives import plan_wish
from zhisuan.placement.queueing.arranging import AGEING_SECONDS, arrange, rank_of
from zhisuan.placement.queueing.line import OLDEST_SECONDS, PATIENCE_SECONDS, Line, line_up
from zhisuan.placement.queueing.quotas import Accounts, problems_of
from zhisuan.placement.queueing.reclaiming import Held, reclaim
from zhisuan.placement.queueing.reserving import START_SECONDS, Ending, emptied, kept, reserve
from zhisuan.placement.queueing.shares import HALF_LIFE_SECONDS, HOUR_SECONDS, by_hour, decayed, recent
from zhisuan.placement.queueing.types import NOTHING, Amounts, Limit, Order, Quota, total
from zhisuan.placement.site_wishes import Wish
from zhisuan.placement.types import ClassFacts, DeviceState, Need, NodeState, SiteState, Snapshot

CLASSES = (ClassFacts("cpu-core", frozenset({"cpu"}), 25_000, 1000), ClassFacts("card", frozenset({"card"}), 1_000_000, 300_000))
NOW = 1_800_000_000


def wish(cards: int = 1, cores: int = 1, nodes: int = 1) -> Wish:
    return Wish((Need(cores * 1000, 1024, (("card", cards),) if cards else (), nodes),))


def order(ident: str, org: str = "a", project: str = "", **more: object) -> Order:
    given = {"priority": 50, "since": NOW, "spot": False, "wish": wish()} | more
    return Order(ident, org, project or f"{org}-p", **given)  # type: ignore[arg-type]


def node(name: str, cards: int, *, used: int = 0, cores: int = 64) -> NodeState:
    devices = [
        DeviceState(f"{name}-cpu", "cpu", "cpu", "cpu-core", cores * 1000, 0, True),
        DeviceState(f"{name}-mem", "memory", "memory", None, 1_000_000, 0, True),
    ]
    devices += [DeviceState(f"{name}-g{n}", f"g{n}", "accelerator", "card", 1000, 1000 * (n < used), True) for n in range(cards)]
    return NodeState(name, name, True, tuple(devices))


def snapshot(*nodes: NodeState) -> Snapshot:
    site = SiteState("s1", "site one", "prov", "open", True, True, "CN-AH", 1400, 500_000, nodes, gang_nodes_max=8)
    return Snapshot((site,), CLASSES, 400_000_000, True)


def line(
    orders: list[Order], sees: Snapshot, accounts: Accounts | None = None, endings: tuple[Ending, ...] = (), now: int = NOW
) -> Line:
    accounts = accounts or Accounts((), {})
    places = arrange(orders, accounts, {}, Amounts(8000, 64000), now)
    return line_up(places, accounts, lambda _: sees, lambda: endings, now)


# ---- shares


def test_use_counts_half_a_half_life_later_and_falls_evenly_between() -> None:
    assert [decayed(1000, n * HALF_LIFE_SECONDS) for n in range(4)] == [1000, 500, 250, 125]
    assert decayed(1000, HALF_LIFE_SECONDS // 2) == 750 and decayed(1000, 3 * HALF_LIFE_SECONDS // 2) == 375


@given(st.integers(0, 10**15), st.integers(0, 40 * HALF_LIFE_SECONDS), st.integers(0, HALF_LIFE_SECONDS))
def test_decay_is_exact_and_never_grows(used: int, age: int, later: int) -> None:
    halvings, rest = divmod(age, HALF_LIFE_SECONDS)
    exact = Fraction(used) * (1 - Fraction(rest, 2 * HALF_LIFE_SECONDS)) / 2**halvings
    assert decayed(used, age) == exact.numerator // exact.denominator
    assert decayed(used, age + later) <= decayed(used, age)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**9), st.integers(0, 10**6))
def test_hours_add_up_to_what_was_held(cards: int, cores: int, begin: int, seconds: int) -> None:
    hours = by_hour(Amounts(cards, cores), begin, begin + seconds)
    assert total(hours.values()) == Amounts(cards, cores).times(seconds)
    assert all(start % HOUR_SECONDS == 0 for start in hours)
    assert recent(hours, begin + seconds).within(Amounts(cards, cores).times(seconds))


# ---- order


def test_priority_orders_an_organisations_own_work_and_puts_nobody_before_another_organisation() -> None:
    orders = [order("a1"), order("a2", priority=90), order("b1", "b", since=NOW - 1), order("b2", "b")]
    assert [p.order.id for p in arrange(orders, Accounts((), {}), {}, Amounts(8000, 8000), NOW)] == ["b1", "a2", "a1", "b2"]


def test_waiting_raises_priority_up_to_the_highest() -> None:
    old = order("old", priority=10, since=NOW - 41 * AGEING_SECONDS)
    assert rank_of(old, NOW) == 51 and rank_of(replace(old, since=0), NOW) == 100
    assert [p.order.id for p in arrange([order("new"), old], Accounts((), {}), {}, Amounts(1, 1), NOW)] == ["old", "new"]


def test_a_smaller_share_of_late_comes_first_and_weight_makes_it_smaller() -> None:
    used = {"a": Amounts(4000, 0), "a-p": Amounts(4000, 0), "b": Amounts(6000, 0), "b-p": Amounts(6000, 0)}
    used = {name: amounts.times(100 * HOUR_SECONDS) for name, amounts in used.items()}
    orders = [order("a1"), order("b1", "b")]
    assert [p.order.id for p in arrange(orders, Accounts((), {}), used, Amounts(8000, 8000), NOW)] == ["a1", "b1"]
    heavy = Accounts([Quota("b", "b", None, weight=2)], {})
    assert [p.order.id for p in arrange(orders, heavy, used, Amounts(8000, 8000), NOW)] == ["b1", "a1"]


def test_the_share_is_that_of_the_dominant_resource() -> None:
    accounts = Accounts((), {("a", "a-p"): Amounts(0, 32_000), ("b", "b-p"): Amounts(1000, 1000)})
    orders = [order("a1", wish=wish(0, 1)), order("b1", "b")]
    assert [p.order.id for p in arrange(orders, accounts, {}, Amounts(8000, 64_000), NOW)] == ["b1", "a1"]
    assert [p.order.id for p in arrange(orders, accounts, {}, Amounts(1500, 64_000), NOW)] == ["a1", "b1"]


def test_who_stays_within_the_guarantee_comes_before_who_borrows() -> None:
    quotas = [Quota("b", "b", None, Amounts(2000, 10_000))]
    accounts = Accounts(quotas, {("b", "b-p"): Amounts(1000, 1000)})
    orders = [order("a1", since=NOW - 999), order("b1", "b"), order("b2", "b")]
    places = arrange(orders, accounts, {}, Amounts(8000, 64_000), NOW)
    assert [(p.order.id, p.guaranteed) for p in places] == [("b1", True), ("a1", False), ("b2", False)]


def test_spot_work_stands_behind_all_work_on_demand() -> None:
    orders = [order("spot", since=0, spot=True), order("b1", "b")]
    assert [p.order.id for p in arrange(orders, Accounts((), {}), {}, Amounts(1, 1), NOW)] == ["b1", "spot"]


ORDERS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("pq"), st.integers(0, 100), st.integers(0, 9999), st.booleans(), st.integers(0, 4)),
    max_size=25,
)  # fmt: skip


@given(ORDERS, st.randoms(use_true_random=False))
def test_everybody_has_one_place_whatever_order_they_are_given_in(rows: list[tuple[str, str, int, int, bool, int]], rng: random.Random) -> None:
    orders = [
        order(str(n), org, f"{org}-{project}", priority=priority, since=NOW - age, spot=spot, wish=wish(cards))
        for n, (org, project, priority, age, spot, cards) in enumerate(rows)
    ]
    places = arrange(orders, Accounts((), {}), {}, Amounts(8000, 64_000), NOW)
    assert sorted(p.order.id for p in places) == sorted(o.id for o in orders)
    assert [p.number for p in places] == list(range(1, len(orders) + 1))
    mixed = rng.sample(orders, len(orders))
    assert [p.order.id for p in arrange(mixed, Accounts((), {}), {}, Amounts(8000, 64_000), NOW)] == [p.order.id for p in places]


def test_a_burst_of_a_thousand_puts_one_order_before_the_next_of_another() -> None:
    burst = [order(f"a{n:04d}", since=NOW - 50_000 + n) for n in range(1000)]
    places = arrange([*burst, order("b", "b")], Accounts((), {}), {}, Amounts(8000, 64_000), NOW)
    assert next(p.number for p in places if p.order.id == "b") <= 2


# ---- fairness over time


def _run(seed: int, slots: int, sizes: dict[str, int], seconds: int) -> tuple[dict[str, int], int]:
    """Slots of one card each; organisations with endless demand of runs of random length up to their size. Card-seconds, and the longest."""
    rng, now, number = random.Random(seed), NOW, 0
    running: list[tuple[int, str]] = []
    hours: dict[str, dict[int, Amounts]] = {org: {} for org in sizes}
    done: Counter[str] = Counter()
    while now < NOW + seconds:
        while len(running) < slots:
            held = Counter(org for _, org in running)
            accounts = Accounts((), {(org, f"{org}-p"): Amounts(1000 * n, 1000 * n) for org, n in held.items()})
            used = {org: recent(hours[org], now) for org in sizes}
            waiting = [order(f"{org}{number}", org, since=NOW) for org in sizes]
            number += 1
            org = arrange(waiting, accounts, used, Amounts(1000 * slots, 1000 * slots), now)[0].order.org_id
            length = rng.randint(1, sizes[org])
            running.append((now + length, org))
        then = min(end for end, _ in running)
        for _, org in running:
            done[org] += then - now
            for hour, amounts in by_hour(Amounts(1000, 1000), now, then).items():
                hours[org][hour] = hours[org].get(hour, NOTHING) + amounts
        now = then
        running = [(end, org) for end, org in running if end > now]
    return dict(done), max(sizes.values())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sizes", [{"a": 600, "b": 600}, {"a": 60, "b": 3000}])
def test_two_with_endless_demand_get_equal_device_seconds(seed: int, sizes: dict[str, int]) -> None:
    """The bound: once the slots have been shared out, what the two have had differs by no more than what all slots do in the longest run,
    and what the held count for, whatever the lengths of their runs."""
    slots = 4
    done, longest = _run(seed, slots, sizes, 8 * HOUR_SECONDS)
    assert abs(done["a"] - done["b"]) <= slots * (longest + HOUR_SECONDS)
    assert sum(done.values()) >= slots * 8 * HOUR_SECONDS


# ---- quotas


def test_what_is_wrong_with_quotas_is_named() -> None:
    org = Quota("o", "Huangshan", None, Amounts(8000, 8000), Limit(8000, None))
    tree = [
        org,
        Quota("p1", "vision", "o", Amounts(6000, 0), Limit(9000, None)),
        Quota("p2", "speech", "o", Amounts(4000, -1)),
        Quota("p3", "x", "p4"), Quota("p4", "y", "p3"), Quota("p5", "z", "gone", weight=0),
        Quota("p6", "w", "o", Amounts(0, 2000), Limit(None, 1000)),
    ]  # fmt: skip
    assert sorted({(p.subject, p.code) for p in problems_of(tree)}) == [
        ("o", "quota_above_parent"), ("p1", "quota_above_parent"), ("p2", "quota_negative"), ("p3", "quota_cycle"), ("p4", "quota_cycle"),
        ("p5", "quota_parent_unknown"), ("p5", "quota_weight"), ("p6", "quota_above_limit"),
    ]  # fmt: skip
    said = [p.text.en for p in problems_of(tree)]
    assert any("x → y → x" in text for text in said) and any("vision" in text and "Huangshan" in text for text in said)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_a_circle_is_found_wherever_it_is(parents: list[int]) -> None:
    tree = [Quota("o", "o", None), *(Quota(f"p{n}", f"p{n}", f"p{p}" if p < n or p < len(parents) else "o") for n, p in enumerate(parents))]
    by_subject = {q.subject: q for q in tree}

    def loops(quota: Quota) -> bool:
        at = quota.parent
        for _ in range(len(tree)):
            if at is None or at == "o":
                return False
            if at == quota.subject:
                return True
            at = by_subject[at].parent
        return False

    assert {p.subject for p in problems_of(tree) if p.code == "quota_cycle"} == {q.subject for q in tree if loops(q)}


@given(st.lists(st.tuples(st.sampled_from(["p", "q", "r"]), st.integers(0, 4), st.integers(0, 4)), max_size=30))
def test_what_accounts_let_through_never_passes_a_limit(asked: list[tuple[str, int, int]]) -> None:
    quotas = [
        Quota("o", "o", None, limit=Limit(9000, 12_000)), Quota("p", "p", "o", limit=Limit(5000, None)), Quota("q", "q", "p", limit=Limit(2000, None)),
    ]  # fmt: skip
    accounts, taken = Accounts(quotas, {}), Counter[str]()
    for project, cards, cores in asked:
        amounts = Amounts(cards * 1000, cores * 1000)
        if accounts.blocked("o", project, amounts) is None:
            accounts.take("o", project, amounts)
            for subject in {"p": "po", "q": "qpo", "r": "ro"}[project]:
                taken[subject] += cards
    assert taken["o"] <= 9 and taken["p"] <= 5 and taken["q"] <= 2
    assert accounts.held("o").cards_milli == taken["o"] * 1000 and accounts.held("o").cores_milli <= 12_000


def test_a_used_up_quota_holds_up_nobody_else() -> None:
    accounts = Accounts([Quota("a", "a", None, limit=Limit(1000, None))], {})
    found = line([order("a1", since=1), order("a2", since=2), order("b1", "b")], snapshot(node("n", 4)), accounts)
    assert {s.place.order.id: s.state for s in found.standings} == {"a1": "starts", "a2": "quota", "b1": "starts"}
    blocked = found.of("a2")
    assert blocked is not None and blocked.blocked is not None and blocked.blocked.text.en == (
        "The quota of a is used up: 1 cards held, 1 asked for, limit 1."
    )


def test_spot_work_of_the_borrowing_project_is_ended_for_one_that_is_owed() -> None:
    quotas = [
        Quota("o", "o", None, Amounts(4000, 0), Limit(4000, None)), Quota("p", "p", "o", Amounts(2000, 0)), Quota("q", "q", "o", Amounts(2000, 0)),
    ]  # fmt: skip
    accounts = Accounts(quotas, {("o", "p"): Amounts(4000, 0)})
    spot = [Held(f"l{n}", "o", "p", Amounts(1000, 0), loss_udu=n, began=n) for n in range(4)]
    owed = order("w", "o", "q", wish=wish(1, 0))
    assert reclaim(accounts, owed, spot) == ("l0",)
    assert reclaim(accounts, replace(owed, wish=wish(2, 0)), spot) == ("l0", "l1")
    assert reclaim(accounts, replace(owed, wish=wish(3, 0)), spot) == (), "it would borrow itself"
    assert reclaim(accounts, replace(owed, project_id="p"), spot) == ()


# ---- reservations


def test_a_large_order_is_not_starved_by_small_ones_and_short_ones_pass() -> None:
    sees = snapshot(node("n", 4, used=2))
    big = order("big", wish=wish(4), since=NOW - PATIENCE_SECONDS)
    ends = (Ending("l", "s1", (("n-g0", 1000), ("n-g1", 1000)), NOW + 600),)
    small, short = order("small", "b"), order("short", "b", seconds_max=600 - START_SECONDS)
    long = order("long", "b", seconds_max=600 - START_SECONDS + 1)
    found = line([big, small, short, long], sees, Accounts((), {("b", "b-p"): Amounts(2000, 0)}), ends)
    assert {s.place.order.id: s.state for s in found.standings} == {
        "big": "reserved", "small": "no_place", "short": "starts", "long": "no_place",
    }  # fmt: skip
    held = found.of("big")
    assert held is not None and held.reservation is not None and held.reservation.at == NOW + 600


def test_the_oldest_is_not_starved_by_however_many_with_smaller_shares() -> None:
    sees = snapshot(node("n", 4, used=2))
    ends = (Ending("l", "s1", (("n-g0", 1000), ("n-g1", 1000)), None),)
    accounts = Accounts((), {("a", "a-p"): Amounts(4000, 0)})
    small = [order(f"s{n}", f"org{n}") for n in range(5)]
    young = line([order("big", wish=wish(4), since=NOW - OLDEST_SECONDS + 1), *small], sees, accounts, ends)
    assert {s.state for s in young.standings[:5]} == {"starts"}
    old = line([order("big", wish=wish(4), since=NOW - OLDEST_SECONDS), *small], sees, accounts, ends)
    assert [s.state for s in old.standings] == ["no_place"] * 5 + ["reserved"]
    assert len(old.reserved_before("s0")) == len(old.reserved_before(None)) == 1 and old.reserved_before("big") == ()
    orders = [order("big", wish=wish(4), since=NOW - OLDEST_SECONDS), *small]
    free = line_up(arrange(orders, accounts, {}, Amounts(8000, 64000), NOW), accounts, lambda _: snapshot(node("n", 4)), tuple, NOW, old)
    assert [o.id for o in free.starting] == ["big"], "it is kept for until it has started"


def test_devices_that_the_large_order_will_not_take_are_free_for_others() -> None:
    sees = snapshot(node("n", 4, used=2), node("m", 1), node("c", 0))
    big = order("big", wish=wish(4), since=0)
    ends = (Ending("l", "s1", (("n-g0", 1000), ("n-g1", 1000)), None),)
    orders = [big, order("card", "b"), order("cpu", "c", wish=wish(0, 60)), order("both", "d", wish=wish(1, 60), since=NOW + 1)]
    found = line(orders, sees, Accounts((), {(o, f"{o}-p"): Amounts(8000, 0) for o in "bcd"}), ends)
    states = {s.place.order.id: s.state for s in found.standings}
    assert states == {"big": "reserved", "card": "starts", "cpu": "starts", "both": "starts"}
    seen = kept(sees, [s.reservation for s in found.standings if s.reservation], None, NOW)
    chosen = plan_wish(seen, wish(1)).chosen
    assert chosen is not None and chosen.hostnames == ("m",) and plan_wish(seen, wish(2)).chosen is None


def test_nothing_is_kept_for_one_that_has_just_come_or_would_not_fit_even_then_or_is_spot() -> None:
    sees = snapshot(node("n", 4, used=2))
    ends = (Ending("l", "s1", (("n-g0", 1000), ("n-g1", 1000)), None),)
    for one in (
        order("x", wish=wish(4), since=NOW - PATIENCE_SECONDS + 1), order("x", wish=wish(8), since=0),
        order("x", wish=wish(4), since=0, spot=True),
    ):  # fmt: skip
        assert [s.state for s in line([one], sees, endings=ends).standings] == ["no_place"]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=4), st.lists(st.integers(1, 900), min_size=4, max_size=16), st.integers(1, 4))
def test_a_reservation_is_for_the_first_moment_at_which_the_order_fits(used: list[int], times: list[int], cards: int) -> None:
    """Against a plain look at every moment, one after the other."""
    sees = snapshot(*(node(f"n{n}", 4, used=u) for n, u in enumerate(used)))
    busy = [f"n{n}-g{g}" for n, u in enumerate(used) for g in range(u)]
    ends = [Ending(f"l{n:02d}", "s1", ((d, 1000),), NOW + times[n % len(times)]) for n, d in enumerate(busy)]

    def fits(at: int) -> bool:
        most = max(sum(1 for g in range(4) if g >= u or ends[busy.index(f"n{n}-g{g}")].at <= at) for n, u in enumerate(used))  # type: ignore[operator]
        return most >= cards

    if fits(NOW):
        return
    found = reserve(sees, emptied(sees, ends), order("x"), wish(cards), ends, NOW)
    assert found is not None and found.at == min(e.at for e in ends if fits(e.at or 0))  # type: ignore[type-var]
