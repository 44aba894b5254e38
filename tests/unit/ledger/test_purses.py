"""Accounts, top-ups, packs, what can be spent, and grants that expire."""

from datetime import timedelta

import pytest
from ledger_world import DU, YUAN, World, book, windows_of
from sqlalchemy import select

from zhisuan.base.clock import ManualClock
from zhisuan.base.errors import Conflict, InvalidInput, NotFound, PaymentRequired
from zhisuan.base.money import Money
from zhisuan.catalog.tables import Order
from zhisuan.ledger import service as ledger
from zhisuan.ledger.tables import Grant
from zhisuan.tenancy.tables import Organisation
from zhisuan.testing.database import START

PRICE = 1_800_000_000


def test_a_tenant_gets_the_free_quota_once(world: World, clock: ManualClock) -> None:
    world.publish(book(free_udu=DU, free_days=90))
    org_id = world.tenant()
    with world.tx() as tx:
        ledger.open_account(tx, org_id)
        funds = ledger.funds(tx.session, org_id, tx.now)
    assert [(g.kind, g.quantity_udu, g.left_udu) for g in funds.grants] == [("free", DU, DU)]
    assert funds.grants[0].expires_at == START + timedelta(days=90)
    clock.advance(timedelta(days=90))
    with world.tx() as tx:
        assert ledger.funds(tx.session, org_id, tx.now).grants == ()
    world.check_books()


def test_only_tenants_get_free_quota_and_unknown_organisations_nothing(world: World) -> None:
    world.publish(book(free_udu=DU))
    with world.tx() as tx:
        tx.session.add(Organisation(id="org_p", kind="provider", name="p", region=None, created_at=tx.now))
        tx.session.flush()
        ledger.open_account(tx, "org_p")
        assert ledger.funds(tx.session, "org_p", tx.now).grants == ()
    with pytest.raises(NotFound), world.tx() as tx:
        ledger.open_account(tx, "org_nobody")


def test_a_payment_is_booked_once(world: World) -> None:
    org_id, other = world.tenant(), world.tenant()
    for _ in range(3):
        world.top_up(org_id, "12.345678", reference="same")
    assert world.wallet(org_id) == 12_345_678
    with pytest.raises(Conflict), world.tx() as tx:
        ledger.top_up(tx, org_id, Money.yuan("1"), "bank", "same", "someone")
    with pytest.raises(Conflict), world.tx() as tx:
        ledger.top_up(tx, other, Money.yuan("12.345678"), "bank", "same", "someone")
    assert (world.wallet(org_id), world.wallet(other)) == (12_345_678, 0)
    world.check_books()


@pytest.mark.parametrize("ucny", [0, -1, 10**16])
def test_impossible_amounts_are_refused(world: World, ucny: int) -> None:
    org_id = world.tenant()
    with pytest.raises(InvalidInput), world.tx() as tx:
        ledger.top_up(tx, org_id, Money(ucny), "bank", "r", "someone")


def test_a_pack_is_paid_whole_from_the_wallet(world: World) -> None:
    org_id = world.tenant(yuan="150")
    order_id = world.buy(org_id, quantity=2)
    with world.tx() as tx:
        order = tx.session.get_one(Order, order_id)
        assert (order.quantity, order.amount_ucny, order.quantity_udu) == (2, 140 * YUAN, 20 * DU)
        amounts = {row.account.split(":")[0]: row.amount for row in ledger.balances(tx.session, org_id)}
        assert amounts == {"wallet": 10 * YUAN, "arrears": 0, "grant": 20 * DU, "deferred": 140 * YUAN}
    world.check_books()


def test_a_wallet_that_is_short_buys_nothing_and_says_what_is_missing(world: World) -> None:
    org_id = world.tenant(yuan="69.99")
    with (
        pytest.raises(
            PaymentRequired, match=r"costs 70.00 yuan; the wallet holds 69.99 yuan, 0.01 yuan are missing"
        ) as caught,
        world.tx() as tx,
    ):
        ledger.buy_pack(tx, org_id, "pack-10", 1, "someone")
    assert caught.value.extra == {"price_ucny": 70 * YUAN, "wallet_ucny": 69_990_000, "missing_ucny": 10_000}
    with world.tx() as tx:
        assert tx.session.scalars(select(Order)).all() == [] and tx.session.scalars(select(Grant)).all() == []
    assert world.wallet(org_id) == 69_990_000


