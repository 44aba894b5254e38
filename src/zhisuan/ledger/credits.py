"""Giving back what was charged for a lease that the platform or a provider broke off."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session, aliased

from zhisuan.base.db import Tx
from zhisuan.ledger import accounts
from zhisuan.ledger.accounts import Leg, into_wallet
from zhisuan.ledger.bulk import write_charges
from zhisuan.ledger.posting import balance_of, lock_org, post
from zhisuan.ledger.rules import Slice
from zhisuan.ledger.tables import Charge, Grant
from zhisuan.ledger.tables import Slice as SliceRow

CREDIT = "credit"


def credit_lease(tx: Tx, lease_id: str, reason: str, actor: str) -> list[Charge]:
    """Undo every charge of the lease that has not been undone yet; returns the new, negative charges.

    Each mirrors the slices its original recorded: 度 go back to their grant, or to ``breakage`` where it has expired
    (an expired grant is not revived); money pays what is owed and then goes into the wallet. A charge is undone
    once at most: calling again gives an empty list, or the credits of what was rated in between.
    """
    org_id = tx.session.scalar(select(Charge.org_id).where(_creditable(lease_id)).limit(1))
    if org_id is None:
        return []
    lock_org(tx, org_id)
    originals = tx.session.scalars(select(Charge).where(_creditable(lease_id)).order_by(Charge.at, Charge.id)).all()
    if not originals:
        return []
    slices = _slices(tx.session, lease_id)
    transaction_id = tx.ids.new("txn")
    rows, parts = [], []
    for original in originals:
        ident = tx.ids.new("chg")
        rows.append(_mirrored(original, ident, tx.now, transaction_id))
        parts.append((ident, [_negative(part) for part in slices[original.id]]))
    undone = [part for original in originals for part in slices[original.id]]
    reverses = sorted({original.transaction_id for original in originals})
    post(
        tx, CREDIT, parts[0][0], _legs(tx, org_id, undone), org_id=org_id, ident=transaction_id,
        memo={"lease_id": lease_id, "reason": reason, "by": actor, "reverses": reverses},
        reverses=reverses[0] if len(reverses) == 1 else None,
    )  # fmt: skip
    write_charges(tx.session, rows, parts)
    value = sum(original.value_ucny for original in originals)
    tx.emit("lease.credited", lease_id, {"org_id": org_id, "reason": reason, "charges": len(rows), "value_ucny": value})
    return list(
        tx.session.scalars(select(Charge).where(Charge.transaction_id == transaction_id, Charge.lease_id == lease_id))
    )


def _creditable(lease_id: str) -> ColumnElement[bool]:
    credit = aliased(Charge)
    undone = select(credit.id).where(credit.source == CREDIT, credit.event_id == Charge.id).exists()
    return (Charge.lease_id == lease_id) & (Charge.kind != CREDIT) & ~undone


def _slices(session: Session, lease_id: str) -> dict[str, list[Slice]]:
    columns = (
        SliceRow.charge_id,
        SliceRow.purse,
        SliceRow.grant_id,
        SliceRow.quantity_udu,
        SliceRow.value_ucny,
        SliceRow.cash_ucny,
    )
    rows = session.execute(
        select(*columns)
        .join(Charge, Charge.id == SliceRow.charge_id)
        .where(_creditable(lease_id))
        .order_by(SliceRow.charge_id, SliceRow.number)
    )
    found: dict[str, list[Slice]] = defaultdict(list)
    for charge_id, *part in rows:
        found[charge_id].append(Slice._make(part))
    return found


def _negative(part: Slice) -> Slice:
    return Slice(part.purse, part.grant_id, -part.quantity_udu, -part.value_ucny, -part.cash_ucny)


def _mirrored(original: Charge, ident: str, at: datetime, transaction_id: str) -> tuple[Any, ...]:
    return (
        ident, original.org_id, CREDIT, original.id, CREDIT, original.lease_id, original.provider_id, original.lease_id, at,
        -original.seconds, -original.tokens, -original.quantity_udu, -original.value_ucny, -original.cash_ucny,
        original.platform_fee_ppm, original.price_book_version, original.price_e8_per_du, transaction_id,
    )  # fmt: skip


def _legs(tx: Tx, org_id: str, undone: Iterable[Slice]) -> list[Leg]:
    """The legs of the originals with their signs turned, but for grants that have expired since."""
    parts = list(undone)
    grant_ids = {part.grant_id for part in parts if part.grant_id is not None}
    grants = {grant.id: grant for grant in tx.session.scalars(select(Grant).where(Grant.id.in_(grant_ids)))}
    legs = [
        Leg(accounts.CLEARING, "CNY", -sum(p.value_ucny for p in parts)),
        Leg(accounts.CONSUMED_DU, "DU", -sum(p.quantity_udu for p in parts)),
    ]
    for part in parts:
        if part.grant_id is None:
            legs.append(Leg(accounts.ISSUED_DU, "DU", part.quantity_udu))
            continue
        expires_at = grants[part.grant_id].expires_at
        has_expired = expires_at is not None and expires_at <= tx.now
        legs.append(Leg(accounts.BREAKAGE if has_expired else accounts.grant(part.grant_id), "DU", part.quantity_udu))
        if part.purse == "free":
            legs.append(Leg(accounts.PROMOTION, "CNY", part.value_ucny))
        else:
            payer = accounts.BREAKAGE if has_expired else accounts.deferred(part.grant_id)
            legs.append(Leg(payer, "CNY", part.value_ucny))
    cash = sum(part.cash_ucny for part in parts)
    return legs + into_wallet(org_id, cash, balance_of(tx.session, accounts.arrears(org_id)))
