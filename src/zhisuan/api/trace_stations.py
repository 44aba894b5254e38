"""What stands at each station of the chain around some leases and orders. Each in a bounded number of queries."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from zhisuan.base.db import Tx
from zhisuan.base.money import decimal_text
from zhisuan.base.text import Text
from zhisuan.catalog.tables import Order, Quote
from zhisuan.execution.tables import Allocation, Artefact, Lease, PlacementRecord
from zhisuan.green import service as green
from zhisuan.ledger.tables import Charge, Grant, Invoice, InvoiceLine, Slice, TopUp
from zhisuan.models.tables import Deployment, Model, ModelVersion
from zhisuan.settlement.tables import Settlement, Share
from zhisuan.supply.tables import Device, Node, Site
from zhisuan.usage.tables import EngineAccount, TokenEvent, Window
from zhisuan.workload.tables import Workload

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Focus:
    org_id: str
    lease_ids: tuple[str, ...]
    workload_ids: tuple[str, ...]
    order_ids: tuple[str, ...]


def _record(ident: str, en: str, zh: str, **facts: Any) -> Record:
    shown = {k: (v.isoformat() if hasattr(v, "isoformat") else v) for k, v in facts.items() if v is not None}
    return {"id": ident, "title": Text(en, zh).as_dict(), "facts": shown}


def supply(tx: Tx, f: Focus) -> list[Record]:
    rows = tx.session.execute(
        select(Site, Node, Device, func.sum(Allocation.amount))
        .join(Node, Node.site_id == Site.id)
        .join(Device, Device.node_id == Node.id)
        .join(Allocation, Allocation.device_id == Device.id)
        .where(Allocation.lease_id.in_(f.lease_ids))
        .group_by(Site.id, Node.id, Device.id)
        .order_by(Device.id)
    ).all()
    return [
        _record(
            d.id, f"{d.name} of {n.hostname}, site {s.name}", f"站点 {s.name} 节点 {n.hostname} 的 {d.name}",
            site_id=s.id, node_id=n.id, kind=d.kind, class_id=d.class_id, region=s.region, pue_milli=s.pue_milli,
            provider_id=s.provider_id,
        )
        for s, n, d, _ in rows
    ]  # fmt: skip


def catalogue(tx: Tx, f: Focus) -> list[Record]:
    quotes = tx.session.scalars(
        select(Quote)
        .join(Workload, Workload.quote_id == Quote.id)
        .where(Workload.id.in_(f.workload_ids))
        .order_by(Quote.id)
    ).all()
    paid_with = (
        select(Grant.order_id).join(Slice, Slice.grant_id == Grant.id).join(Charge, Charge.id == Slice.charge_id)
    )
    orders = tx.session.scalars(
        select(Order)
        .where(Order.id.in_(f.order_ids) | Order.id.in_(paid_with.where(Charge.lease_id.in_(f.lease_ids))))
        .order_by(Order.id)
    ).all()
    top_ups = tx.session.scalars(select(TopUp).where(TopUp.org_id == f.org_id).order_by(TopUp.id.desc()).limit(5)).all()
    return [
        *(
            _record(
                q.id, "Quote", "报价", price_book_version=q.price_book_version, shape=q.shape,
                rate_udu_per_hour=q.rate_udu_per_hour, price_yuan_per_du=decimal_text(q.price_e8_per_du, 8, at_least=2),
                platform_fee_ppm=q.platform_fee_ppm,
            )
            for q in quotes
        ),
        *(
            _record(
                o.id, f"Order of {o.product}", f"订购 {o.product}", quantity_udu=o.quantity_udu,
                amount_yuan=decimal_text(o.amount_ucny, 6, at_least=2), at=o.at, price_book_version=o.price_book_version,
            )
            for o in orders
        ),
        *(
            _record(
                t.id, "Top-up of the wallet", "钱包充值", amount_yuan=decimal_text(t.amount_ucny, 6, at_least=2), channel=t.channel,
                reference=t.reference, at=t.at,
            )
            for t in top_ups
        ),
    ]  # fmt: skip


def workload(tx: Tx, f: Focus) -> list[Record]:
    rows = tx.session.scalars(select(Workload).where(Workload.id.in_(f.workload_ids)).order_by(Workload.id)).all()
    deployments = tx.session.execute(
        select(Deployment, Model.name, ModelVersion.number)
        .join(Model, Model.id == Deployment.model_id)
        .join(ModelVersion, ModelVersion.id == Deployment.version_id)
        .where(Deployment.workload_id.in_(f.workload_ids))
    ).all()
    return [
        *(
            _record(w.id, f"{w.kind} {w.name}", f"{'作业' if w.kind == 'job' else '服务'} {w.name}", state=w.state, created_at=w.created_at, created_by=w.created_by)
            for w in rows
        ),
        *(
            _record(d.id, f"Deployment of {name} version {number}", f"模型 {name} 第 {number} 版的部署", created_at=d.created_at, ended_at=d.ended_at)
            for d, name, number in deployments
        ),
    ]  # fmt: skip


def placement(tx: Tx, f: Focus) -> list[Record]:
    rows = tx.session.scalars(
        select(PlacementRecord).where(PlacementRecord.workload_id.in_(f.workload_ids)).order_by(PlacementRecord.id)
    ).all()
    return [
        _record(
            p.id, p.plan["reason"]["en"], p.plan["reason"]["zh"], at=p.at, chosen=p.plan["chosen"],
            compared=len(p.plan["candidates"]), rejected={r["constraint"]: r["count"] for r in p.plan["rejected"]},
        )
        for p in rows
    ]  # fmt: skip


def _leases(tx: Tx, f: Focus) -> list[Lease]:
    return list(tx.session.scalars(select(Lease).where(Lease.id.in_(f.lease_ids)).order_by(Lease.id)))


def lease(tx: Tx, f: Focus) -> list[Record]:
    return [
        _record(
            x.id, f"Lease, generation {x.generation}", f"租约，第 {x.generation} 代", state=x.state, site_id=x.site_id,
            workload_id=x.workload_id, offered_at=x.offered_at, active_from=x.active_from, active_to=x.active_to,
            rate_udu_per_hour=x.rate_udu_per_hour, fault=x.fault,
        )
        for x in _leases(tx, f)
    ]  # fmt: skip


def execution(tx: Tx, f: Focus) -> list[Record]:
    left = tx.session.scalars(
        select(Artefact).where(Artefact.lease_id.in_(f.lease_ids)).order_by(Artefact.path).limit(50)
    ).all()
    versions = tx.session.execute(
        select(ModelVersion, Model.name)
        .join(Model, Model.id == ModelVersion.model_id)
        .where(ModelVersion.lease_id.in_(f.lease_ids))
    ).all()
    ran = [
        _record(
            x.id, "Run", "运行", exit_code=x.exit_code, reason=x.reason, message=x.message, cpu_milliseconds=x.cpu_milliseconds,
            memory_peak_bytes=x.memory_peak_bytes,
        )
        for x in _leases(tx, f)
        if x.active_from is not None
    ]  # fmt: skip
    files = [
        _record(a.id, f"Artefact {a.path}", f"产物 {a.path}", size_bytes=a.size_bytes, sha256=a.sha256) for a in left
    ]
    models = [
        _record(
            v.id, f"Model {name} version {v.number}", f"模型 {name} 第 {v.number} 版", evaluation=_short(v.evaluation)
        )
        for v, name in versions
    ]
    return ran + files + models


def _short(evaluation: dict[str, Any] | None) -> dict[str, Any] | None:
    """The figures of an evaluation without its lists of examples."""
    if evaluation is None:
        return None
    return {k: _short(v) if isinstance(v, dict) else v for k, v in evaluation.items() if not isinstance(v, list)}


def usage(tx: Tx, f: Focus) -> list[Record]:
    windows = tx.session.execute(
        select(
            Window.lease_id, func.count(), func.sum(Window.seconds), func.sum(Window.quantity_udu), func.min(Window.start_at),
            func.max(Window.end_at),
        )
        .where(Window.lease_id.in_(f.lease_ids))
        .group_by(Window.lease_id)
        .order_by(Window.lease_id)
    ).all()  # fmt: skip
    tokens = tx.session.execute(
        select(
            TokenEvent.deployment_id,
            func.count(),
            func.sum(TokenEvent.input_tokens),
            func.sum(TokenEvent.output_tokens),
        )
        .where(TokenEvent.lease_id.in_(f.lease_ids))
        .group_by(TokenEvent.deployment_id)
    ).all()
    return [
        *(
            _record(
                i, f"{n} windows of {i}", f"{i} 的 {n} 个计量窗口", windows=n, seconds=int(s),
                quantity_du=decimal_text(int(q), 6), first=a, last=b,
            )
            for i, n, s, q, a, b in windows
        ),
        *(
            _record(d, f"{n} model calls of {d}", f"{d} 的 {n} 次模型调用", calls=n, input_tokens=int(a), output_tokens=int(b))
            for d, n, a, b in tokens
        ),
        *_engine_accounts(tx, f),
    ]  # fmt: skip


def _engine_accounts(tx: Tx, f: Focus) -> list[Record]:
    """What the sites' own engines counted, beside what was metered."""
    rows = tx.session.scalars(
        select(EngineAccount).where(EngineAccount.lease_id.in_(f.lease_ids)).order_by(EngineAccount.lease_id)
    )
    return [
        _record(
            a.lease_id, f"Account of the engine ({a.source}) of {a.lease_id}", f"引擎（{a.source}）对 {a.lease_id} 的记录", verdict=a.verdict,
            state=a.state, engine_seconds=_seconds(a.engine_milliseconds), metered_seconds=a.metered_seconds,
            difference_seconds=_seconds(a.difference_milliseconds), cpu_milliseconds=a.cpu_milliseconds, nodes=a.nodes,
            first=a.started_at, last=a.ended_at,
        )
        for a in rows
    ]  # fmt: skip