def test_unknown_products_and_senseless_quantities(world: World) -> None:
    org_id = world.tenant(yuan="1000")
    with pytest.raises(NotFound), world.tx() as tx:
        ledger.buy_pack(tx, org_id, "pack-7", 1, "someone")
    for quantity in (0, -1, 10**9):
        with pytest.raises(InvalidInput), world.tx() as tx:
            ledger.buy_pack(tx, org_id, "pack-10", quantity, "someone")


def test_work_needs_funds_for_its_first_minute(world: World) -> None:
    """One card at 18 yuan an hour takes 0.30 yuan for a minute."""
    org_id = world.tenant(yuan="0.299988")
    with world.tx() as tx, pytest.raises(PaymentRequired, match=r"takes 0\.016667 度 for its first 60 s") as caught:
        ledger.require_funds(ledger.funds(tx.session, org_id, tx.now), DU, PRICE)
    assert caught.value.code == "empty_wallet" and caught.value.extra["needed_udu"] == 16_667
    world.top_up(org_id, "0.000018")
    with world.tx() as tx:
        ledger.require_funds(ledger.funds(tx.session, org_id, tx.now), DU, PRICE)
        ledger.require_funds(ledger.funds(tx.session, org_id, tx.now), DU * 10**6, 0)


def test_what_is_owed_is_paid_first(world: World, clock: ManualClock) -> None:
    org_id = world.tenant(yuan="10")
    lease = world.lease(org_id)
    clock.advance(timedelta(hours=2))
    world.accept(windows_of(lease, START, 3600))
    world.rate()
    assert world.wallet(org_id) + 18 * YUAN == 10 * YUAN + world.owed(org_id)
    owed = world.owed(org_id)
    world.top_up(org_id, "3")
    assert world.owed(org_id) == owed - 3 * YUAN
    world.top_up(org_id, "20")
    assert world.owed(org_id) == 0 and world.wallet(org_id) == 15 * YUAN
    world.check_books()


def test_exhausted_organisations(world: World, clock: ManualClock) -> None:
    world.publish(book(free_udu=DU, free_days=1))
    fresh, rich, poor = world.tenant(), world.tenant(yuan="100"), world.tenant(yuan="1")
    leases = [world.lease(poor), world.lease(rich)]
    world.publish(book())
    empty = world.tenant()

    def exhausted(among: list[str] | None = None) -> list[str]:
        with world.tx() as tx:
            return ledger.exhausted_orgs(tx.session, tx.now, among)

    assert exhausted() == [empty]
    clock.advance(timedelta(hours=3))
    for lease in leases:
        world.accept(windows_of(lease, START, 7200))
    world.rate()
    assert exhausted() == sorted([poor, empty])
    assert exhausted([poor, rich]) == [poor]
    clock.advance(timedelta(days=1))
    assert exhausted() == sorted([fresh, poor, empty])
    world.top_up(poor, "100")
    assert exhausted() == sorted([fresh, empty])


def test_an_expired_pack_becomes_breakage_after_the_grace(world: World, clock: ManualClock) -> None:
    world.publish(book(packs=[("week", 10 * DU, 70 * YUAN, 7)]))
    org_id = world.tenant(yuan="100")
    world.buy(org_id, "week")
    lease = world.lease(org_id)
    clock.advance(timedelta(days=7, hours=71))
    world.accept(windows_of(lease, START, 3600))
    world.rate()
    with world.tx() as tx:
        assert ledger.close_expired_grants(tx) == 0
    clock.advance(timedelta(hours=1))
    with world.tx() as tx:
        assert ledger.close_expired_grants(tx) == 1
        assert ledger.close_expired_grants(tx) == 0
        rows = {(r.account.split(":")[0], r.currency): r.amount for r in ledger.trial_balance(tx.session).rows}
    assert rows["breakage", "DU"] == 9 * DU and rows["breakage", "CNY"] == 63 * YUAN
    assert rows["deferred", "CNY"] == 0 and rows["clearing", "CNY"] == 7 * YUAN
    world.check_books()
