"""Each check agrees with right books, and fails, alone and by name, when the one thing it guards is wrong."""

from collections.abc import Callable

import pytest
from settlement_factory import TENANT, Made, Used, make_invoice
from sqlalchemy import select, update

from zhisuan.base.db import Database, Tx
from zhisuan.ledger.tables import Balance, Charge, Entry, Invoice, InvoiceLine, Slice, Transaction
from zhisuan.settlement.service import checks, settle_invoice
from zhisuan.settlement.tables import Settlement, Share

NAMES = {
    "slices_sum_to_charge",
    "charges_sum_to_line",
    "lines_sum_to_invoice",
    "shares_sum_to_settlement",
    "shares_are_booked",
    "transactions_sum_to_zero",
    "balances_equal_entries",
}


def make(database: Database, org: str = TENANT) -> Made:
    with database.begin() as tx:
        made = make_invoice(
            tx,
            [[Used("org_a", 125_000), Used("org_b", 335_001)], [Used("org_a", 335_000)]],
            pack_ucny=18_000_000,
            org=org,
        )
        settle_invoice(tx, made.invoice_id)
    return made


def failing(database: Database, org_id: str | None = None) -> set[str]:
    with database.begin() as tx:
        return {check.name for check in checks(tx.session, org_id) if not check.ok}


def test_right_books_pass_and_say_what_was_compared(database: Database) -> None:
    make(database)
    with database.begin() as tx:
        found = {check.name: check for check in checks(tx.session)}
    assert set(found) == NAMES
    assert all(check.ok for check in found.values())
    counts = {name: int(check.detail.en.split(": ")[1].split()[0]) for name, check in found.items()}
    assert counts == {
        "slices_sum_to_charge": 3, "charges_sum_to_line": 2, "lines_sum_to_invoice": 1, "shares_sum_to_settlement": 1,
        "shares_are_booked": 3, "transactions_sum_to_zero": 4, "balances_equal_entries": 6,
    }  # fmt: skip
    assert found["lines_sum_to_invoice"].as_dict()["detail"]["zh"].endswith("共核对 1 项，全部一致。")


def test_empty_books_are_right(database: Database) -> None:
    assert failing(database) == set()


def slice_off(tx: Tx, made: Made) -> None:
    tx.session.execute(
        update(Slice).where(Slice.charge_id == made.charge_ids[0], Slice.number == 1).values(value_ucny=1)
    )


def slice_gone(tx: Tx, made: Made) -> None:
    for row in tx.session.scalars(select(Slice).where(Slice.charge_id == made.charge_ids[1])):
        tx.session.delete(row)


def line_seconds_off(tx: Tx, made: Made) -> None:
    tx.session.get_one(InvoiceLine, made.line_ids[0]).seconds += 1


def line_shown_off(tx: Tx, made: Made) -> None:
    tx.session.get_one(InvoiceLine, made.line_ids[1]).shown_fen += 1


def rounding_off(tx: Tx, made: Made) -> None:
    invoice = tx.session.get_one(Invoice, made.invoice_id)
    invoice.total_fen += 1
    invoice.rounding_ucny += 10_000
    tx.session.get_one(InvoiceLine, made.line_ids[1]).shown_fen += 1


def share_off(tx: Tx, made: Made) -> None:
    tx.session.execute(update(Share).where(Share.party == "org_b").values(amount_fen=Share.amount_fen + 1))


def shares_swapped(tx: Tx, made: Made) -> None:
    tx.session.execute(update(Share).where(Share.party == "org_a").values(amount_fen=Share.amount_fen - 1))
    tx.session.execute(update(Share).where(Share.party == "platform").values(amount_fen=Share.amount_fen + 1))


def settled_value_off(tx: Tx, made: Made) -> None:
    tx.session.execute(update(Settlement).values(value_ucny=Settlement.value_ucny + 1))


def entry_off(tx: Tx, made: Made) -> None:
    tx.session.execute(update(Entry).where(Entry.account == "rounding").values(amount=Entry.amount + 1))
    tx.session.execute(update(Balance).where(Balance.account == "rounding").values(amount=Balance.amount + 1))


def balance_off(tx: Tx, made: Made) -> None:
    tx.session.execute(update(Balance).where(Balance.account == "promotion").values(amount=Balance.amount + 1))


def balance_gone(tx: Tx, made: Made) -> None:
    tx.session.delete(tx.session.get_one(Balance, ("platform:fee", "CNY")))


@pytest.mark.parametrize(
    "damage, named",
    [
        (slice_off, {"slices_sum_to_charge"}),
        (slice_gone, {"slices_sum_to_charge"}),
        (line_seconds_off, {"charges_sum_to_line"}),
        (line_shown_off, {"lines_sum_to_invoice"}),
        (rounding_off, {"lines_sum_to_invoice"}),
        (share_off, {"shares_sum_to_settlement", "shares_are_booked"}),
        (shares_swapped, {"shares_are_booked"}),
        (settled_value_off, {"shares_sum_to_settlement"}),
        (entry_off, {"transactions_sum_to_zero"}),
        (balance_off, {"balances_equal_entries"}),
        (balance_gone, {"balances_equal_entries"}),
    ],
)
def test_what_is_wrong_is_named(database: Database, damage: Callable[[Tx, Made], None], named: set[str]) -> None:
    made = make(database)
    with database.begin() as tx:
        damage(tx, made)
    assert failing(database) == named
    assert failing(database, TENANT) == named


def test_the_first_wrong_record_is_named(database: Database) -> None:
    made = make(database)
    with database.begin() as tx:
        slice_off(tx, made)
    with database.begin() as tx:
        detail = next(check.detail for check in checks(tx.session) if check.name == "slices_sum_to_charge")
    assert made.charge_ids[0] in detail.en and "1 differ" in detail.en
    assert made.charge_ids[0] in detail.zh


def test_one_organisation_sees_its_own_books(database: Database) -> None:
    make(database)
    other = make(database, org="org_other")
    with database.begin() as tx:
        slice_off(tx, other)
        tx.session.execute(update(Transaction).where(Transaction.org_id == "org_other").values(memo={}))
        tx.session.get_one(Charge, other.charge_ids[2]).seconds += 5
    assert failing(database, TENANT) == set()
    assert failing(database, "org_other") == {"slices_sum_to_charge", "charges_sum_to_line"}
    assert failing(database) == {"slices_sum_to_charge", "charges_sum_to_line"}
