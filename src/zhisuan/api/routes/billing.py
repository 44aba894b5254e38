"""Statements, charges, invoices, settlements, payouts and carbon."""

from collections import defaultdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse
from pydantic import Field
from sqlalchemy import func, select

from zhisuan.api.auth import Allow, Caller
from zhisuan.api.calls import IdempotencyKey, change
from zhisuan.api.paging import Cursor, Limit, paged
from zhisuan.api.platform import platform_of
from zhisuan.api.schemas import (
    Answer,
    Body,
    ChargeView,
    Checks,
    CheckView,
    InvoiceDetail,
    InvoiceLineView,
    InvoiceView,
    PageOf,
    SettlementView,
    SliceView,
    TokenTotals,
    Words,
)
from zhisuan.api.wording import charge_rule, line_titles
from zhisuan.base.clock import bill_month, bill_month_bounds
from zhisuan.base.db import Tx
from zhisuan.base.errors import FieldProblem, InvalidInput, NotFound
from zhisuan.base.text import Text
from zhisuan.execution.tables import Lease
from zhisuan.green import service as green
from zhisuan.ledger import service as ledger
from zhisuan.ledger.tables import Charge, Invoice, InvoiceLine, Slice
from zhisuan.settlement import service as settlement
from zhisuan.settlement.tables import Settlement
from zhisuan.tenancy.tables import Organisation
from zhisuan.usage.tables import TokenEvent
from zhisuan.workload.tables import Workload

router = APIRouter(tags=["billing"])
Reader = Annotated[Caller, Depends(Allow("org:bill:read"))]
ReaderOrOperator = Annotated[Caller, Depends(Allow("org:bill:read", "platform:bill:read"))]
Closer = Annotated[Caller, Depends(Allow("platform:bill:close"))]
Month = Annotated[
    str | None, Query(pattern=r"^2[0-9]{3}-(0[1-9]|1[0-2])$", description="Bill month YYYY-MM (Asia/Shanghai).")
]
PURSES = ("free", "pack", "wallet", "arrears")


class PurseSum(Answer):
    quantity_udu: int = 0
    cash_ucny: int = 0
    value_ucny: int = 0


class WorkloadCost(Answer):
    workload_id: str
    name: str
    kind: str
    seconds: int
    quantity_udu: int
    cash_ucny: int
    carbon_ug: int | None


class Bill(Answer):
    month: str
    from_at: datetime
    to_at: datetime
    seconds: int
    quantity_udu: int
    tokens: TokenTotals
    by_purse: dict[str, PurseSum]
    cash_ucny: int
    value_ucny: int
    energy: dict[str, Any]
    carbon: dict[str, Any]
    by_workload: list[WorkloadCost]
    unbilled_cash_ucny: int
    invoices: list[InvoiceView]


class IssueBody(Body):
    through: datetime | None = Field(
        default=None, description="Bill what was used before this time; now when left out."
    )


class Issued(Answer):
    items: list[InvoiceView]


class Earnings(Answer):
    payable_fen: int
    paid_fen: int
    items: list[dict[str, Any]]
    next_cursor: str | None = None


class PayoutBody(Body):
    amount_fen: int = Field(gt=0, le=10**13)
    reference: str = Field(min_length=1, max_length=100)


class PayoutView(Answer):
    transaction_id: str
    provider_id: str
    reference: str
    amount_fen: int
    at: datetime


