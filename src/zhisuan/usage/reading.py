"""What was metered: for rating (which marks what it takes), for carbon and settlement, and checked against the raw rows."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, LiteralString, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from zhisuan.execution.tables import Lease
from zhisuan.usage.bulk import driver_connection
from zhisuan.usage.rules import epoch_second
from zhisuan.usage.tables import Window


class UnratedWindow(NamedTuple):
    """A window just taken for rating; ``second`` is its start ``at`` in seconds since 1970."""

    source: str
    id: str
    lease_id: str
    second: int
    at: datetime
    seconds: int
    quantity_udu: int


class UnratedTokens(NamedTuple):
    """A model call just taken for rating; ``second`` is ``at`` cut down to seconds since 1970."""

    source: str
    id: str
    lease_id: str
    second: int
    at: datetime
    deployment_id: str
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    outcome: str


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """What rating needs of a lease. ``fault`` names who ended it early when that was not the work itself."""

    lease_id: str
    provider_id: str
    quote_id: str
    rate_udu_per_hour: int
    active_from: int
    fault: str | None


@dataclass(frozen=True, slots=True)
class LeaseUsage:
    """Metered time of one lease. ``power_milliwatts``, ``pue_milli`` and ``region`` are those of its placement."""

    lease_id: str
    workload_id: str
    org_id: str
    site_id: str
    provider_id: str
    seconds: int
    quantity_udu: int
    first_start: datetime
    last_end: datetime
    power_milliwatts: int
    pue_milli: int
    region: str


class UsageShape(NamedTuple):
    """``leases`` leases that are alike in all that energy and carbon depend on: each ran ``seconds`` in the period, after
    ``seconds_before`` before it."""

    power_milliwatts: int
    pue_milli: int
    region: str
    seconds: int
    seconds_before: int
    leases: int


@dataclass(frozen=True, slots=True)
class TotalsMismatch:
    """A lease whose stored total is not what its windows come to."""

    lease_id: str
    stored_seconds: int
    stored_udu: int
    recomputed_seconds: int
    recomputed_udu: int


_NEXT_ORG = """
WITH RECURSIVE org(id) AS (
    SELECT least(
        (SELECT min(org_id) FROM usage_window WHERE NOT rated AND org_id > %(after)s),
        (SELECT min(org_id) FROM usage_token_event WHERE NOT rated AND org_id > %(after)s))
  UNION ALL
    SELECT least(
        (SELECT min(org_id) FROM usage_window WHERE NOT rated AND org_id > org.id),
        (SELECT min(org_id) FROM usage_token_event WHERE NOT rated AND org_id > org.id))
    FROM org WHERE org.id IS NOT NULL
)
SELECT id FROM org WHERE id IS NOT NULL LIMIT %(limit)s
"""

_TAKE_WINDOWS = """
WITH due AS (
    SELECT ctid FROM usage_window WHERE org_id = %s AND NOT rated ORDER BY start_at, lease_id LIMIT %s
)
UPDATE usage_window w SET rated = true FROM due WHERE w.ctid = due.ctid AND NOT w.rated
RETURNING w.source, w.id, w.lease_id, extract(epoch FROM w.start_at)::bigint, w.start_at, w.seconds, w.quantity_udu
"""

_TAKE_TOKENS = """
WITH due AS (SELECT ctid FROM usage_token_event WHERE org_id = %s AND NOT rated ORDER BY at LIMIT %s)
UPDATE usage_token_event t SET rated = true FROM due WHERE t.ctid = due.ctid AND NOT t.rated
RETURNING t.source, t.id, t.lease_id, floor(extract(epoch FROM t.at))::bigint, t.at, t.deployment_id,
    t.input_tokens, t.cached_input_tokens, t.output_tokens, t.outcome
"""

_RECOMPUTED = """
SELECT w.lease_id, sum(w.seconds)::bigint, sum(w.quantity_udu)::bigint,
    sum(extract(epoch FROM w.end_at - w.start_at))::bigint,
    sum(div(l.rate_udu_per_hour::numeric * extract(epoch FROM w.end_at - l.active_from), 3600)
      - div(l.rate_udu_per_hour::numeric * extract(epoch FROM w.start_at - l.active_from), 3600))::bigint
FROM usage_window w JOIN execution_lease l ON l.id = w.lease_id
GROUP BY w.lease_id
HAVING sum(w.seconds) <> sum(extract(epoch FROM w.end_at - w.start_at))
    OR sum(w.quantity_udu) <> sum(div(l.rate_udu_per_hour::numeric * extract(epoch FROM w.end_at - l.active_from), 3600)
      - div(l.rate_udu_per_hour::numeric * extract(epoch FROM w.start_at - l.active_from), 3600))
