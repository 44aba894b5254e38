"""The snapshot that all decisions of a process share, kept current by what has changed since it was last looked at.

Each look asks ``supply.changes`` what changed (one query) and reads those sites and nodes again; so it is as of the look, like one read
anew, without reading what stayed as it was. Which sites can be heard and which are offered also depends on the time: that is
looked at again whenever the first of them could be different. A site's last hearing is read again only when it seems too long
ago, since it only grows.

Nothing depends on it but time: ``placing.place`` locks and counts again. A transaction that has changed supply itself gets a
snapshot read anew, which nobody else sees.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from zhisuan.base.db import Tx
from zhisuan.execution.snapshot import SiteRecord, read_nodes, read_sites, take_snapshot
from zhisuan.placement.columns import Columns, columns_of
from zhisuan.placement.types import ClassFacts, NodeState, SiteState, Snapshot
from zhisuan.supply import changes
from zhisuan.supply.service import is_reachable
from zhisuan.supply.tables import Site

LOOK_AGAIN = timedelta(hours=1)
FAR = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)
class _Held:
    """A site as it is kept: its record, its nodes by id, and what followed from them at the last look."""

    record: SiteRecord
    nodes: dict[str, NodeState]
    state: SiteState | None = None


@dataclass(frozen=True, slots=True)
class _Span:
    """What depends on the time holds from ``begin`` to before ``end``, for this ``ttl``."""

    begin: datetime
    end: datetime
    ttl: timedelta

    def holds(self, now: datetime, ttl: timedelta) -> bool:
        return self.begin <= now < self.end and self.ttl == ttl


@dataclass(slots=True)
class _News:
    """What a look has read, before any of it is taken over: a query that fails leaves all as it was."""

    mark: changes.Mark
    sites: dict[str, SiteRecord | None] = field(default_factory=dict)
    nodes: dict[str, dict[str, NodeState]] = field(default_factory=dict)
    gone_nodes: frozenset[str] = frozenset()


class LiveSnapshot:
    """One for each process and database; any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mark: changes.Mark | None = None
        self._held: dict[str, _Held] = {}
        self._order: list[str] = []
        self._site_of: dict[str, str] = {}
        self._span = _Span(FAR, FAR, timedelta(0))
        self._stale: set[str] = set()
        self._silent: set[str] = set()
        self._sites: tuple[SiteState, ...] = ()
        self._columns: Columns | None = None

    def take(
        self,
        tx: Tx,
        *,
        classes: tuple[ClassFacts, ...],
        price_e8_per_du: int,
        cpu_with_accelerator_free: bool,
        ttl: timedelta,
    ) -> Snapshot:
        """What ``take_snapshot`` would give in this transaction."""
        with self._lock:
            if not self._catch_up(tx):
                return take_snapshot(
                    tx, classes=classes, price_e8_per_du=price_e8_per_du, ttl=ttl,
                    cpu_with_accelerator_free=cpu_with_accelerator_free,
                )  # fmt: skip
            self._hear_silent(tx, ttl)
            self._settle(tx.now, ttl)
            return Snapshot(self._sites, classes, price_e8_per_du, cpu_with_accelerator_free, self._columns)

    def _catch_up(self, tx: Tx) -> bool:
        """Read what changed; False where this transaction's own changes would be among it."""
        found = changes.changes_since(tx, self._mark) if self._mark is not None else None
        if found is None:
            now, own = changes.mark(tx)
            if own:
                return False
            sites = {record.site.id: record for record in read_sites(tx)}
            news = _News(now, dict(sites), read_nodes(tx))
            self._held.clear()
            self._site_of.clear()
            self._silent.clear()
        elif found.own:
            return False
        else:
            news = self._read(tx, found)
        self._take_over(news)
        return True

    def _read(self, tx: Tx, found: changes.Changes) -> _News:
        news = _News(found.now)
        if found.sites:
            there = {record.site.id: record for record in read_sites(tx, found.sites)}
            news.sites = {ident: there.get(ident) for ident in found.sites}
            new = [ident for ident in there if ident not in self._held]
            if new:
                news.nodes = read_nodes(tx, site_ids=new)
        if found.nodes:
            for site_id, nodes in read_nodes(tx, ids=found.nodes).items():
                news.nodes.setdefault(site_id, {}).update(nodes)
            news.gone_nodes = found.nodes - {ident for nodes in news.nodes.values() for ident in nodes}
        return news

    def _take_over(self, news: _News) -> None:
        self._mark = news.mark
        for ident, record in news.sites.items():
            if record is None:
                self._held.pop(ident, None)
                self._silent.discard(ident)
            elif ident in self._held:
                self._held[ident].record = record
            else:
                self._held[ident] = _Held(record, {})
        if news.sites or not self._held:
            self._order = sorted(self._held)
        self._stale.update(news.sites)
        for ident in news.gone_nodes:
            self._put_nodes(self._site_of.pop(ident, ""), without=ident)
        for site_id, nodes in news.nodes.items():
            self._put_nodes(site_id, nodes)

    def _put_nodes(self, site_id: str, nodes: Mapping[str, NodeState] | None = None, without: str = "") -> None:
        held = self._held.get(site_id)
        if held is None:
            return
        held.nodes.pop(without, None)
        held.nodes.update(nodes or {})
        self._site_of.update(dict.fromkeys(nodes or {}, site_id))
        self._stale.add(site_id)

    def _hear_silent(self, tx: Tx, ttl: timedelta) -> None:
        """Read again when sites were last heard: of those known to be silent each time, of all when another one seems to be."""
        query = select(Site.id, Site.last_seen_at).where(Site.last_seen_at >= tx.now - ttl)
        if self._span.holds(tx.now, ttl):
            if not self._silent:
                return
            query = query.where(Site.id.in_(self._silent))
        for ident, seen in tx.session.execute(query).all():
            held = self._held.get(ident)
            if held is not None and held.record.site.last_seen_at != seen:
                held.record.site.last_seen_at = seen
                self._stale.add(ident)

    def _settle(self, now: datetime, ttl: timedelta) -> None:
        """Make the states of the sites that changed, or of all where the time may have changed them."""
        if not self._span.holds(now, ttl):
            self._stale.update(self._held)
            self._span = _Span(now, now + LOOK_AGAIN, ttl)
        elif not self._stale:
            return
        for ident in self._stale:
            held = self._held.get(ident)
            if held is not None:
                self._renew(held, now, ttl)
        self._stale.clear()
        states = (self._held[ident].state for ident in self._order)
        self._sites = tuple(state for state in states if state is not None)
        self._columns = columns_of(self._sites, self._columns)

    def _renew(self, held: _Held, now: datetime, ttl: timedelta) -> None:
        offer = held.record.offer(now)
        nodes = tuple(node for _, node in sorted(held.nodes.items()))
        if held.state is not None and nodes == held.state.nodes:
            nodes = held.state.nodes
        made = held.record.state(nodes, reachable=is_reachable(held.record.site, now, ttl), offered=offer.offered)
        if made != held.state:
            held.state = made
        seen = held.record.site.last_seen_at
        (self._silent.discard if made.reachable or seen is None else self._silent.add)(made.id)
        ends = [self._span.end, offer.until or FAR, offer.next_open or FAR]
        if made.reachable and seen is not None:
            ends.append(seen + ttl + timedelta(microseconds=1))
        self._span = replace(self._span, end=min(ends))
