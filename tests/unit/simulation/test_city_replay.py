"""The replay of a city: a tiny one worked out by hand, and what must hold for every made one."""

from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhisuan.base.money import cost_ucny, div_half_even
from zhisuan.catalog.price_file import default_price_book
from zhisuan.placement.types import Need
from zhisuan.simulation.city.making import Size, make_city, make_jobs
from zhisuan.simulation.city.policies import POLICIES
from zhisuan.simulation.city.replay import Replay, Rules
from zhisuan.simulation.city.results import jobs_table, summary
from zhisuan.simulation.city.types import HOUR, City, CitySite, Job, NodeGroup, Outage

A100 = "nvidia-a100-sxm4-80g"
ONE = (Need(1000, 1024, ((A100, 1),)),)
TWO = (Need(1000, 1024, ((A100, 2),)),)


def site(name: str, *, cards: int = 2, nodes: int = 1, grid: int = 500_000, opens: int = 0, closes: int = 24, class_id: str = A100) -> CitySite:
    return CitySite(
        name, f"owner-{name}", "CN-AH", 31_000_000, 117_000_000, 1250, 4, opens, closes, "flat", None, (400_000,) * 24, (grid,) * 24,
        (NodeGroup(nodes, 64, 1 << 18, class_id, cards),),
    )  # fmt: skip


def city_of(jobs: list[Job], *sites: CitySite, outages: tuple[Outage, ...] = ()) -> City:
    return City(sites, {"a": sites[0].name, "b": sites[0].name}, {}, default_price_book(), tuple(sorted(jobs, key=lambda j: j.at)), outages)


def run(city: City, policy: str = "fifo", **more: int) -> Replay:
    replay = Replay(city, Rules(POLICIES[policy], **more), lambda: 0, lambda done: None)
    replay.run()
    return replay


def spans(replay: Replay) -> list[tuple[str, int, int, str]]:
    return [(replay.city.jobs[x.job].name, x.start, x.end, x.ended) for x in sorted(replay.leases, key=lambda x: x.number)]