def _seconds(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else decimal_text(milliseconds, 3)


def charge(tx: Tx, f: Focus) -> list[Record]:
    rows = tx.session.execute(
        select(
            Charge.lease_id, Charge.kind, Slice.purse, Slice.grant_id, func.count(), func.sum(Slice.quantity_udu),
            func.sum(Slice.value_ucny), func.sum(Slice.cash_ucny), func.min(Charge.id), func.max(Charge.id),
        )
        .join(Slice, Slice.charge_id == Charge.id)
        .where(Charge.lease_id.in_(f.lease_ids))
        .group_by(Charge.lease_id, Charge.kind, Slice.purse, Slice.grant_id)
        .order_by(Charge.lease_id, func.min(Charge.id), Slice.purse)
    ).all()  # fmt: skip
    return [
        _record(
            first, f"{n} {kind} charges paid by {purse}", f"{n} 笔{PURSE_ZH[purse]}支付的{KIND_ZH[kind]}计费", lease_id=lease_id, grant_id=grant,
            quantity_du=decimal_text(int(q), 6), value_yuan=decimal_text(int(v), 6, at_least=2),
            cash_yuan=decimal_text(int(c), 6, at_least=2), last_charge_id=last,
        )
        for lease_id, kind, purse, grant, n, q, v, c, first, last in rows
    ]  # fmt: skip


PURSE_ZH = {"free": "免费额度", "pack": "算力包", "wallet": "钱包", "arrears": "欠费"}
KIND_ZH = {"time": "时长", "tokens": "token", "credit": "赔付"}


def _line_ids(f: Focus) -> Any:
    of_leases = select(Charge.invoice_line_id).where(
        Charge.lease_id.in_(f.lease_ids), Charge.invoice_line_id.is_not(None)
    )
    return InvoiceLine.id.in_(of_leases) | InvoiceLine.subject.in_(f.order_ids)


def invoice(tx: Tx, f: Focus) -> list[Record]:
    rows = tx.session.execute(
        select(InvoiceLine, Invoice)
        .join(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .where(_line_ids(f))
        .order_by(Invoice.number, InvoiceLine.number)
    ).all()
    return [
        _record(
            line.id, f"Line {line.number} of invoice {bill.number} ({line.kind})", f"账单 {bill.number} 第 {line.number} 行（{line.kind}）",
            invoice_id=bill.id, subject=line.subject, seconds=line.seconds, tokens=line.tokens,
            quantity_du=decimal_text(line.quantity_udu, 6), amount_yuan=decimal_text(line.amount_ucny, 6, at_least=2),
            shown_fen=line.shown_fen, value_yuan=decimal_text(line.value_ucny, 6, at_least=2),
        )
        for line, bill in rows
    ]  # fmt: skip


def settlement(tx: Tx, f: Focus) -> list[Record]:
    invoices = select(InvoiceLine.invoice_id).where(_line_ids(f))
    rows = tx.session.execute(
        select(Settlement, Share)
        .join(Share, Share.settlement_id == Settlement.id)
        .where(Settlement.invoice_id.in_(invoices))
        .order_by(Settlement.id, Share.number)
    ).all()
    return [
        _record(
            made.id, f"Share of {share.role} {share.party}", f"{'提供方' if share.role == 'provider' else '平台'} {share.party} 的分成",
            invoice_id=made.invoice_id, amount_fen=share.amount_fen, of_total_fen=made.total_fen,
        )
        for made, share in rows
    ]  # fmt: skip


def carbon(tx: Tx, f: Focus) -> list[Record]:
    return [
        _record(
            row.lease_id,
            f"Energy and carbon of {row.lease_id} (modelled from rated power)",
            f"{row.lease_id} 的能耗与碳排放（按额定功率估算）",
            **_carbon_facts(row.as_dict()),
        )
        for row in green.lease_carbon(tx.session, f.lease_ids)
    ]


def _carbon_facts(row: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k not in ("lease_id", "workload_id", "org_id", "site_id", "without_factor")}


STATIONS: tuple[tuple[str, Callable[[Tx, Focus], list[Record]]], ...] = (
    ("supply", supply), ("catalogue", catalogue), ("workload", workload), ("placement", placement), ("lease", lease),
    ("execution", execution), ("usage", usage), ("charge", charge), ("invoice", invoice), ("settlement", settlement),
    ("carbon", carbon),
)  # fmt: skip
