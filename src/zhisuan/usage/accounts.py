"""The engines' own accounts of leases, held against what was metered. Differences are shown, never corrected silently.

The rule (``compare``, pure): of the time that the engine counted, what it counted before the first instruction does not belong
to the lease (on Slurm the allocation comes first, on Ray the order). What is left and the metered seconds may differ by
``TOLERANCE_SECONDS`` and one per cent: engines count whole seconds, and end a run's books some moments after its last process.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from zhisuan.base.db import Tx
from zhisuan.execution.tables import Lease
from zhisuan.usage.rules import is_storable
from zhisuan.usage.tables import EngineAccount, Window
from zhisuan.wire.common import Accepted
from zhisuan.wire.site import AccountReport

TOLERANCE_SECONDS = 5
TOLERANCE_PER_CENT = 1
AGREES, METERED_MORE, METERED_LESS, OTHER_NODES = "agrees", "metered_more", "metered_less", "other_nodes"
VERDICTS = (AGREES, METERED_MORE, METERED_LESS, OTHER_NODES)
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Comparison:
    """``engine_milliseconds`` of the lease's own time; ``difference_milliseconds`` is metered minus engine."""

    verdict: str
    engine_milliseconds: int
    difference_milliseconds: int
    tolerance_milliseconds: int


def compare(
    *,
    metered_seconds: int,
    active_from: datetime,
    nodes: int,
    engine_started_at: datetime,
    engine_elapsed_milliseconds: int,
    engine_nodes: int | None,
) -> Comparison:
    before = max(0, (active_from - engine_started_at) // _MILLISECOND)
    engine = max(0, engine_elapsed_milliseconds - before)
    difference = metered_seconds * 1000 - engine
    tolerance = TOLERANCE_SECONDS * 1000 + engine * TOLERANCE_PER_CENT // 100
    if engine_nodes is not None and engine_nodes != nodes:
        verdict = OTHER_NODES
    elif abs(difference) <= tolerance:
        verdict = AGREES
    else:
        verdict = METERED_MORE if difference > 0 else METERED_LESS
    return Comparison(verdict, engine, difference, tolerance)


def take_accounts(tx: Tx, site_id: str, reports: Sequence[AccountReport]) -> Accepted:
    """Keep a site's accounts beside its own leases, the first of each for good; it may come before the lease is closed or
    after. Of a lease that is not the site's, of another generation, or unknown, nothing is kept (``refused``)."""
    wanted = {r.lease_id for r in reports if is_storable(r.lease_id)}
    found = select(Lease.id, Lease.generation, Lease.org_id).where(Lease.id.in_(wanted), Lease.site_id == site_id)
    leases = {row.id: row for row in tx.session.execute(found)}
    rows, refused = [], []
    for report in reports:
        lease = leases.get(report.lease_id)
        texts = (report.source, report.reference, report.state)
        if lease is None or lease.generation != report.generation or not all(map(is_storable, texts)):
            refused.append(report.lease_id)
        else:
            rows.append(_row(tx, site_id, lease.org_id, report))
    kept = _keep(tx.session, rows)
    return Accepted(accepted=kept, duplicate=len(rows) - kept, refused=tuple(refused))


def _row(tx: Tx, site_id: str, org_id: str, report: AccountReport) -> dict[str, Any]:
    said = report.model_dump(exclude={"generation"})
    return {**said, "site_id": site_id, "org_id": org_id, "received_at": tx.now}


def _keep(session: Session, rows: Iterable[dict[str, Any]]) -> int:
    found = list(rows)
    if not found:
        return 0
    statement = insert(EngineAccount).on_conflict_do_nothing().returning(EngineAccount.lease_id)
    return len(session.execute(statement, found).all())


def reconcile_accounts(tx: Tx, limit: int) -> int:
    """Judge accounts of leases that are closed, so that all they metered is here; how many were judged. What does not agree
    is announced."""
    due = tx.session.execute(
        select(EngineAccount, Lease)
        .join(Lease, Lease.id == EngineAccount.lease_id)
        .where(EngineAccount.judged_at.is_(None), Lease.state == "closed")
        .order_by(EngineAccount.received_at, EngineAccount.lease_id)
        .limit(limit)
        .with_for_update(of=EngineAccount, skip_locked=True)
    ).all()
    seconds = _metered(tx.session, [lease.id for _, lease in due])
    for account, lease in due:
        account.judged_at = tx.now
        account.metered_seconds = seconds.get(lease.id, 0)
        found = compare(
            metered_seconds=account.metered_seconds, active_from=lease.active_from or account.started_at,
            nodes=len(lease.node_ids), engine_started_at=account.started_at,
            engine_elapsed_milliseconds=account.elapsed_milliseconds, engine_nodes=account.nodes,
        )  # fmt: skip
        account.verdict = found.verdict
        account.engine_milliseconds, account.difference_milliseconds = (
            found.engine_milliseconds,
            found.difference_milliseconds,
        )
        if found.verdict != AGREES:
            told = {"verdict": found.verdict, "difference_milliseconds": found.difference_milliseconds}
            tx.emit("usage.account_differs", lease.id, told)
    return len(due)


def _metered(session: Session, lease_ids: Sequence[str]) -> dict[str, int]:
    query = select(Window.lease_id, func.sum(Window.seconds)).where(Window.lease_id.in_(lease_ids))
    return {lease_id: int(total) for lease_id, total in session.execute(query.group_by(Window.lease_id))}


def judge_again(tx: Tx, lease_ids: Iterable[str]) -> None:
    """More of these leases has been metered since: their accounts are to be compared anew."""
    for account in tx.session.scalars(
        select(EngineAccount).where(EngineAccount.lease_id.in_(set(lease_ids)), EngineAccount.judged_at.is_not(None))
    ):
        account.judged_at = account.verdict = None


def list_accounts(
    session: Session, *, site_id: str | None, verdict: str | None, after: str | None, limit: int
) -> Sequence[EngineAccount]:
    """By lease, newest first, from the one after ``after``. ``differs`` stands for every verdict but ``agrees``."""
    query = select(EngineAccount)
    if site_id is not None:
        query = query.where(EngineAccount.site_id == site_id)
    if verdict == "differs":
        query = query.where(EngineAccount.verdict.in_([v for v in VERDICTS if v != AGREES]))
    elif verdict is not None:
        query = query.where(EngineAccount.verdict == verdict)
    if after is not None:
        query = query.where(EngineAccount.lease_id < after)
    return session.scalars(query.order_by(EngineAccount.lease_id.desc()).limit(limit)).all()


def account_counts(session: Session, site_id: str) -> dict[str, int]:
    """How many closed leases of a site that ran stand how: every verdict, ``waiting`` to be compared, ``none`` from the
    engine."""
    closed = session.execute(
        select(EngineAccount.lease_id.is_(None), EngineAccount.verdict, func.count())
        .select_from(Lease)
        .outerjoin(EngineAccount, EngineAccount.lease_id == Lease.id)
        .where(Lease.site_id == site_id, Lease.state == "closed", Lease.active_from.is_not(None))
        .group_by(EngineAccount.lease_id.is_(None), EngineAccount.verdict)
    ).all()
    counts = dict.fromkeys((*VERDICTS, "waiting", "none"), 0)
    for missing, verdict, number in closed:
        counts["none" if missing else verdict or "waiting"] += number
    return counts
