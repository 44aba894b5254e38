"""Settling, statements and payouts on a real PostgreSQL."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from settlement_factory import TENANT, Used, make_invoice
from sqlalchemy import func, select

from zhisuan.base.clock import ManualClock
from zhisuan.base.db import Database, QueryCount
from zhisuan.base.errors import Conflict, IdempotencyConflict, InvalidInput, NotFound
from zhisuan.base.outbox import OutboxEvent
from zhisuan.ledger.tables import Balance, Charge, Entry, InvoiceLine, Transaction
from zhisuan.settlement.service import (
    InvoiceSettlement,
    Payout,
    checks,
    provider_statement,
    record_payout,
    settle_invoice,
    settlement_of,
    settlements_of,
)
from zhisuan.settlement.tables import Settlement, Share

LINES = [
    [Used("org_b", 125_000), Used("org_a", 1_000_001, lease="lea_2", fee_ppm=80_000)],
    [Used("org_a", 333_333, lease="lea_3"), Used("org_a", 2, lease="lea_3")],
]


def balance(database: Database, account: str) -> int:
    with database.begin() as tx:
        return (
            tx.session.scalar(select(Balance.amount).where(Balance.account == account, Balance.currency == "CNY")) or 0
        )


def settled(database: Database, lines: list[list[Used]] = LINES, **more: object) -> InvoiceSettlement:
    with database.begin() as tx:
        made = make_invoice(tx, lines, **more)  # type: ignore[arg-type]
    with database.begin() as tx:
        return settle_invoice(tx, made.invoice_id)


def at_once(count: int, call: Callable[[int], object]) -> list[object]:
    """The results, or the exceptions, of ``count`` calls that begin together."""
    barrier = Barrier(count)

    def one(number: int) -> object:
        barrier.wait(timeout=30)
        try:
            return call(number)
        except Exception as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_the_parts_of_a_settlement_sum_to_it_and_are_booked(database: Database) -> None:
    """1.458336 yuan at 10, 8 and 10 %: 146 fen; A 1.22000272, B 0.1125, platform 0.12583328 yuan."""
    found = settled(database)
    assert (found.value_ucny, found.total_fen, found.rounding_ucny) == (1_458_336, 146, -1_664)
    assert [(s.number, s.party, s.role, s.amount_fen) for s in found.shares] == [
        (1, "org_a", "provider", 122),
        (2, "org_b", "provider", 11),
        (3, "platform", "platform", 13),
    ]
    assert balance(database, "clearing") == 0
    assert balance(database, "provider:org_a:payable") == 1_220_000
    assert balance(database, "provider:org_b:payable") == 110_000
    assert balance(database, "platform:fee") == 130_000
    assert balance(database, "rounding") == -1_664
    with database.begin() as tx:
        (booked,) = tx.session.scalars(select(Transaction).where(Transaction.kind == "settlement"))
        assert (booked.id, booked.cause, booked.org_id) == (found.transaction_id, found.invoice_id, TENANT)
        assert tx.session.scalar(select(func.sum(Entry.amount)).where(Entry.transaction_id == booked.id)) == 0
        assert all(check.ok for check in checks(tx.session))


def test_settling_again_changes_nothing_and_answers_the_same(database: Database, clock: ManualClock) -> None:
    first = settled(database)
    clock.advance(timedelta(days=1))
    with database.begin() as tx:
        assert settle_invoice(tx, first.invoice_id) == first
        assert settlement_of(tx.session, first.invoice_id) == first
    with database.begin() as tx:
        assert tx.session.scalar(select(func.count()).select_from(Settlement)) == 1
        assert tx.session.scalar(select(func.count()).select_from(Share)) == 3
        events = tx.session.scalars(select(OutboxEvent).where(OutboxEvent.kind == "invoice.settled")).all()
        assert [event.subject for event in events] == [first.invoice_id]
    assert balance(database, "provider:org_a:payable") == 1_220_000


def test_several_settlements_are_read_in_two_queries(database: Database) -> None:
    made = [settled(database, number=number) for number in range(1, 5)]
    with database.begin() as tx, QueryCount(database.engine) as count:
        found = settlements_of(tx.session, [*(each.invoice_id for each in made), "inv_none"])
    assert found == {each.invoice_id: each for each in made}
    assert len(count.statements) == 2
    with database.begin() as tx:
        assert settlements_of(tx.session, []) == {}


def test_many_at_once_settle_once(database: Database) -> None:
    with database.begin() as tx:
        made = make_invoice(tx, LINES)

    def settle(_: int) -> object:
        with database.begin() as tx:
            return settle_invoice(tx, made.invoice_id)

    answers = at_once(8, settle)
    assert isinstance(answers[0], InvoiceSettlement)
    assert all(answer == answers[0] for answer in answers)
    assert balance(database, "provider:org_a:payable") == 1_220_000
    assert balance(database, "clearing") == 0


def test_different_invoices_at_once_do_not_wait_in_a_circle(database: Database) -> None:
    with database.begin() as tx:
        made = [make_invoice(tx, LINES, number=n, org=f"org_t{n}") for n in range(6)]

    def settle(number: int) -> object:
        with database.begin() as tx:
            return settle_invoice(tx, made[number].invoice_id)

    answers = at_once(6, settle)
    assert all(isinstance(answer, InvoiceSettlement) for answer in answers), answers
    assert balance(database, "provider:org_a:payable") == 6 * 1_220_000
    with database.begin() as tx:
        assert all(check.ok for check in checks(tx.session))


def test_a_call_that_fails_later_settles_nothing(database: Database) -> None:
    with database.begin() as tx:
        made = make_invoice(tx, LINES)

    def dies() -> None:
        with database.begin() as tx:
            settle_invoice(tx, made.invoice_id)
            raise RuntimeError("the process dies here")

    with pytest.raises(RuntimeError):
        dies()
    with database.begin() as tx:
        assert settlement_of(tx.session, made.invoice_id) is None
    assert balance(database, "clearing") == 1_458_336


def test_an_unknown_invoice_is_not_found(database: Database) -> None:
    with database.begin() as tx, pytest.raises(NotFound):
        settle_invoice(tx, "inv_none")


def test_books_that_disagree_are_not_settled(database: Database) -> None:
    with database.begin() as tx:
        made = make_invoice(tx, LINES)
        tx.session.get_one(InvoiceLine, made.line_ids[0]).value_ucny += 1
    with database.begin() as tx, pytest.raises(Conflict) as caught:
        settle_invoice(tx, made.invoice_id)
    assert caught.value.code == "books_disagree"
    assert balance(database, "clearing") == 1_458_336


def test_an_invoice_of_a_pack_alone_pays_nobody(database: Database) -> None:
    found = settled(database, [], pack_ucny=18_000_000)
    assert (found.value_ucny, found.total_fen, found.shares, found.transaction_id) == (0, 0, (), None)
    with database.begin() as tx:
        assert settle_invoice(tx, found.invoice_id) == found
        assert all(check.ok for check in checks(tx.session))


def test_a_credit_is_taken_back_from_the_provider_it_was_paid_to(database: Database) -> None:
    settled(database, [[Used("org_a", 5_000_000)]], number=1)
    found = settled(database, [[Used("org_a", -2_000_000)]], number=2, month="2026-08")
    assert [(s.party, s.amount_fen) for s in found.shares] == [("org_a", -180), ("platform", -20)]
    assert balance(database, "provider:org_a:payable") == 2_700_000
    assert balance(database, "platform:fee") == 300_000
    with database.begin() as tx:
        assert all(check.ok for check in checks(tx.session))


def test_a_statement_sums_by_line_and_lease(database: Database) -> None:
    found = settled(database)
    with database.begin() as tx:
        statement = provider_statement(tx.session, "org_a")
        other = provider_statement(tx.session, "org_b")
    (invoice,) = statement.invoices
    assert (invoice.invoice_id, invoice.payable_fen, invoice.value_ucny) == (found.invoice_id, 122, 1_333_336)
    assert [(line.lease_id, line.seconds, line.platform_fee_ppm) for line in invoice.lines] == [
        ("lea_2", 60, 80_000),
        ("lea_3", 120, 100_000),
    ]
    for field in ("payable_fen", "fee_fen", "value_ucny"):
        assert (
            sum(getattr(line, field) for line in invoice.lines) == getattr(invoice, field) == getattr(statement, field)
        )
    assert statement.fee_fen + other.fee_fen == found.shares[-1].amount_fen
    assert (statement.balance_ucny, other.balance_ucny) == (1_220_000, 110_000)


def test_a_statement_is_of_one_month(database: Database) -> None:
    settled(database, [[Used("org_a", 1_000_000)]], number=1, month="2026-06")
    settled(database, [[Used("org_a", 2_000_000)]], number=2, month="2026-07")
    with database.begin() as tx:
        june, july = (provider_statement(tx.session, "org_a", month) for month in ("2026-06", "2026-07"))
        whole = provider_statement(tx.session, "org_a")
        assert provider_statement(tx.session, "org_a", "2026-08").invoices == ()
    assert (june.payable_fen, july.payable_fen, whole.payable_fen) == (90, 180, 270)


@pytest.mark.parametrize("month", ["2026", "2026-13", "2026-7", "2026-07\n", "July"])
def test_a_month_that_is_none_is_refused(database: Database, month: str) -> None:
    with database.begin() as tx, pytest.raises(InvalidInput):
        provider_statement(tx.session, "org_a", month)


def test_a_provider_reads_nothing_about_tenants_or_other_providers(database: Database) -> None:
    settled(database)
    with database.begin() as tx:
        record_payout(tx, "org_a", 100, "bank-1", "usr_operator")
        read = json.dumps(provider_statement(tx.session, "org_a").as_dict(), ensure_ascii=False)
        other = json.dumps(provider_statement(tx.session, "org_c").as_dict())
    for hidden in (TENANT, "secret research", "org_b", "usr_operator", "lea_1", "workload", "project"):
        assert hidden not in read
    assert "lea_3" in read
    assert "org_a" not in other and json.loads(other)["invoices"] == []


def pay(database: Database, amount_fen: int, reference: str, provider: str = "org_a") -> Payout:
    with database.begin() as tx:
        return record_payout(tx, provider, amount_fen, reference, "usr_operator")


def test_a_payout_is_recorded_once(database: Database) -> None:
    settled(database)
    first = pay(database, 100, "bank-1")
    assert pay(database, 100, "bank-1") == first
    assert balance(database, "provider:org_a:payable") == 220_000
    assert balance(database, "provider:org_a:paid") == 1_000_000
    with database.begin() as tx:
        statement = provider_statement(tx.session, "org_a")
        assert statement.payouts == (first,)
        assert (statement.paid_fen, statement.balance_ucny) == (100, 220_000)
        assert provider_statement(tx.session, "org_a", "2026-07").payouts == (first,)
        assert provider_statement(tx.session, "org_a", "2026-06").payouts == ()
        assert all(check.ok for check in checks(tx.session))


@pytest.mark.parametrize("amount, provider", [(99, "org_a"), (10, "org_b")])
def test_a_reference_used_for_another_payout_is_a_conflict(database: Database, amount: int, provider: str) -> None:
    settled(database)
    pay(database, 100, "bank-1")
    with pytest.raises(IdempotencyConflict):
        pay(database, amount, "bank-1", provider)
    assert balance(database, "provider:org_a:payable") == 220_000


def test_never_more_than_is_owed(database: Database) -> None:
    settled(database)
    with pytest.raises(Conflict) as caught:
        pay(database, 123, "bank-1")
    assert caught.value.code == "more_than_owed" and "1.23" in str(caught.value) and "1.22" in str(caught.value)
    assert pay(database, 122, "bank-1").amount_fen == 122
    for provider in ("org_a", "org_nobody"):
        with pytest.raises(Conflict):
            pay(database, 1, f"bank-{provider}", provider)


def test_many_at_once_cannot_pay_more_than_is_owed(database: Database) -> None:
    settled(database)
    answers = at_once(8, lambda number: pay(database, 50, f"bank-{number}"))
    assert sum(isinstance(answer, Payout) for answer in answers) == 2
    assert sum(isinstance(answer, Conflict) for answer in answers) == 6
    assert balance(database, "provider:org_a:payable") == 220_000


def test_one_reference_many_times_at_once_is_one_payout(database: Database) -> None:
    settled(database)
    answers = at_once(6, lambda _: pay(database, 122, "bank-1"))
    assert len({answer for answer in answers if isinstance(answer, Payout)}) == 1, answers
    assert all(isinstance(answer, Payout) for answer in answers), answers
    assert balance(database, "provider:org_a:payable") == 0


@pytest.mark.parametrize(
    "amount, reference, where",
    [(0, "bank-1", "amount_fen"), (-5, "bank-1", "amount_fen"), (5, " ", "reference"), (5, "a\x00", "reference"),
     (5, "r" * 201, "reference")],
)  # fmt: skip
def test_a_payout_that_is_none_is_refused(database: Database, amount: int, reference: str, where: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        pay(database, amount, reference)
    assert [problem.where for problem in caught.value.problems] == [where]


def test_charges_of_other_invoices_stay_out(database: Database) -> None:
    with database.begin() as tx:
        first = make_invoice(tx, [[Used("org_a", 1_000_000)]], number=1)
        second = make_invoice(tx, [[Used("org_a", 7_000_000)]], number=2)
        loose = tx.session.get_one(Charge, make_invoice(tx, [[Used("org_a", 90_000)]], number=3).charge_ids[0])
        loose.invoice_line_id = None
    with database.begin() as tx:
        assert settle_invoice(tx, first.invoice_id).total_fen == 100
        assert settle_invoice(tx, second.invoice_id).total_fen == 700