ORDER BY w.lease_id
"""


def orgs_with_unrated(session: Session, *, after: str = "", limit: int = 100) -> list[str]:
    """Organisations that have something to rate, by id, from the one after ``after``."""
    rows = driver_connection(session).execute(_NEXT_ORG, {"after": after, "limit": limit})
    return [row[0] for row in rows]


def take_unrated_windows(session: Session, org_id: str, limit: int) -> list[UnratedWindow]:
    """Mark the organisation's oldest unrated windows as rated and return them by (start, lease).

    The caller writes their charges in the same transaction and holds the organisation's lock, so that whole batches
    are rated one after the other; even without it no window is given out twice.
    """
    return sorted(map(UnratedWindow._make, _take(session, _TAKE_WINDOWS, org_id, limit)), key=itemgetter(3, 2))


def take_unrated_tokens(session: Session, org_id: str, limit: int) -> list[UnratedTokens]:
    """Mark the organisation's oldest unrated model calls as rated and return them by (time, source, id)."""
    taken = map(UnratedTokens._make, _take(session, _TAKE_TOKENS, org_id, limit))
    return sorted(taken, key=lambda call: (call.at, call.source, call.id))


def _take(session: Session, statement: LiteralString, org_id: str, limit: int) -> list[tuple[Any, ...]]:
    """Few events are unrated as a rule, so the planner would collect and sort all of an organisation's; after an outage
    that is its whole backlog for every batch. Without sorting it reads the first ``limit`` in the order of the index."""
    with driver_connection(session).cursor(binary=True) as cursor:
        cursor.execute("SET LOCAL enable_sort = off")
        taken = cursor.execute(statement, (org_id, limit)).fetchall()
        cursor.execute("SET LOCAL enable_sort = on")
    return taken


def lease_terms(session: Session, lease_ids: Collection[str]) -> dict[str, LeaseTerms]:
    """The terms of these leases. One that has not become active (tokens only) counts as active from 1970."""
    found = session.execute(
        select(
            Lease.id, Lease.provider_id, Lease.quote_id, Lease.rate_udu_per_hour, Lease.active_from, Lease.fault
        ).where(Lease.id.in_(set(lease_ids)))
    )
    return {
        row.id: LeaseTerms(
            lease_id=row.id, provider_id=row.provider_id, quote_id=row.quote_id, rate_udu_per_hour=row.rate_udu_per_hour,
            active_from=0 if row.active_from is None else epoch_second(row.active_from), fault=row.fault,
        )
        for row in found
    }  # fmt: skip


def lease_usage(
    session: Session,
    *,
    org_id: str | None = None,
    workload_id: str | None = None,
    lease_ids: Sequence[str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[LeaseUsage]:
    """Metered totals by lease, by lease id; windows that start in ``[since, until)``. A lease without any is left out."""
    query = (
        select(
            Lease.id, Lease.workload_id, Lease.org_id, Lease.site_id, Lease.provider_id, func.sum(Window.seconds),
            func.sum(Window.quantity_udu), func.min(Window.start_at), func.max(Window.end_at), Lease.power_milliwatts,
            Lease.pue_milli, Lease.region,
        )
        .join(Window, Window.lease_id == Lease.id)
        .group_by(Lease.id)
        .order_by(Lease.id)
    )  # fmt: skip
    if org_id is not None:
        query = query.where(Lease.org_id == org_id)
    if workload_id is not None:
        query = query.where(Lease.workload_id == workload_id)
    if lease_ids is not None:
        query = query.where(Lease.id.in_(set(lease_ids)))
    if since is not None:
        query = query.where(Window.start_at >= since)
    if until is not None:
        query = query.where(Window.start_at < until)
    return [
        LeaseUsage(
            lease_id=r[0], workload_id=r[1], org_id=r[2], site_id=r[3], provider_id=r[4], seconds=int(r[5]),
            quantity_udu=int(r[6]), first_start=r[7], last_end=r[8], power_milliwatts=r[9], pue_milli=r[10], region=r[11],
        )
        for r in session.execute(query)
    ]  # fmt: skip


_SHAPES = """
SELECT power_milliwatts, pue_milli, region, seconds, seconds_before, count(*)
FROM (
    SELECT l.power_milliwatts, l.pue_milli, l.region,
        sum(w.seconds) FILTER (WHERE w.start_at >= %(since)s)::bigint AS seconds,
        coalesce(sum(w.seconds) FILTER (WHERE w.start_at < %(since)s), 0)::bigint AS seconds_before
    FROM execution_lease l JOIN usage_window w ON w.lease_id = l.id
    WHERE (%(org_id)s::text IS NULL OR l.org_id = %(org_id)s) AND w.start_at < %(until)s
        AND l.active_from < %(until)s AND (l.active_to IS NULL OR l.active_to > %(since)s)
    GROUP BY l.id
) AS lease
WHERE seconds IS NOT NULL
GROUP BY power_milliwatts, pue_milli, region, seconds, seconds_before
"""


def usage_shapes(session: Session, *, org_id: str | None, since: datetime, until: datetime) -> list[UsageShape]:
    """The leases of one organisation (of all for None) with windows that start in ``[since, until)``, counted by shape.

    A window lies inside the active span of its lease, so a lease whose span does not touch the period is not looked at.
    """
    given = {"org_id": org_id, "since": since, "until": until}
    return list(map(UsageShape._make, driver_connection(session).execute(_SHAPES, given)))


def check_totals(session: Session) -> list[TotalsMismatch]:
    """Leases whose stored totals differ from what the raw times of their windows come to; empty when all is right."""
    return [TotalsMismatch(*row) for row in driver_connection(session).execute(_RECOMPUTED)]