def test_a_tiny_city_worked_out_by_hand() -> None:
    """Two cards; x and y hold one each, z wants both and waits for the later of them, w overtakes it."""
    jobs = [Job("x", "a", 0, 3600, ONE), Job("y", "a", 0, 7200, ONE), Job("z", "b", 60, 1800, TWO), Job("w", "b", 120, 600, ONE)]
    replay = run(city_of(jobs, site("s")))
    assert spans(replay) == [("x", 0, 3600, "finished"), ("y", 0, 7200, "finished"), ("w", 3600, 4200, "finished"), ("z", 7200, 9000, "finished")]
    result = summary(replay)
    seconds = 3600 + 7200 + 600 + 2 * 1800
    # An A100 is 1 度 an hour, 18 yuan; cores beside it are free. The 600 s of w are metered as 166,666 of 10⁻⁶ 度, cut down.
    assert result["totals"]["cost_ucny"] == 18_000_000 * seconds // 3600 - 12
    assert result["totals"]["earned_ucny"] + result["totals"]["fee_ucny"] == result["totals"]["cost_ucny"]
    assert result["totals"]["fee_ucny"] == 7_499_999
    # 400 W a card and 5 W for the core, PUE 1.25, 500 g/kWh.
    watts = 400 * seconds + 5 * (3600 + 7200 + 600 + 1800)
    assert result["totals"]["energy_uwh"] == watts * 1250 * 1000 // 3600
    assert result["totals"]["carbon_ug"] == result["totals"]["energy_uwh"] // 2
    assert result["totals"]["power_ucny"] == result["totals"]["energy_uwh"] * 400_000 // 10**9
    assert result["wait_seconds"] == {"mean": (0 + 0 + 7140 + 3480) // 4, "p50": 0, "p95": 7140, "most": 7140}
    assert [hour["waiting_mean_milli"] for hour in result["hours"]] == [(3540 + 3480) * 1000 // 3600, 1000, 0]
    assert [hour["allocated_ppm"][A100] for hour in result["hours"]] == [10**6, (3600 + 600) * 10**6 // 7200, 10**6]
    assert (result["seconds"], result["jobs"]["done"], result["used_milli_seconds"][A100]) == (9000, 4, seconds * 1000)


def test_nothing_overtakes_under_the_strict_policy() -> None:
    jobs = [Job("x", "a", 0, 3600, ONE), Job("z", "b", 60, 1800, TWO), Job("w", "b", 120, 600, ONE)]
    assert [s[:2] for s in spans(run(city_of(jobs, site("s")), "strict"))] == [("x", 0), ("z", 3600), ("w", 5400)]
    assert [s[:2] for s in spans(run(city_of(jobs, site("s"))))] == [("x", 0), ("w", 120), ("z", 3600)]


def test_policies_order_what_waits() -> None:
    jobs = [Job("x", "a", 0, 100, TWO), Job("long", "a", 1, 900, TWO), Job("short", "a", 2, 50, TWO), Job("small", "b", 3, 500, ONE)]
    first = {policy: spans(run(city_of(jobs, site("s")), policy))[1][0] for policy in POLICIES}
    assert first == {"fifo": "long", "strict": "long", "shortest": "short", "smallest": "small", "fair": "long"}
    busy = [Job("x", "a", 0, 900, TWO), Job("y", "b", 0, 100, TWO), Job("mine", "a", 1, 100, TWO), Job("theirs", "b", 2, 100, TWO)]
    assert [s[0] for s in spans(run(city_of(busy, site("s"), site("t")), "fair"))][2] == "theirs"


def test_the_greener_of_two_equal_sites_is_taken() -> None:
    replay = run(city_of([Job("x", "a", 0, 60, ONE)], site("dirty", grid=900_000), site("green", grid=100_000)))
    assert replay.fates[0].site == "green"


def test_spot_work_makes_way_with_notice_and_goes_on_from_what_it_has_done() -> None:
    jobs = [Job("spot", "a", 0, 7200, TWO, spot=True), Job("must", "b", 1000, 600, ONE)]
    replay = run(city_of(jobs, site("s")))
    assert spans(replay) == [("spot", 0, 1030, "preempted"), ("must", 1030, 1630, "finished"), ("spot", 1630, 1630 + 7200 - 1030, "finished")]
    assert (replay.fates[0].preempted, replay.fates[0].state) == (1, "done")
    # Half of the price on demand; each of the two runs is metered by itself, which cuts 10⁻⁶ 度 off.
    assert replay.fates[0].cost_ucny == 9_000_000 * 2 * 7200 // 3600 - 9


def test_an_outage_loses_work_that_is_not_charged_and_runs_again_from_its_checkpoint() -> None:
    replay = run(city_of([Job("x", "a", 0, 9000, ONE)], site("s"), outages=(Outage("s", 1, 2),)))
    assert spans(replay) == [("x", 0, 3600, "lost"), ("x", 3 * HOUR, 3 * HOUR + 9000 - 3600, "finished")]
    result = summary(replay)
    assert (result["totals"]["credited_ucny"], result["totals"]["cost_ucny"]) == (18_000_000, 18_000_000 * 5400 // 3600)
    assert result["lost"] == 1


def test_a_site_takes_new_work_in_its_hours_only_and_what_runs_goes_on() -> None:
    jobs = [Job("x", "a", 0, 60, ONE), Job("y", "a", 21 * HOUR + 3000, 7200, ONE)]
    assert [s[1:3] for s in spans(run(city_of(jobs, site("s", opens=20, closes=22))))] == [(20 * HOUR, 20 * HOUR + 60), (21 * HOUR + 3000, 23 * HOUR + 3000)]


def test_on_the_other_class_work_takes_as_many_degrees() -> None:
    """An L40S is 0.65 度 an hour: 650 seconds of an A100 take 1,000."""
    either = (*ONE, Need(1000, 1024, (("nvidia-l40s-48g", 1),)))
    replay = run(city_of([Job("x", "a", 0, 650, either)], site("s", class_id="nvidia-l40s-48g")))
    assert spans(replay) == [("x", 0, 1000, "finished")]


def test_work_that_must_be_near_goes_only_where_links_reach() -> None:
    near = Job("x", "a", 0, 60, ONE, within_us=5000)
    sites = (site("home", class_id="nvidia-l40s-48g"), site("far", grid=1), site("close", grid=900_000))
    city = replace(city_of([near], *sites), links_us={("home", "far"): 9000, ("home", "close"): 4000})
    assert run(city).fates[0].site == "close"
    alone = run(replace(city, links_us={}))
    assert (alone.fates[0].state, "nvidia-a100" in alone.fates[0].reason["en"]) == ("refused", True)


def test_what_no_site_could_ever_take_is_refused_with_the_reason_and_what_waits_says_why() -> None:
    jobs = [Job("much", "a", 0, 60, (Need(1000, 1024, ((A100, 3),)),)), Job("x", "a", 0, 9000, TWO), Job("y", "a", 1, 60, ONE)]
    replay = run(city_of(jobs, site("s")), until=7200)
    assert [fate.state for fate in replay.fates] == ["refused", "running", "waiting"]
    assert "fewer cards" in replay.fates[0].reason["en"] and "fewer free cards" in replay.fates[2].reason["en"]
    assert (replay.now, replay.fates[2].waited) == (7200, 7199)


sizes = st.builds(
    Size, sites=st.integers(1, 4), devices=st.integers(1, 24), orgs=st.integers(1, 3), jobs=st.integers(12, 30), hours=st.integers(1, 24),
    load_percent=st.integers(20, 200),
)  # fmt: skip


@settings(max_examples=15)
@given(size=sizes, seed=st.integers(0, 1000), policy=st.sampled_from(sorted(POLICIES)), until=st.sampled_from((None, 7000, 90_000)), data=st.data())
def test_what_holds_for_every_made_city(size: Size, seed: int, policy: str, until: int | None, data: st.DataObject) -> None:
    city = make_jobs(make_city(size, seed), size, seed)
    if data.draw(st.booleans()):
        city = replace(city, outages=(Outage(data.draw(st.sampled_from([s.name for s in city.sites])), data.draw(st.integers(0, 20)), 3),))
    replay = Replay(city, Rules(POLICIES[policy], until=until), lambda: 0, lambda done: None)
    replay.run()
    result = summary(replay)
    _capacity_holds(replay)
    _money_and_devices_add_up(replay, result)
    _every_job_has_a_fate(replay)
    again = Replay(city, Rules(POLICIES[policy], until=until), lambda: 0, lambda done: None)
    again.run()
    assert (summary(again), jobs_table(again)) == (result, jobs_table(replay))


def _capacity_holds(replay: Replay) -> None:
    """From the leases alone: no device is held by more than it has, at any moment."""
    capacity = {d.id: d.capacity for site in replay.board.snapshot().sites for node in site.nodes for d in node.devices}
    changes: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for lease in replay.leases:
        for _, shares in lease.held:
            for device, amount in shares:
                changes[device] += [(lease.start, amount), (lease.end, -amount)]
    for device, found in changes.items():
        held = 0
        for _, amount in sorted(found):
            held += amount
            assert held <= capacity[device]


def _money_and_devices_add_up(replay: Replay, result: dict[str, object]) -> None:
    book = replay.city.book
    cost, milli_seconds = 0, Counter[str]()
    for lease in replay.leases:
        seconds = lease.end - lease.start
        cost += 0 if lease.ended == "lost" else cost_ucny(lease.rate_udu_per_hour * seconds // 3600, book.price_e8_per_du(spot=lease.spot))
        for _, shares in lease.held:
            for device, amount in shares:
                if not device.endswith("/mem"):
                    milli_seconds["cpu-core" if device.endswith("/cpu") else str(lease.class_id)] += amount * seconds
    account = replay.account
    assert account.total["cost_ucny"] == cost == account.total["earned_ucny"] + account.total["fee_ucny"]
    assert cost == sum(fate.cost_ucny for fate in replay.fates)
    for owners in (account.by_org, account.by_provider, account.by_site, account.by_hour):
        for name in ("cost_ucny", "energy_uwh", "carbon_ug", "power_ucny", "card_seconds"):
            assert sum(sums[name] for sums in owners.values()) == account.total[name]
    pue = {site.name: site.pue_milli for site in replay.city.sites}
    exact = sum(lease.power_milliwatts * (lease.end - lease.start) * pue[lease.site] for lease in replay.leases)
    assert abs(account.total["energy_uwh"] - div_half_even(exact, 3600)) <= len(replay.leases)
    assert {k: v for k, v in result["used_milli_seconds"].items() if v} == +milli_seconds  # type: ignore[attr-defined]


def _every_job_has_a_fate(replay: Replay) -> None:
    done: Counter[int] = Counter()
    for lease in replay.leases:
        done[lease.job] += lease.ended == "finished"
    for number, fate in enumerate(replay.fates):
        assert done[number] == (fate.state == "done")
        if fate.state in ("refused", "waiting"):
            assert fate.reason["en"] and fate.reason["zh"]
        elif fate.state == "to_come":
            assert replay.rules.until is not None and replay.city.jobs[number].at >= replay.rules.until
        else:
            assert fate.state in ("done", "running")


def test_more_capacity_can_finish_less_which_is_why_nobody_says_it_cannot() -> None:
    """A scheduling anomaly (Graham 1969): with a fourth card the long job fits beside the first one, overtakes, and then keeps the wide
    ones from their three cards; with three cards it has to wait until they are done."""
    wide = [Job(f"wide{n}", "b", 1, 10, (Need(1000, 1024, ((A100, 3),)),)) for n in range(5)]
    jobs = [Job("first", "a", 0, 1000, TWO), *wide, Job("long", "a", 2, 10_000, TWO)]
    done = {cards: summary(run(city_of(jobs, site("s", cards=cards)), until=5000))["jobs"]["done"] for cards in (3, 4)}
    assert done == {3: 6, 4: 1}
    strict = {cards: summary(run(city_of(jobs, site("s", cards=cards)), "strict", until=5000))["jobs"]["done"] for cards in (3, 4)}
    assert strict == {3: 6, 4: 6}


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_the_clock_stops_where_it_is_told_to(policy: str) -> None:
    size = Size(3, 24, 2, 60, 20, 200)
    replay = run(make_jobs(make_city(size, 4), size, 4), policy, until=5 * HOUR)
    assert replay.now == 5 * HOUR and max(lease.end for lease in replay.leases) == 5 * HOUR
