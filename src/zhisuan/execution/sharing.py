"""What projects have used of late, kept by the hour from the seconds of their leases.

A closed lease is noted once, with its metered seconds, in the hours that they lie in; until then it is counted as it stands. Both are read
by one statement, so nothing is counted twice or not at all. Leases that ended by fault of site or platform are noted with nothing:
they are not charged either.
"""

from collections import defaultdict
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, text, update

from zhisuan.base.db import Tx
from zhisuan.execution.tables import Lease
from zhisuan.placement.queueing.shares import HALF_LIFE_SECONDS, KEPT_HALF_LIVES, by_hour, recent
from zhisuan.placement.queueing.types import NOTHING, Amounts
from zhisuan.workload.queue_tables import UsedHour

KEPT = timedelta(seconds=KEPT_HALF_LIVES * HALF_LIFE_SECONDS)
NOTED_AT_ONCE = 1000
Used = dict[tuple[str, str], dict[int, Amounts]]
"""Thousandths of card-seconds and core-seconds by organisation and project, then by the hour's first second."""

_DUE = text(
    """SELECT id, org_id, project_id, cards_milli, cores_milli, active_from, active_to, fault FROM execution_lease
       WHERE NOT used_noted AND active_from IS NOT NULL AND state = 'closed' ORDER BY id LIMIT :most FOR UPDATE SKIP LOCKED"""
)
_ADD = text(
    """INSERT INTO workload_used_hour (org_id, project_id, hour, cards_milli_seconds, cores_milli_seconds)
       VALUES (:org, :project, :hour, :cards, :cores) ON CONFLICT (project_id, hour) DO UPDATE SET
       cards_milli_seconds = workload_used_hour.cards_milli_seconds + excluded.cards_milli_seconds,
       cores_milli_seconds = workload_used_hour.cores_milli_seconds + excluded.cores_milli_seconds"""
)
_ALL = text(
    """SELECT org_id, project_id, cards_milli_seconds AS cards, cores_milli_seconds AS cores, hour AS begin, NULL AS until
       FROM workload_used_hour WHERE org_id = ANY(CAST(:orgs AS text[])) AND hour >= :since
       UNION ALL
       SELECT org_id, project_id, cards_milli, cores_milli, active_from, coalesce(active_to, :now) FROM execution_lease
       WHERE org_id = ANY(CAST(:orgs AS text[])) AND NOT used_noted AND active_from IS NOT NULL AND fault IS NULL"""
)


def note_used(tx: Tx) -> bool:
    """Note closed leases; whether there may be more."""
    rows = tx.session.execute(_DUE, {"most": NOTED_AT_ONCE}).all()
    used: Used = defaultdict(dict)
    for row in rows:
        if row.fault is None and row.active_to is not None:
            _add(used[row.org_id, row.project_id], Amounts(row.cards_milli, row.cores_milli), row.active_from, row.active_to)
    values = [
        {"org": org, "project": project, "hour": datetime.fromtimestamp(hour, UTC), "cards": a.cards_milli, "cores": a.cores_milli}
        for (org, project), hours in sorted(used.items())
        for hour, a in sorted(hours.items())
    ]
    if values:
        tx.session.execute(_ADD, values)
    if rows:
        tx.session.execute(update(Lease).where(Lease.id.in_([row.id for row in rows])).values(used_noted=True))
    return len(rows) == NOTED_AT_ONCE


def forget_used(tx: Tx) -> None:
    """Let go of what is so old that it counts next to nothing."""
    tx.session.execute(delete(UsedHour).where(UsedHour.hour < tx.now - KEPT))


def note_again(tx: Tx) -> int:
    """Begin anew from the leases, as if nothing had been noted; ``note_used`` does the rest. How many leases that is."""
    tx.session.execute(delete(UsedHour))
    counts = (Lease.state == "closed", Lease.used_noted, Lease.active_from.is_not(None), Lease.active_to >= tx.now - KEPT)
    return len(tx.session.scalars(update(Lease).where(*counts).values(used_noted=False).returning(Lease.id)).all())


def used_by(tx: Tx, org_ids: Collection[str]) -> Used:
    """All use that still counts, of leases that run as well."""
    found: Used = defaultdict(dict)
    given = {"orgs": list(org_ids), "since": tx.now - KEPT, "now": tx.now}
    for org_id, project_id, cards, cores, begin, until in tx.session.execute(_ALL, given):
        hours = found[org_id, project_id]
        if until is None:
            start = int(begin.timestamp())
            hours[start] = hours.get(start, NOTHING) + Amounts(cards, cores)
        else:
            _add(hours, Amounts(cards, cores), max(begin, tx.now - KEPT), until)
    return dict(found)


def recent_by(tx: Tx, org_ids: Collection[str]) -> dict[str, Amounts]:
    """What organisations and their projects have used of late, by id, as it counts now."""
    now, found = int(tx.now.timestamp()), defaultdict[str, Amounts](Amounts)
    for (org_id, project_id), hours in used_by(tx, org_ids).items():
        counted = recent(hours, now)
        found[project_id] = found[project_id] + counted
        found[org_id] = found[org_id] + counted
    return dict(found)


def _add(hours: dict[int, Amounts], amounts: Amounts, begin: datetime, until: datetime) -> None:
    for hour, used in by_hour(amounts, int(begin.timestamp()), int(until.timestamp())).items():
        hours[hour] = hours.get(hour, NOTHING) + used
