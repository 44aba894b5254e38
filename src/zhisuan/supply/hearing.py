"""Whether a site can be heard, and how far its clock is off.

A site speaks every few seconds and that is mostly all it says. So a process keeps in mind what it has heard (``Hearing``) and writes it
for all sites at once (``write_heard``, every two seconds). What is more than that is written at once, in the call itself: the first
word of an agent, of a new one, after more than ``SPOKEN_WITHIN``, or with another clock. A process that is killed takes with it what it
has not written: two seconds, of which the margin of a lease's term is a multiple.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, text, update

from zhisuan.base.db import Tx
from zhisuan.supply.offering import clock_reason
from zhisuan.supply.tables import Site, SiteSilence

SILENCE_LOCK = 722_302
SPOKEN_WITHIN = timedelta(seconds=30)
OFFSET_NOTED_MS = 250
"""A site's clock that is off by less than this more or less than before is as it was: messages take that long."""


@dataclass(frozen=True, slots=True)
class _Voice:
    agent_boot: str
    offset_ms: int
    at: datetime


class Hearing:
    """What this process has heard, and what of it is not written yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, _Voice] = {}
        self._due: dict[str, datetime] = {}

    def note(self, site_id: str, *, agent_boot: str, offset_ms: int, now: datetime) -> bool:
        """Keep in mind that a site spoke; False where that has to be written at once."""
        with self._lock:
            known = self._known.get(site_id)
            if (
                known is None
                or known.agent_boot != agent_boot
                or _is_other(known.offset_ms, offset_ms)
                or not timedelta(0) <= now - known.at <= SPOKEN_WITHIN
            ):
                return False
            self._known[site_id] = _Voice(agent_boot, known.offset_ms, now)
            self._due[site_id] = now
            return True

    def learn(self, site: Site) -> None:
        """What is written of a site."""
        with self._lock:
            if site.agent_boot is not None and site.clock_offset_ms is not None and site.last_seen_at is not None:
                self._known[site.id] = _Voice(site.agent_boot, site.clock_offset_ms, site.last_seen_at)

    def due(self) -> dict[str, datetime]:
        """What is to be written, handed over."""
        with self._lock:
            taken, self._due = self._due, {}
            return taken

    def put_back(self, left: Mapping[str, datetime]) -> None:
        with self._lock:
            self._due = {**left, **self._due}


def _is_other(before: int | None, offset_ms: int) -> bool:
    """Whether a clock's offset is worth writing: it has moved, or what follows from it has."""
    if before is None or abs(offset_ms - before) >= OFFSET_NOTED_MS:
        return True
    return (clock_reason(before) is None) != (clock_reason(offset_ms) is None)


_WRITE = text(
    """WITH said AS (SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:ats AS timestamptz[])) AS s(id, at)),
       held AS (SELECT site.id, said.at FROM supply_site AS site JOIN said USING (id)
                ORDER BY site.id FOR NO KEY UPDATE OF site SKIP LOCKED)
       UPDATE supply_site SET last_seen_at = greatest(last_seen_at, held.at) FROM held WHERE supply_site.id = held.id
       RETURNING supply_site.id"""
)


def write_heard(tx: Tx, heard: Mapping[str, datetime]) -> dict[str, datetime]:
    """Write when these sites were last heard; those that somebody else is at are left and given back."""
    ids = sorted(heard)
    written = set(tx.session.scalars(_WRITE, {"ids": ids, "ats": [heard[i] for i in ids]}))
    tx.session.execute(
        update(SiteSilence).where(SiteSilence.site_id.in_(written), SiteSilence.until.is_(None)).values(until=tx.now)
    )
    return {ident: at for ident, at in heard.items() if ident not in written}


def heard_from(tx: Tx, site: Site, *, agent_boot: str, agent_time: datetime, every: timedelta) -> None:
    """Note that the site's agent spoke; written at most once per ``every`` so that syncs do not make rows churn."""
    if site.last_seen_at is not None and site.agent_boot == agent_boot and tx.now - site.last_seen_at < every:
        return
    site.last_seen_at = tx.now
    site.agent_boot = agent_boot
    offset_ms = clock_offset_ms(agent_time, tx.now)
    if _is_other(site.clock_offset_ms, offset_ms):
        site.clock_offset_ms = offset_ms
    tx.session.execute(
        update(SiteSilence).where(SiteSilence.site_id == site.id, SiteSilence.until.is_(None)).values(until=tx.now)
    )


def clock_offset_ms(agent_time: datetime, now: datetime) -> int:
    return int((agent_time - now).total_seconds() * 1000)


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
