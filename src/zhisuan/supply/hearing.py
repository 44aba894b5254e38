"""Whether a site can be heard, and how far its clock is off."""

from datetime import datetime, timedelta

from sqlalchemy import select, text, update

from zhisuan.base.db import Tx
from zhisuan.supply.tables import Site, SiteSilence

SILENCE_LOCK = 722_302


def heard_from(tx: Tx, site: Site, *, agent_boot: str, agent_time: datetime, every: timedelta) -> None:
    """Note that the site's agent spoke; written at most once per ``every`` so that syncs do not make rows churn."""
    if site.last_seen_at is not None and site.agent_boot == agent_boot and tx.now - site.last_seen_at < every:
        return
    site.last_seen_at = tx.now
    site.agent_boot = agent_boot
    site.clock_offset_ms = int((agent_time - tx.now).total_seconds() * 1000)
    tx.session.execute(
        update(SiteSilence).where(SiteSilence.site_id == site.id, SiteSilence.until.is_(None)).values(until=tx.now)
    )


def note_silences(tx: Tx, ttl: timedelta) -> list[str]:
    """Open a silence for each site not heard from within ``ttl``; their ids. The work there is left as it is.

    Two that do this at once do it one after the other, so that a silence is noted once.
    """
    tx.session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": SILENCE_LOCK})
    silent = tx.session.scalars(
        select(Site).where(
            Site.last_seen_at < tx.now - ttl,
            Site.state.in_(("joining", "verified", "open", "draining")),
            ~select(SiteSilence.id).where(SiteSilence.site_id == Site.id, SiteSilence.until.is_(None)).exists(),
        )
    ).all()
    for site in silent:
        assert site.last_seen_at is not None  # noqa: S101 - the query compares it
        tx.session.add(SiteSilence(id=tx.ids.new("evt"), site_id=site.id, since=site.last_seen_at, until=None))
        tx.emit("site.unreachable", site.id, {"since": site.last_seen_at.isoformat()})
    return [site.id for site in silent]


def is_reachable(site: Site, now: datetime, ttl: timedelta) -> bool:
    return site.last_seen_at is not None and now - site.last_seen_at <= ttl
