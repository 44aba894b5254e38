"""The books: zero sums, floors, one transaction a cause, balances that are their entries."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_world import World
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from zhisuan.base.clock import ManualClock
from zhisuan.base.errors import Conflict
from zhisuan.ledger.accounts import (
    CLEARING,
    EXTERNAL_PAYMENTS,
    ISSUED_DU,
    SHARED,
    Leg,
    arrears,
    floor_of,
    grant,
    wallet,
)
from zhisuan.ledger.posting import merged
from zhisuan.ledger.service import Unbalanced, balance_of, post, rebuild_balances_check, trial_balance
from zhisuan.ledger.tables import Entry, Transaction


def test_unbalanced_is_refused_by_currency(world: World) -> None:
    with world.tx() as tx, pytest.raises(Unbalanced):
        post(tx, "t", "c", [Leg(wallet("o"), "CNY", 5), Leg(grant("g"), "DU", -5)])
    with world.tx() as tx, pytest.raises(Unbalanced):
        post(tx, "t", "c", [Leg(wallet("o"), "CNY", 5)])


def test_a_cause_is_booked_once(world: World) -> None:
    legs = [Leg(EXTERNAL_PAYMENTS, "CNY", -5), Leg(wallet("o"), "CNY", 5)]
    with world.tx() as tx:
        first = post(tx, "t", "c", legs)
        assert post(tx, "t", "c", list(reversed(legs))) == first
    with world.tx() as tx:
        assert post(tx, "t", "c", legs) == first
        assert post(tx, "other", "c", legs) != first
        with pytest.raises(Conflict, match="booked as t before"):
            post(tx, "t", "c", [Leg(EXTERNAL_PAYMENTS, "CNY", -6), Leg(wallet("o"), "CNY", 6)])
    with world.tx() as tx:
        assert balance_of(tx.session, wallet("o")) == 10


def test_overdrawing_is_refused_and_changes_nothing(world: World) -> None:
    with pytest.raises(Conflict, match=r"wallet:o holds 0\.00 CNY and cannot give 0\.000005"), world.tx() as tx:
        post(tx, "t", "c", [Leg(wallet("o"), "CNY", -5), Leg(CLEARING, "CNY", 5)])
    with world.tx() as tx:
        assert trial_balance(tx.session).rows == ()
        assert tx.session.scalars(select(Transaction)).all() == []


def test_the_database_itself_refuses_an_overdrawn_balance(world: World) -> None:
    org_id = world.tenant(yuan="1")
    with pytest.raises(IntegrityError, match="not_overdrawn"), world.tx() as tx:
        tx.session.execute(text("UPDATE ledger_balance SET amount = -1 WHERE account = :a"), {"a": wallet(org_id)})


def test_zero_legs_and_repeated_accounts_become_one_entry_each(world: World) -> None:
    with world.tx() as tx:
        legs = [
            Leg(CLEARING, "CNY", 3),
            Leg(CLEARING, "CNY", 4),
            Leg(EXTERNAL_PAYMENTS, "CNY", -7),
            Leg(ISSUED_DU, "DU", 0),
        ]
        ident = post(tx, "t", "c", legs)
        entries = tx.session.scalars(select(Entry).where(Entry.transaction_id == ident).order_by(Entry.number)).all()
        assert {(e.account, e.amount) for e in entries} == {(CLEARING, 7), (EXTERNAL_PAYMENTS, -7)}


def test_owned_accounts_are_locked_before_shared_ones() -> None:
    legs = [
        Leg(name, "CNY", n - 3)
        for n, name in enumerate(
            [CLEARING, wallet("z"), arrears("a"), EXTERNAL_PAYMENTS, "rounding", wallet("b"), "promotion"]
        )
    ]
    names = [leg.account for leg in merged(legs)]
    first_shared = next(n for n, name in enumerate(names) if name in SHARED)
    assert names[:first_shared] == sorted(names[:first_shared]) and set(names[first_shared:]) <= SHARED


def test_names_that_are_no_account_are_refused(world: World) -> None:
    for name in ("wallet", "wallet:", "cash", "external", "issued:tokens"):
        with pytest.raises(ValueError):
            floor_of(name)
    assert [floor_of(n) for n in ("wallet:o", "grant:g", "deferred:g", "arrears:o", "provider:p:payable", "clearing")] == [
        0, 0, 0, None, None, None,
    ]  # fmt: skip


def test_trial_balance_of_a_past_instant(world: World, clock: ManualClock) -> None:
    org_id = world.tenant(yuan="10")
    before = clock.now()
    clock.advance(timedelta(hours=1))
    world.top_up(org_id, "5")
    with world.tx() as tx:
        past, present = trial_balance(tx.session, before), trial_balance(tx.session)
    assert past.is_zero and present.is_zero
    amounts = [{row.account: row.amount for row in tb.rows}[wallet(org_id)] for tb in (past, present)]
    assert amounts == [10_000_000, 15_000_000]


@settings(max_examples=25)
@given(
    moves=st.lists(
        st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(["a", "b", "c"]), st.integers(-50, 50)), max_size=12
    )
)
def test_balances_are_the_sums_of_entries_and_never_below_their_floor(
    world: World, moves: list[tuple[str, str, int]]
) -> None:
    expected = dict.fromkeys("abc", 20)
    run = next(world.numbers)
    names = {name: wallet(f"{name}{run}") for name in "abc"}
    with world.tx() as tx:
        for name in names.values():
            post(tx, "seed", name, [Leg(EXTERNAL_PAYMENTS, "CNY", -20), Leg(name, "CNY", 20)])
    for number, (source, target, amount) in enumerate(moves):
        after = dict(expected)
        after[source] -= amount
        after[target] += amount
        legs = [Leg(names[source], "CNY", -amount), Leg(names[target], "CNY", amount)]
        if min(after.values()) < 0:
            with pytest.raises(Conflict), world.tx() as tx:
                post(tx, "move", f"{run}.{number}", legs)
        else:
            with world.tx() as tx:
                post(tx, "move", f"{run}.{number}", legs)
            expected = after
    with world.tx() as tx:
        assert {n: balance_of(tx.session, account) for n, account in names.items()} == expected
        assert trial_balance(tx.session).is_zero and rebuild_balances_check(tx.session) == ()


def test_the_rebuild_check_finds_a_changed_balance(world: World) -> None:
    org_id = world.tenant(yuan="10")
    with world.tx() as tx:
        tx.session.execute(
            text("UPDATE ledger_balance SET amount = amount + 1 WHERE account = :a"), {"a": wallet(org_id)}
        )
        found = rebuild_balances_check(tx.session)
        assert [(d.subject, d.kept, d.recomputed) for d in found] == [(f"{wallet(org_id)} CNY", 10_000_001, 10_000_000)]
