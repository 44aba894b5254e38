"""Invoices: every charge and order on one line, exact sums, one rounding, Shanghai months."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_world import DU, PROVIDER, YUAN, World, book, call, window, windows_of

from zhisuan.base.clock import ManualClock, bill_month
from zhisuan.base.errors import InvalidInput, NotFound
from zhisuan.ledger import service as ledger
from zhisuan.testing.database import START

HOUR = timedelta(hours=1)


def issue(world: World, org_id: str, through: datetime) -> ledger.InvoiceWithLines | None:
    with world.tx() as tx:
        made = ledger.issue_invoice(tx, org_id, through)
        return None if made is None else ledger.get_invoice(tx.session, made.id, org_id=org_id)


def money_given(world: World, org_id: str) -> int:
    """What the tenant has really given: what is gone from its wallet plus what it owes."""
    with world.tx() as tx:
        rows = {r.account: r.amount for r in ledger.trial_balance(tx.session).rows}
    return -rows.get(f"wallet:{org_id}", 0) - rows.get(f"arrears:{org_id}", 0)


def test_lines_of_one_order_all_the_way(world: World, clock: ManualClock) -> None:
    world.publish(book(free_udu=DU, free_days=90))
    org_id = world.tenant(yuan="100")
    order = world.buy(org_id)
    lease = world.lease(org_id)
    clock.advance(20 * HOUR)
    world.accept(windows_of(lease, START, 14 * 3600))
    world.accept_tokens([call("t", org_id, lease, START, input_tokens=3, output=4)])
    world.rate()
    made = issue(world, org_id, clock.now())
    assert made is not None
    invoice, (time, tokens, pack) = made.invoice, made.lines
    assert (invoice.number, invoice.month, invoice.total_ucny, invoice.total_fen) == (1, "2026-07", 124 * YUAN, 12_400)
    assert (invoice.from_at, invoice.to_at) == (datetime(2026, 6, 30, 16, tzinfo=UTC), clock.now())
    assert (time.kind, time.subject, time.seconds, time.quantity_udu) == ("time", lease, 14 * 3600, 14 * DU)
    assert (time.amount_ucny, time.shown_fen) == (54 * YUAN, 5_400)
    assert [(s["purse"], s["quantity_udu"], s["cash_ucny"]) for s in time.detail["slices"]] == [
        ("free", DU, 0), ("pack", 10 * DU, 0), ("wallet", 1_666_666, 29_999_988), ("arrears", 1_333_334, 24_000_012),
    ]  # fmt: skip
    [party] = time.detail["providers"]
    assert (party["provider_id"], party["value_ucny"], party["charges"]) == (PROVIDER, time.value_ucny, 840)
    assert (tokens.kind, tokens.subject, tokens.tokens, tokens.amount_ucny) == ("tokens", "dep_1", 7, 0)
    assert (pack.kind, pack.subject, pack.amount_ucny, pack.detail["product"]) == ("pack", order, 70 * YUAN, "pack-10")
    assert issue(world, org_id, clock.now()) is None
    world.check_books()


def test_rounding_is_taken_or_given_once(world: World, clock: ManualClock) -> None:
    """16,666 µ度 at 18 are 0.299988 yuan: billed 0.30, the 12·10⁻⁶ come from the wallet, or are owed."""
    rich, poor = world.tenant(yuan="1"), world.tenant(yuan="0.299988")
    leases = {org: world.lease(org) for org in (rich, poor)}
    clock.advance(HOUR)
    for org, lease in leases.items():
        world.accept([window(lease, START, START + timedelta(minutes=1))])
        world.rate()
        made = issue(world, org, clock.now())
        assert made is not None and (made.invoice.total_fen, made.invoice.rounding_ucny) == (30, 12)
    assert world.wallet(rich) == 700_000
    assert (world.wallet(poor), world.owed(poor)) == (0, 12)
    with world.tx() as tx:
        assert {r.account: r.amount for r in ledger.trial_balance(tx.session).rows}["rounding"] == 24
    world.check_books()


def test_rounding_down_pays_what_is_owed_first(world: World, clock: ManualClock) -> None:
    """61 s: 16,944 µ度 at 18 are 0.304992 yuan, billed 0.30."""
    org_id = world.tenant()
    lease = world.lease(org_id)
    clock.advance(HOUR)
    world.accept(windows_of(lease, START, 61))
    world.rate()
    made = issue(world, org_id, clock.now())
    assert made is not None and made.invoice.rounding_ucny == -4_992
    assert (world.owed(org_id), world.wallet(org_id)) == (300_000, 0)
    world.check_books()


def test_months_are_shanghai_months_and_each_has_its_invoice(world: World, clock: ManualClock) -> None:
    """2026-07-31T16:00:00Z is August."""
    org_id = world.tenant(yuan="1000")
    clock.advance(datetime(2026, 7, 31, 15, 0, tzinfo=UTC) - clock.now())
    start = clock.now() + timedelta(minutes=30)
    lease = world.lease(org_id, active_from=start)
    clock.advance(2 * HOUR)
    world.accept(windows_of(lease, start, 3600))
    world.rate()
    july, august = issue(world, org_id, clock.now()), issue(world, org_id, clock.now())
    assert july is not None and august is not None and issue(world, org_id, clock.now()) is None
    boundary = datetime(2026, 7, 31, 16, tzinfo=UTC)
    assert [(i.invoice.month, i.lines[0].seconds) for i in (july, august)] == [("2026-07", 1800), ("2026-08", 1800)]
    assert july.invoice.to_at == boundary == august.invoice.from_at
    assert july.invoice.total_ucny + august.invoice.total_ucny == world.bill(org_id) == 18 * YUAN


def test_an_issued_invoice_never_changes_and_late_use_gets_a_further_one(world: World, clock: ManualClock) -> None:
    org_id = world.tenant(yuan="1000")
    lease = world.lease(org_id)
    clock.advance(3 * HOUR)
    sent = windows_of(lease, START, 3600)
    world.accept(sent[30:])
    world.rate()
    first = issue(world, org_id, clock.now())
    assert first is not None
    world.accept(sent)
    world.rate()
    second = issue(world, org_id, clock.now())
    assert second is not None
    assert (second.invoice.number, second.invoice.month, second.lines[0].seconds) == (2, "2026-07", 1800)
    assert second.invoice.from_at == START
    with world.tx() as tx:
        again = ledger.get_invoice(tx.session, first.invoice.id)
    assert (again.invoice.total_ucny, [line.seconds for line in again.lines]) == (first.invoice.total_ucny, [1800])


def test_a_credit_is_a_negative_line(world: World, clock: ManualClock) -> None:
    org_id = world.tenant(yuan="1000")
    lease = world.lease(org_id)
    clock.advance(2 * HOUR)
    world.accept(windows_of(lease, START, 3599))
    world.rate()
    billed = issue(world, org_id, clock.now())
    with world.tx() as tx:
        ledger.credit_lease(tx, lease, "fault", "someone")
    clock.advance(timedelta(seconds=1))
    credited = issue(world, org_id, clock.now())
    assert billed is not None and credited is not None
    [line] = credited.lines
    assert (line.kind, line.subject, line.amount_ucny) == ("credit", lease, -billed.lines[0].amount_ucny)
    assert credited.invoice.total_fen == -billed.invoice.total_fen
    assert money_given(world, org_id) == -1000 * YUAN
    world.check_books()


def test_only_what_lies_before_the_given_time_is_billed(world: World, clock: ManualClock) -> None:
    org_id = world.tenant(yuan="1000")
    lease = world.lease(org_id)
    clock.advance(2 * HOUR)
    world.accept(windows_of(lease, START, 3600))
    world.rate()
    made = issue(world, org_id, START + timedelta(minutes=10))
    assert made is not None and made.lines[0].seconds == 600
    rest = issue(world, org_id, clock.now())
    assert rest is not None and rest.lines[0].seconds == 3000 and rest.invoice.from_at == made.invoice.to_at


@settings(max_examples=12)
@given(
    work=st.lists(
        st.tuples(st.integers(1, 5000), st.integers(0, 60 * 24 * 45), st.integers(1, 400)), min_size=1, max_size=6
    ),
    price=st.sampled_from([1_800_000_000, 1_799_999_999, 7_777_777]),
    packs=st.integers(0, 2),
    yuan=st.integers(140, 145),
)
def test_invoices_together_are_what_the_tenant_gave_to_the_fen(
    world: World, clock: ManualClock, work: list[tuple[int, int, int]], price: int, packs: int, yuan: int
) -> None:
    world.publish(book(price_e8=price, free_udu=30_000, free_days=20))
    org_id = world.tenant(yuan=str(yuan))
    began = clock.now()
    for _ in range(packs):
        world.buy(org_id)
    clock.advance(timedelta(days=46))
    for milli, minute, seconds in work:
        start = began + timedelta(minutes=minute)
        lease = world.lease(org_id, milli=milli, active_from=start)
        world.accept(windows_of(lease, start, seconds))
        world.rate()
    total_fen, seen = 0, []
    while (made := issue(world, org_id, clock.now())) is not None:
        assert sum(line.amount_ucny for line in made.lines) == made.invoice.total_ucny
        assert sum(line.shown_fen for line in made.lines) == made.invoice.total_fen
        assert made.invoice.total_ucny + made.invoice.rounding_ucny == made.invoice.total_fen * 10_000
        total_fen += made.invoice.total_fen
        seen.append(made.invoice.month)
        for line in made.lines:
            with world.tx() as tx:
                on_line = ledger.list_charges(tx.session, org_id, line_id=line.id, limit=200).items
            if line.kind != "pack":
                assert all(bill_month(c.at) == made.invoice.month and c.subject == line.subject for c in on_line)
    assert seen == sorted(set(seen))
    assert (yuan * YUAN + money_given(world, org_id)) == total_fen * 10_000
    assert all(charge.invoice_line_id is not None for charge in world.charges(org_id))
    world.check_books()


def test_pages_of_charges_join_without_gap(world: World, clock: ManualClock) -> None:
    org_id = world.tenant(yuan="1000")
    lease = world.lease(org_id)
    clock.advance(2 * HOUR)
    world.accept(windows_of(lease, START, 25 * 60))
    world.rate()
    seen, cursor = [], None
    while True:
        with world.tx() as tx:
            page = ledger.list_charges(tx.session, org_id, lease_id=lease, cursor=cursor, limit=7)
        seen += [charge.id for charge in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [charge.id for charge in reversed(world.charges(org_id))] and len(seen) == 25
    with world.tx() as tx, pytest.raises(InvalidInput):
        ledger.list_charges(tx.session, org_id, cursor="bm90IG91cnM")


def test_somebody_elses_records_are_not_found(world: World, clock: ManualClock) -> None:
    org_id, other = world.tenant(yuan="10"), world.tenant()
    lease = world.lease(org_id)
    clock.advance(HOUR)
    world.accept(windows_of(lease, START, 60))
    world.rate()
    made = issue(world, org_id, clock.now())
    assert made is not None
    charge = world.charges(org_id)[0]
    with world.tx() as tx:
        for read in (
            lambda: ledger.get_invoice(tx.session, made.invoice.id, org_id=other),
            lambda: ledger.get_invoice_line(tx.session, made.lines[0].id, org_id=other),
            lambda: ledger.get_charge(tx.session, charge.id, org_id=other),
            lambda: ledger.get_invoice(tx.session, "inv_none"),
        ):
            with pytest.raises(NotFound):
                read()
        assert ledger.get_invoice_line(tx.session, made.lines[0].id)[0].id == made.invoice.id
        assert ledger.list_invoices(tx.session, other) == []
        assert [i.id for i in ledger.list_invoices(tx.session, org_id)] == [made.invoice.id]
