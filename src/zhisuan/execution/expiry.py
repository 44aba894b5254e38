"""The term of a lease: how long a site may be cut off before its work goes on elsewhere.

Every answered sync of a site renews all its leases; the fact that is renewed is the site's ``last_seen_at``. The agent
counts the same term from the sending of its last answered sync and ends the work by itself, so that work is lost here only
when it has surely ended there. Silence counts only while somebody listened: a server that was down makes no site silent.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert

from zhisuan.base.db import Tx
from zhisuan.execution.service import lose
from zhisuan.execution.tables import Lease, Listening
from zhisuan.supply.tables import Site
from zhisuan.workload.tables import Workload

EXPIRY_MARGIN = timedelta(seconds=60)
"""Beside the lease's grace: the kill at the site, a site's time of last hearing that is written every few seconds, and clocks that drift."""
NOBODY_LISTENED = timedelta(seconds=60)


def note_listening(tx: Tx) -> datetime:
    """Since when sites could make themselves heard without a break. Called every few seconds by any server."""
    tx.session.execute(insert(Listening).values(id=1, since=tx.now, until=tx.now).on_conflict_do_nothing())
    row = tx.session.get_one(Listening, 1, with_for_update=True, populate_existing=True)
    if tx.now - row.until > NOBODY_LISTENED:
        row.since = tx.now
    row.until = max(row.until, tx.now)
    return row.since


def expires_at(lease: Lease, last_seen_at: datetime | None, listening_since: datetime) -> datetime:
    """When a lease that is not renewed again counts as lost."""
    renewed = max(lease.offered_at, listening_since, last_seen_at or lease.offered_at)
    return renewed + timedelta(seconds=lease.term_seconds + int(lease.offer["grace_seconds"])) + EXPIRY_MARGIN


def expired_leases(tx: Tx, listening_since: datetime, limit: int = 500) -> Sequence[str]:
    """Open leases whose term and margin are over, oldest first, found without a lock."""
    renewed = func.greatest(Lease.offered_at, func.coalesce(Site.last_seen_at, Lease.offered_at), listening_since)
    grace = Lease.offer["grace_seconds"].as_integer()
    query = (
        select(Lease.id)
        .join(Site, Site.id == Lease.site_id)
        .where(
            Lease.state != "closed",
            renewed + (Lease.term_seconds + grace) * text("interval '1 second'") + EXPIRY_MARGIN <= tx.now,
        )
        .order_by(Lease.id)
        .limit(limit)
    )
    return tx.session.scalars(query).all()


def lose_lease(tx: Tx, lease_id: str, listening_since: datetime) -> bool:
    """Close an expired lease as lost; False where its site has been heard meanwhile, or it has closed.

    Locks: workload, lease, then the site's row for reading, so that a sync that renews at this moment is either seen here
    or finds the lease closed. What had ended and only not delivered everything keeps its end.
    """
    workload_id = tx.session.scalar(select(Lease.workload_id).where(Lease.id == lease_id))
    if workload_id is None:
        return False
    workload = tx.session.get_one(Workload, workload_id, with_for_update=True)
    lease = tx.session.get_one(Lease, lease_id, with_for_update=True, populate_existing=True)
    site = tx.session.get_one(Site, lease.site_id, with_for_update={"read": True}, populate_existing=True)
    if lease.state == "closed" or expires_at(lease, site.last_seen_at, listening_since) > tx.now:
        return False
    seconds = int((tx.now - (site.last_seen_at or lease.offered_at)).total_seconds())
    lose(tx, lease, workload, site, f"the site {site.name} has not been heard for {seconds} s")
    return True
