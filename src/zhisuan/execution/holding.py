"""What organisations hold under their quotas, so that a quota is never passed, whoever places at once.

Whoever is about to take devices first locks the quotas with a limit of the organisations concerned, by id, before any site or device;
then counts what their leases hold, which by then is all that anybody who held the lock has taken. Organisations without a limit lock
and count nothing.
"""

from collections.abc import Collection

from sqlalchemy import func, select

from zhisuan.base.db import Tx
from zhisuan.execution.tables import Lease
from zhisuan.placement.queueing.quotas import Accounts
from zhisuan.placement.queueing.types import Amounts, Limit, Quota
from zhisuan.workload.queue_tables import QuotaRow
from zhisuan.workload.quota_rows import lock_limits, read_quotas

HOLDING = ("offered", "accepted", "active")


def to_take(tx: Tx, org_ids: Collection[str]) -> Accounts:
    """For a transaction that takes devices: locks what limits these organisations until it ends."""
    return to_look(tx, org_ids) if lock_limits(tx, org_ids) else Accounts((), {})


def to_look(tx: Tx, org_ids: Collection[str]) -> Accounts:
    """As things stand; nothing is locked."""
    return Accounts(quotas_of(tx, org_ids), held_by(tx, org_ids))


def quotas_of(tx: Tx, org_ids: Collection[str]) -> list[Quota]:
    """Organisations first."""
    return [_quota(row, name) for row, name in read_quotas(tx, org_ids)]


def _quota(row: QuotaRow, name: str) -> Quota:
    parent = None if row.project_id is None else row.parent_id or row.org_id
    limit = Limit(row.cards_limit_milli, row.cores_limit_milli)
    return Quota(row.subject, name, parent, Amounts(row.cards_milli, row.cores_milli), limit, row.weight)


def held_by(tx: Tx, org_ids: Collection[str]) -> dict[tuple[str, str], Amounts]:
    """By organisation and project."""
    query = (
        select(Lease.org_id, Lease.project_id, func.sum(Lease.cards_milli), func.sum(Lease.cores_milli))
        .where(Lease.org_id.in_(org_ids), Lease.state.in_(HOLDING))
        .group_by(Lease.org_id, Lease.project_id)
    )
    return {(org, project): Amounts(int(cards), int(cores)) for org, project, cards, cores in tx.session.execute(query)}
