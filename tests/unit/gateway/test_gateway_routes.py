"""Who sees which model, which replica is asked next, and how many calls run at once."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.gateway.errors import ApiError
from zhisuan.gateway.limits import CallLimits
from zhisuan.gateway.routes import Balancer, Choice, RouteTable
from zhisuan.wire.gateway import KeyAnswer, Replica, Route

DAY = datetime(2026, 11, 1, tzinfo=UTC)


def replica(lease: str, *, site: str = "s1", ready: bool = True, generation: int = 1) -> Replica:
    return Replica(lease_id=lease, generation=generation, site_id=site, ready=ready)


def route(
    *replicas: Replica, model: str = "guide", org: str = "org_a", days: int = 0, deployment: str = "dep_1"
) -> Route:
    return Route(deployment_id=deployment, org_id=org, model=model, upstream_model="up", version="1",
                 created=DAY + timedelta(days=days), replicas=replicas)  # fmt: skip


def key(org: str = "org_a", *models: str) -> KeyAnswer:
    return KeyAnswer(valid=True, key_id="k", org_id=org, models=models)


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), max_size=8),
    st.sampled_from("ab"),
    st.sampled_from("xyz"),
)
def test_a_key_sees_the_models_of_its_organisation_and_no_other(
    pairs: list[tuple[str, str]], org: str, model: str
) -> None:
    table = RouteTable()
    table.replace("1", [route(org=o, model=m, deployment=f"dep_{n}") for n, (o, m) in enumerate(pairs)])
    assert all(found.org_id == org for found in table.find(key(org), model))
    assert bool(table.find(key(org), model)) == ((org, model) in pairs)
    assert [r.model for r in table.models(key(org))] == sorted({m for o, m in pairs if o == org})
    assert table.find(key(org, "other"), model) == ()


def test_a_snapshot_replaces_the_one_before() -> None:
    table = RouteTable()
    table.replace("1", [route(model="a")])
    table.replace("2", [route(model="b")])
    assert (table.version, [r.model for r in table.models(key())]) == ("2", ["b"])


def balancer(reachable: set[str], time: Time | None = None) -> Balancer:
    return Balancer(lambda site: site in reachable, time or Time(), suspect_seconds=5.0)


def test_the_newest_route_with_a_replica_that_can_answer_wins() -> None:
    old, new = route(replica("old"), deployment="dep_1"), route(replica("new", ready=False), days=1, deployment="dep_2")
    table = RouteTable()
    table.replace("1", [old, new])
    chosen = balancer({"s1"}).choose(table.find(key(), "guide"), ())
    assert chosen == Choice(old, old.replicas[0])
    table.replace("2", [old, route(replica("new"), days=1, deployment="dep_2")])
    again = balancer({"s1"}).choose(table.find(key(), "guide"), ())
    assert again is not None and again.replica.lease_id == "new"


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=6), st.sets(st.integers(0, 5)))
def test_only_a_ready_connected_untried_replica_is_chosen(states: list[tuple[bool, bool]], tried: set[int]) -> None:
    replicas = [replica(f"l{n}", site="s1" if up else "s2", ready=ready) for n, (ready, up) in enumerate(states)]
    chosen = balancer({"s1"}).choose([route(*replicas)], {(f"l{n}", 1) for n in tried})
    able = {f"l{n}" for n, (ready, up) in enumerate(states) if ready and up and n not in tried}
    assert (chosen.replica.lease_id if chosen else None) in (able or {None})


def test_calls_spread_evenly_one_after_another_and_at_once() -> None:
    routes = [route(replica("a"), replica("b"), replica("c"))]
    for overlapping in (False, True):
        chooser, served = balancer({"s1"}), Counter[str]()
        held = []
        for _ in range(30):
            choice = chooser.choose(routes, ())
            assert choice is not None
            served[choice.replica.lease_id] += 1
            use = chooser.using(choice.key)
            use.__enter__()
            held.append(use) if overlapping else use.__exit__(None, None, None)
        assert set(served.values()) == {10}


def test_the_least_busy_is_chosen_and_a_suspect_comes_last_for_a_while() -> None:
    time = Time()
    chooser = balancer({"s1"}, time)
    routes = [route(replica("a"), replica("b"))]
    with chooser.using(("a", 1)), chooser.using(("a", 1)), chooser.using(("b", 1)):
        assert _lease(chooser.choose(routes, ())) == "b"
        chooser.suspect(("b", 1))
        assert _lease(chooser.choose(routes, ())) == "a"
        assert _lease(chooser.choose(routes, {("a", 1)})) == "b"
        time.now = 5.0
        assert _lease(chooser.choose(routes, ())) == "b"


def test_what_is_known_of_a_replica_that_is_gone_and_idle_is_dropped() -> None:
    chooser = balancer({"s1"})
    with chooser.using(("gone", 1)):
        with chooser.using(("idle", 1)), chooser.using(("kept", 1)):
            pass
        chooser.forget_all_but({("kept", 1)})
        assert set(chooser._book.replicas) == {("gone", 1), ("kept", 1)}


def test_limits_hold_and_every_place_is_given_back() -> None:
    limits = CallLimits(calls_max=3, calls_per_key_max=2)
    with limits.one_call("a"), limits.one_call("a"):
        with pytest.raises(ApiError) as of_key, limits.one_call("a"):
            pass
        assert (of_key.value.status, of_key.value.retry_after_seconds) == (429, 1)
        with limits.one_call("b"):
            with pytest.raises(ApiError) as full, limits.one_call("c"):
                pass
            assert full.value.status == 503
    with pytest.raises(RuntimeError), limits.one_call("a"):
        raise RuntimeError
    assert limits.running == 0
    with limits.one_call("a"), limits.one_call("a"):
        assert limits.running == 2


def _lease(choice: Choice | None) -> str | None:
    return choice.replica.lease_id if choice else None
