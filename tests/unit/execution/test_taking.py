"""Devices of many orders taken together: all or none of each, never more than there is, and nobody is waited for."""

import threading
from collections import Counter

from execution_world import node, open_site, plan_for, provider, spec
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from zhisuan.base.db import Database, Tx
from zhisuan.execution.placing import hold_sites
from zhisuan.execution.taking import _first_fitting, take_together
from zhisuan.placement.types import Candidate, NodeShares, Share
from zhisuan.supply.tables import Device

AMOUNTS = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 4), min_size=1, max_size=3)


class NoQuotas:
    def copy(self) -> "NoQuotas":
        return self

    def admits(self, number: int, candidate: Candidate) -> bool:
        return True

    def take(self, number: int, candidate: Candidate) -> None:
        pass


def candidate(amounts: dict[str, int]) -> Candidate:
    shares = tuple(Share(ident, ident, "cpu", None, amount, 0, 1_000_000) for ident, amount in amounts.items())
    return Candidate("s", "s", "p", "CN-AH", 1000, (NodeShares("n", "n", shares),), 0, 0, (), 0, 0)


@given(st.lists(st.lists(AMOUNTS, max_size=4), max_size=6), st.dictionaries(st.sampled_from("abc"), st.integers(0, 6)))
def test_each_in_its_turn_has_the_first_that_fits_beside_those_before_it(
    wished: list[list[dict[str, int]]], free: dict[str, int]
) -> None:
    options = {n: [candidate(amounts) for amounts in one] for n, one in enumerate(wished)}
    found = _first_fitting(options, free, NoQuotas())
    left = Counter(free)
    for number, candidates in options.items():
        fitting = [c for c in candidates if all(left[ident] >= amount for ident, amount in c.amounts.items())]
        assert found.get(number) is (fitting[0] if fitting else None)
        left.subtract(found[number].amounts if number in found else {})
    assert all(amount >= 0 for amount in left.values())


def taken_of(tx: Tx, cpus: list[int]) -> list[Candidate | None]:
    plans = [plan_for(tx, spec(1000 * n, 256 * n)) for n in cpus]
    return take_together(tx, plans, hold_sites(tx, plans), NoQuotas())


def allocated(database: Database) -> dict[str, int]:
    with database.begin() as tx:
        return {d.id: d.allocated for d in tx.session.scalars(select(Device)) if d.allocated}


def test_what_somebody_is_taking_is_passed_over_and_the_next_best_is_taken(database: Database) -> None:
    open_site(database, provider(database), [node("a", cores=2), node("b", cores=2), node("c", cores=2)])
    with database.begin() as other, database.begin() as tx:
        (best, *_) = plan_for(other, spec(2000)).candidates
        locked = next(share.device_id for share in best.shares if share.kind == "cpu")
        other.session.execute(update(Device).where(Device.id == locked).values(note="busy"))
        found = taken_of(tx, [2, 2, 2])
        assert sum(one is not None for one in found) == 2, "one of the three has to wait for whoever is at the third"
        assert all(locked not in one.amounts for one in found if one is not None)
    assert sum(allocated(database).values()) == 2 * (2000 + 512)


def test_what_has_gone_since_the_plan_is_not_given_twice(database: Database) -> None:
    open_site(database, provider(database), [node("a", cores=4), node("b", cores=4)])
    with database.begin() as tx:
        plans = [plan_for(tx, spec(3000)) for _ in range(3)]
        with database.begin() as other:
            other.session.execute(update(Device).where(Device.kind == "cpu", Device.allocated == 0).values(allocated=2000))
        assert take_together(tx, plans, hold_sites(tx, plans), NoQuotas()) == [None, None, None]


def test_batches_at_the_same_time_take_each_device_once(database: Database) -> None:
    open_site(database, provider(database), [node(f"n{n}", cores=4) for n in range(6)])
    wanted, given_away, lock = [1, 2, 3, 1, 2, 1, 3], Counter[str](), threading.Lock()

    def batch() -> None:
        with database.begin() as tx:
            found = taken_of(tx, wanted)
        with lock:
            for one in found:
                given_away.update(one.amounts if one is not None else {})

    threads = [threading.Thread(target=batch) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert allocated(database) == dict(given_away)
    with database.begin() as tx:
        assert all(d.allocated <= d.capacity for d in tx.session.scalars(select(Device)))
        cores = sum(given_away[d.id] for d in tx.session.scalars(select(Device).where(Device.kind == "cpu")))
    assert 13_000 <= cores <= 24_000
