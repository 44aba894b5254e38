"""Credits: what a broken-off lease was charged comes back to the purses it came from, once."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_world import DU, YUAN, World, book, call, windows_of

from zhisuan.base.clock import ManualClock
from zhisuan.ledger import service as ledger
from zhisuan.ledger.tables import Transaction
from zhisuan.testing.database import START

HOUR = timedelta(hours=1)


def credit(world: World, lease: str) -> int:
    with world.tx() as tx:
        return len(ledger.credit_lease(tx, lease, "site lost its power", "someone"))


def amounts(world: World) -> dict[tuple[str, str], int]:
    with world.tx() as tx:
        return {(r.account, r.currency): r.amount for r in ledger.trial_balance(tx.session).rows if r.amount}


def test_credit_restores_every_purse(world: World, clock: ManualClock) -> None:
    world.publish(book(free_udu=DU, free_days=90, output_udu_per_million=10**6))
    org_id = world.tenant(yuan="80")
    world.buy(org_id)
    lease = world.lease(org_id)
    before = amounts(world)
    clock.advance(20 * HOUR)
    world.accept(windows_of(lease, START, 14 * 3600))
    world.accept_tokens([call("t", org_id, lease, START, output=777)])
    world.rate()
    assert world.owed(org_id) > 0
    assert credit(world, lease) == 841
    assert amounts(world) == before
    assert world.bill(org_id) == 0 and sum(c.value_ucny for c in world.charges(org_id)) == 0
    assert credit(world, lease) == 0
    world.check_books()


def test_a_credit_names_what_it_undoes(world: World, clock: ManualClock) -> None:
    org_id = world.tenant(yuan="80")
    lease = world.lease(org_id)
    clock.advance(HOUR)
    world.accept(windows_of(lease, START, 120))
    world.rate()
    originals = world.charges(org_id)
    with world.tx() as tx:
        made = ledger.credit_lease(tx, lease, "site lost its power", "someone")
        transaction = tx.session.get_one(Transaction, made[0].transaction_id)
    assert {(c.kind, c.source, c.event_id) for c in made} == {("credit", "credit", o.id) for o in originals}
    assert transaction.reverses == originals[0].transaction_id
    assert transaction.memo["reason"] == "site lost its power" and transaction.memo["by"] == "someone"
    assert all(c.at == clock.now() and c.seconds == -60 for c in made)


def test_money_for_what_was_owed_and_paid_since_goes_to_the_wallet(world: World, clock: ManualClock) -> None:
    org_id = world.tenant()
    lease, other = world.lease(org_id), world.lease(org_id)
    clock.advance(3 * HOUR)
    world.accept(windows_of(lease, START, 3600))
    world.rate()
    world.top_up(org_id, "18")
    assert (world.wallet(org_id), world.owed(org_id)) == (0, 0)
    world.accept(windows_of(other, START, 1800))
    world.rate()
    assert world.owed(org_id) == 9 * YUAN
    credit(world, lease)
    assert (world.wallet(org_id), world.owed(org_id)) == (9 * YUAN, 0)
    world.check_books()


@pytest.mark.parametrize("swept", [False, True])
def test_an_expired_grant_is_not_revived(world: World, clock: ManualClock, swept: bool) -> None:
    world.publish(book(free_udu=DU, free_days=1, packs=[("day", DU, 7 * YUAN, 1)]))
    org_id = world.tenant(yuan="7")
    world.buy(org_id, "day")
    lease = world.lease(org_id)
    clock.advance(3 * HOUR)
    world.accept(windows_of(lease, START, 90 * 60))
    world.rate()
    clock.advance(timedelta(days=5))
    if swept:
        with world.tx() as tx:
            assert ledger.close_expired_grants(tx) == 1
    credit(world, lease)
    if not swept:
        with world.tx() as tx:
            assert ledger.close_expired_grants(tx) == 1
    after = amounts(world)
    assert after["breakage", "DU"] == 2 * DU and after["breakage", "CNY"] == 7 * YUAN
    assert not any(account.startswith(("grant:", "deferred:")) for account, _ in after)
    assert ("clearing", "CNY") not in after and ("promotion", "CNY") not in after
    world.check_books()


@settings(max_examples=12)
@given(
    steps=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 900)), min_size=1, max_size=8),
    quantity=st.integers(1, 400_000),
    paid=st.integers(1, 3_000_000),
)
def test_a_pack_is_recognised_exactly_once_through_any_credits(
    world: World, clock: ManualClock, steps: list[tuple[int, int]], quantity: int, paid: int
) -> None:
    """Use and credits in turn: a pack's deferred money is what was paid minus what was recognised, and ends at zero."""
    world.publish(book(packs=[("odd", quantity, paid, None)]))
    org_id = world.tenant(yuan="3")
    world.buy(org_id, "odd")
    first = clock.now() + timedelta(minutes=1)
    leases = [world.lease(org_id, active_from=first, milli=333) for _ in range(3)]
    at = dict.fromkeys(leases, first)
    clock.advance(timedelta(hours=5))
    for which, seconds in steps:
        lease = leases[which]
        world.accept(windows_of(lease, at[lease], seconds))
        at[lease] += timedelta(seconds=seconds, minutes=1)
        world.rate()
        if seconds % 3 == 0:
            credit(world, lease)
    last = world.lease(org_id, active_from=first, milli=4000)
    world.accept(windows_of(last, first, 3600))
    world.rate()
    with world.tx() as tx:
        own = {r.account.split(":")[0]: r.amount for r in ledger.balances(tx.session, org_id)}
    assert own["grant"] == 0 and own["deferred"] == 0
    world.check_books()