@router.get("/bill")
def bill(request: Request, caller: Reader, month: Month = None) -> Bill:
    """What the organisation used in a bill month, what paid for it, and its energy and carbon."""
    org_id = caller.principal.org_id
    with platform_of(request).database.begin() as tx:
        wanted = month or bill_month(tx.now)
        start, end = bill_month_bounds(wanted)
        sums = tx.session.execute(
            select(func.sum(Charge.seconds), func.sum(Charge.quantity_udu), func.sum(Charge.cash_ucny), func.sum(Charge.value_ucny))
            .where(Charge.org_id == org_id, Charge.at >= start, Charge.at < end)
        ).one()  # fmt: skip
        unbilled = tx.session.scalar(
            select(func.sum(Charge.cash_ucny)).where(Charge.org_id == org_id, Charge.invoice_line_id.is_(None))
        )
        carbon = green.statement(tx.session, org_id=org_id, since=start, until=end)
        invoices = tx.session.scalars(
            select(Invoice).where(Invoice.org_id == org_id, Invoice.month == wanted).order_by(Invoice.number.desc())
        ).all()
        seconds, quantity, cash, value = (int(x or 0) for x in sums)
        totals = carbon.as_dict()
        return Bill(
            month=wanted, from_at=start, to_at=end, seconds=seconds, quantity_udu=quantity,
            tokens=_tokens(tx, org_id, start, end), by_purse=_by_purse(tx, org_id, start, end), cash_ucny=cash,
            value_ucny=value,
            energy={"it_uwh": carbon.it_energy_uwh, "facility_uwh": carbon.energy_uwh, "basis": totals["energy_is"], "method": totals["method"]},
            carbon={
                "location_ug": carbon.carbon_ug, "embodied_included": False,
                "factors": list({r["region"]: r["factor"] for r in totals["rows"] if r["factor"]}.values()),
                "regions_without_factor": totals["regions_without_factor"],
            },
            by_workload=_by_workload(tx, org_id, start, end, {w.workload_id: w.carbon_ug for w in carbon.workloads}),
            unbilled_cash_ucny=int(unbilled or 0), invoices=[InvoiceView.model_validate(i) for i in invoices],
        )  # fmt: skip


def _tokens(tx: Tx, org_id: str, start: datetime, end: datetime) -> TokenTotals:
    row = tx.session.execute(
        select(
            func.sum(TokenEvent.input_tokens), func.sum(TokenEvent.cached_input_tokens), func.sum(TokenEvent.output_tokens),
            func.count(),
        ).where(TokenEvent.org_id == org_id, TokenEvent.at >= start, TokenEvent.at < end)
    ).one()  # fmt: skip
    values = [int(x or 0) for x in row]
    return TokenTotals(input=values[0], cached_input=values[1], output=values[2], calls=values[3])


def _by_purse(tx: Tx, org_id: str, start: datetime, end: datetime) -> dict[str, PurseSum]:
    rows = tx.session.execute(
        select(Slice.purse, func.sum(Slice.quantity_udu), func.sum(Slice.cash_ucny), func.sum(Slice.value_ucny))
        .join(Charge, Charge.id == Slice.charge_id)
        .where(Charge.org_id == org_id, Charge.at >= start, Charge.at < end)
        .group_by(Slice.purse)
    ).all()
    sums = {purse: PurseSum() for purse in PURSES}
    for purse, quantity, cash, value in rows:
        sums[purse] = PurseSum(quantity_udu=int(quantity), cash_ucny=int(cash), value_ucny=int(value))
    return sums


def _by_workload(
    tx: Tx, org_id: str, start: datetime, end: datetime, carbon: dict[str, int | None]
) -> list[WorkloadCost]:
    rows = tx.session.execute(
        select(
            Workload.id, Workload.name, Workload.kind, func.sum(Charge.seconds), func.sum(Charge.quantity_udu),
            func.sum(Charge.cash_ucny),
        )
        .join(Lease, Lease.id == Charge.lease_id)
        .join(Workload, Workload.id == Lease.workload_id)
        .where(Charge.org_id == org_id, Charge.at >= start, Charge.at < end)
        .group_by(Workload.id)
        .order_by(Workload.id.desc())
        .limit(200)
    ).all()  # fmt: skip
    return [
        WorkloadCost(
            workload_id=i,
            name=name,
            kind=kind,
            seconds=int(s),
            quantity_udu=int(q),
            cash_ucny=int(c),
            carbon_ug=carbon.get(i),
        )
        for i, name, kind, s, q, c in rows
    ]


@router.get("/charges")
def charges(
    request: Request,
    caller: ReaderOrOperator,
    lease_id: str | None = None,
    invoice_line_id: str | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> PageOf[ChargeView]:
    """Each rated window and model call with the purses that paid it and the rule that made it."""
    query = select(Charge)
    if caller.org_scope is not None:
        query = query.where(Charge.org_id == caller.org_scope)
    if lease_id is not None:
        query = query.where(Charge.lease_id == lease_id)
    if invoice_line_id is not None:
        query = query.where(Charge.invoice_line_id == invoice_line_id)
    with platform_of(request).database.begin() as tx:
        rows = paged(tx, query, Charge.id, lambda c: c, limit, cursor)
        return PageOf[ChargeView](items=charge_views(tx, rows.items), next_cursor=rows.next_cursor)


def charge_views(tx: Tx, found: list[Charge]) -> list[ChargeView]:
    slices: dict[str, list[SliceView]] = defaultdict(list)
    for s in tx.session.scalars(
        select(Slice).where(Slice.charge_id.in_([c.id for c in found])).order_by(Slice.charge_id, Slice.number)
    ):
        slices[s.charge_id].append(SliceView.model_validate(s))
    return [
        ChargeView(
            id=c.id, kind=c.kind, subject=c.subject, lease_id=c.lease_id, at=c.at, seconds=c.seconds, tokens=c.tokens,
            quantity_udu=c.quantity_udu, value_ucny=c.value_ucny, cash_ucny=c.cash_ucny,
            price_book_version=c.price_book_version, price_e8_per_du=c.price_e8_per_du, invoice_line_id=c.invoice_line_id,
            rule=charge_rule(c), slices=slices[c.id],
        )
        for c in found
    ]  # fmt: skip


@router.get("/invoices")
def invoices(
    request: Request, caller: ReaderOrOperator, limit: Limit = 50, cursor: Cursor = None
) -> PageOf[InvoiceView]:
    query = select(Invoice)
    if caller.org_scope is not None:
        query = query.where(Invoice.org_id == caller.org_scope)
    with platform_of(request).database.begin() as tx:
        return paged(tx, query, Invoice.id, InvoiceView.model_validate, limit, cursor)


@router.get("/invoices/{invoice_id}")
def invoice(request: Request, invoice_id: str, caller: ReaderOrOperator) -> InvoiceDetail:
    with platform_of(request).database.begin() as tx:
        found = tx.session.get(Invoice, invoice_id)
        if found is None or caller.org_scope not in (None, found.org_id):
            raise NotFound.of(Text("invoice", "账单"), invoice_id)
        lines = tx.session.scalars(
            select(InvoiceLine).where(InvoiceLine.invoice_id == invoice_id).order_by(InvoiceLine.number)
        ).all()
        titles = line_titles(tx, lines)
        views = [
            InvoiceLineView(
                id=x.id, number=x.number, kind=x.kind, subject=x.subject, title=titles[x.id], seconds=x.seconds,
                tokens=x.tokens, quantity_udu=x.quantity_udu, amount_ucny=x.amount_ucny, shown_fen=x.shown_fen,
                value_ucny=x.value_ucny, detail=x.detail,
            )
            for x in lines
        ]  # fmt: skip
        return InvoiceDetail(**InvoiceView.model_validate(found).model_dump(), lines=views)


@router.post("/organisations/{org_id}/invoices", status_code=201, response_model=Issued)
def issue(request: Request, org_id: str, body: IssueBody, key: IdempotencyKey, caller: Closer) -> JSONResponse:
    """Bill everything rated and not billed yet: one invoice for each bill month that it falls in."""
    who = caller.principal
    if body.through is not None and body.through.tzinfo is None:
        raise InvalidInput(
            Text("'through' has no zone.", "through 缺少时区。"),
            Text(
                "Write it with one, such as 2026-08-01T00:00:00+08:00.", "请带上时区，例如 2026-08-01T00:00:00+08:00。"
            ),
            problems=[FieldProblem("through", Text("needs a zone", "缺少时区"))],
        )

    def work(tx: Tx) -> Issued:
        org = tx.session.get(Organisation, org_id)
        if org is None or org.kind != "tenant":
            raise NotFound.of(Text("tenant", "租户"), org_id)
        made = []
        while (found := ledger.issue_invoice(tx, org_id, min(body.through or tx.now, tx.now))) is not None:
            made.append(InvoiceView.model_validate(found))
        return Issued(items=made)

    return change(request, principal=who.org_id, actor=who.user_id, key=key, body=body, work=work, status=201)


@router.post("/invoices/{invoice_id}/settlement", status_code=201, response_model=SettlementView)
def settle(
    request: Request,
    invoice_id: str,
    key: IdempotencyKey,
    caller: Annotated[Caller, Depends(Allow("platform:settlement:write"))],
) -> JSONResponse:
    """Divide the use on an invoice among providers and platform; once for each invoice."""
    who = caller.principal
    return change(
        request, principal=who.org_id, actor=who.user_id, key=key, body={}, status=201,
        work=lambda tx: settlement_view(settlement.settle_invoice(tx, invoice_id)),
    )  # fmt: skip


def settlement_view(made: settlement.InvoiceSettlement) -> SettlementView:
    return SettlementView(
        id=made.id, invoice_id=made.invoice_id, at=made.at, value_ucny=made.value_ucny, total_fen=made.total_fen,
        shares=[
            {"party": s.party, "role": s.role, "value_ucny": s.value_ucny, "amount_fen": s.amount_fen} for s in made.shares
        ],
    )  # fmt: skip


@router.get("/settlements")
def settlements(
    request: Request,
    caller: Annotated[Caller, Depends(Allow("platform:settlement:read"))],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> PageOf[SettlementView]:
    with platform_of(request).database.begin() as tx:
        rows = paged(tx, select(Settlement), Settlement.id, lambda s: s, limit, cursor)
        found = settlement.settlements_of(tx.session, [s.invoice_id for s in rows.items])
        items = [settlement_view(found[s.invoice_id]) for s in rows.items]
        return PageOf[SettlementView](items=items, next_cursor=rows.next_cursor)


@router.get("/earnings")
def earnings(
    request: Request, caller: Annotated[Caller, Depends(Allow("provider:earning:read"))], month: Month = None
) -> Earnings:
    """What a provider earned, invoice by invoice, without anything of the tenants it comes from."""
    with platform_of(request).database.begin() as tx:
        found = settlement.provider_statement(tx.session, caller.principal.org_id, month)
    items = [
        {
            "settlement_id": i.settlement_id, "invoice_id": i.invoice_id, "month": i.month, "at": i.at.isoformat(),
            "seconds": sum(x.seconds for x in i.lines), "quantity_udu": sum(x.quantity_udu for x in i.lines),
            "value_ucny": i.value_ucny, "fee_fen": i.fee_fen, "amount_fen": i.payable_fen,
        }
        for i in found.invoices
    ]  # fmt: skip
    return Earnings(
        payable_fen=found.balance_ucny // 10_000, paid_fen=sum(p.amount_fen for p in found.payouts), items=items
    )


@router.post("/providers/{provider_id}/payouts", status_code=201, response_model=PayoutView)
def payout(
    request: Request,
    provider_id: str,
    body: PayoutBody,
    key: IdempotencyKey,
    caller: Annotated[Caller, Depends(Allow("platform:settlement:write"))],
) -> JSONResponse:
    """The operator records a transfer to a provider; never more than is owed, and one reference once."""
    who = caller.principal

    def work(tx: Tx) -> PayoutView:
        org = tx.session.get(Organisation, provider_id)
        if org is None or org.kind != "provider":
            raise NotFound.of(Text("provider", "提供方"), provider_id)
        return PayoutView.model_validate(
            settlement.record_payout(tx, provider_id, body.amount_fen, body.reference, who.user_id)
        )

    return change(request, principal=who.org_id, actor=who.user_id, key=key, body=body, work=work, status=201)


def _checks(tx: Tx, org_id: str | None) -> Checks:
    found = settlement.checks(tx.session, org_id)
    return Checks(items=[CheckView(name=c.name, ok=c.ok, detail=Words(**c.detail.as_dict())) for c in found])


@router.get("/bill/checks")
def bill_checks(request: Request, caller: Reader) -> Checks:
    """The books of one's own organisation, added up again from their parts."""
    with platform_of(request).database.begin() as tx:
        return _checks(tx, caller.principal.org_id)


@router.get("/checks")
def checks(request: Request, caller: Annotated[Caller, Depends(Allow("platform:bill:read"))]) -> Checks:
    """The whole books, added up again from their parts."""
    with platform_of(request).database.begin() as tx:
        return _checks(tx, None)


@router.get("/carbon")
def carbon(
    request: Request,
    caller: Annotated[Caller, Depends(Allow("org:carbon:read", "platform:carbon:read", "city:carbon:read"))],
    month: Month = None,
    workload_id: str | None = None,
) -> dict[str, Any]:
    """Energy and location-based carbon with method, factors and sources."""
    with platform_of(request).database.begin() as tx:
        since, until = bill_month_bounds(month) if month else (None, None)
        found = green.statement(tx.session, org_id=caller.org_scope, workload_id=workload_id, since=since, until=until)
        return found.as_dict()
