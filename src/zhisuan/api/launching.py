"""Launching and placing: the steps that take several packages, in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from zhisuan.api import pinning, spot
from zhisuan.api.pricing import dearest_shape, shape_of
from zhisuan.api.wishing import check_times, require_known, waits_until, wish_of
from zhisuan.base.db import Tx
from zhisuan.base.errors import CannotFit, ZhisuanError
from zhisuan.base.money import cost_ucny
from zhisuan.base.text import Text
from zhisuan.catalog import service as catalog
from zhisuan.catalog.device_classes import load_device_classes
from zhisuan.catalog.price_book import PriceBook
from zhisuan.catalog.tables import Quote
from zhisuan.execution import service as execution
from zhisuan.execution.live import LiveSnapshot
from zhisuan.execution.placing import Placed, hold_sites, place, settle, take, take_unhindered
from zhisuan.execution.snapshot import class_facts
from zhisuan.ledger import service as ledger
from zhisuan.ledger.service import Funds
from zhisuan.placement.alternatives import plan_wish
from zhisuan.placement.site_wishes import Wish
from zhisuan.placement.types import Candidate, ClassFacts, Plan, Snapshot
from zhisuan.workload import service as workloads
from zhisuan.workload.spec import WorkloadSpec
from zhisuan.workload.tables import Workload

FUNDED_SECONDS = 60
SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Market:
    """The prices in force and the facts of the classes under them."""

    version: int
    book: PriceBook
    classes: tuple[ClassFacts, ...]


class _Classes:
    """The facts of the classes under the book that they were last asked for."""

    def __init__(self) -> None:
        self._last: tuple[PriceBook, tuple[ClassFacts, ...]] | None = None

    def under(self, book: PriceBook) -> tuple[ClassFacts, ...]:
        last = self._last
        if last is not None and last[0] is book:
            return last[1]
        rates = book.device_rates
        rows = ((c.class_id, c.model, rates.get(c.class_id), c.power_watts_rated, c.memory_mib) for c in load_device_classes())
        facts = class_facts(rows)
        self._last = (book, facts)
        return facts


def market_of(tx: Tx) -> Market:
    version, book = tx.memory.of(catalog.Books).in_force(tx)
    return Market(version, book, tx.memory.of(_Classes).under(book))


def snapshot_of(tx: Tx, market: Market, ttl: timedelta, *, spot: bool = False) -> Snapshot:
    return tx.memory.of(LiveSnapshot).take(
        tx,
        classes=market.classes,
        price_e8_per_du=market.book.price_e8_per_du(spot=spot),
        cpu_with_accelerator_free=market.book.cpu_with_accelerator_free,
        ttl=ttl,
    )


def checked_plan(snapshot: Snapshot, wish: Wish) -> Plan:
    """The plan of a new workload. Raises ``CannotFit`` when no site could ever run it, naming what is missing."""
    require_known(snapshot, wish)
    made = plan_wish(snapshot, wish)
    if not made.could_ever_fit:
        raise CannotFit(
            Text(f"No site could ever run this. {made.reason.en}", f"没有站点能够运行该工作负载。{made.reason.zh}"),
            Text(
                "; ".join(dict.fromkeys(r.unblock.en for r in made.rejections)) or "Join a site first.",
                "；".join(dict.fromkeys(r.unblock.zh for r in made.rejections)) or "请先加入站点。",
            ),
            extra={"rejected": [r.as_dict() for r in made.rejections]},
        )
    return made


def _at_its_price(tx: Tx, workload: Workload, placed: Placed, quoted: Quote) -> Placed:
    """A place whose devices are worth less than what was quoted is charged at a quote of its own, never at a higher
    one than the tenant has seen, also where prices have risen since. With alternatives the quote stays what it was: the most that
    any of them comes to."""
    if placed.lease is None or placed.candidate is None or placed.lease.rate_udu_per_hour >= quoted.rate_udu_per_hour:
        return placed
    on_spot = WorkloadSpec.from_dict(workload.spec).survival.spot
    shape = shape_of(placed.candidate)
    most = cost_ucny(quoted.rate_udu_per_hour, quoted.price_e8_per_du)
    if catalog.estimate(tx.session, tx.now, shape, SECONDS_PER_HOUR, spot=on_spot).cost_ucny <= most:
        quote = catalog.make_quote(tx, workload.org_id, shape, spot=on_spot)
        placed.lease.quote_id = quote.id
        if not workload.spec.get("alternatives"):
            workload.quote_id = quote.id
    return placed


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be launched, for whom. ``mount_files``: the targets of mounts that are one file; ``by``: the person."""

    org_id: str
    project_id: str
    spec: WorkloadSpec
    file: str
    by: str
    workdir_blob: str | None = None
    mount_blobs: Mapping[str, str] = field(default_factory=dict)
    mount_files: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Checked:
    """What may be launched: planned, priced and paid for. Nothing is written of it yet but its quote."""

    asked: Asked
    plan: Plan
    quote: Quote
    pinned: list[pinning.Pin]


@dataclass(frozen=True, slots=True)
class Launched:
    workload: Workload
    quote: Quote
    placed: Placed


class Crowded(Exception):
    """Somebody else is at all places that would be best: this one has to wait for them, in a transaction of its own."""


def launch(tx: Tx, asked: Asked, ttl: timedelta) -> Launched:
    """Price, check the purse, record and place a workload; all of it or nothing."""
    checked = _check(tx, asked, ttl, _Looked())
    if isinstance(checked, ZhisuanError):
        raise checked
    return _settle(tx, checked, take(tx, checked.plan))


def launch_all(tx: Tx, asked: Sequence[Asked], ttl: timedelta) -> list[Launched | ZhisuanError | Crowded]:
    """As ``launch``, of many at once, each of them or its error. What is read of prices, purses and supply is read once, and none waits
    for another transaction."""
    looked = _Looked()
    checked = [_check(replace(tx, actor=one.by), one, ttl, looked) for one in asked]
    held = hold_sites(tx, [c.plan for c in checked if isinstance(c, _Checked)])
    taken = [take_unhindered(tx, c.plan, held) if isinstance(c, _Checked) else None for c in checked]
    return [_settle_unhindered(tx, c, t) if isinstance(c, _Checked) else c for c, t in zip(checked, taken, strict=True)]


class _Looked:
    """What orders of one transaction have in common; nothing of it is changed by them."""

    def __init__(self) -> None:
        self._market: Market | None = None
        self._snapshots: dict[bool, Snapshot] = {}
        self._plans: dict[tuple[bool, Wish], Plan] = {}
        self._funds: dict[str, Funds] = {}

    def market(self, tx: Tx) -> Market:
        self._market = self._market or market_of(tx)
        return self._market

    def snapshot(self, tx: Tx, ttl: timedelta, *, spot: bool) -> Snapshot:
        if spot not in self._snapshots:
            self._snapshots[spot] = snapshot_of(tx, self.market(tx), ttl, spot=spot)
        return self._snapshots[spot]

    def plan(self, snapshot: Snapshot, wish: Wish, *, spot: bool) -> Plan:
        if (spot, wish) not in self._plans:
            self._plans[spot, wish] = checked_plan(snapshot, wish)
        return self._plans[spot, wish]

    def funds(self, tx: Tx, org_id: str) -> Funds:
        if org_id not in self._funds:
            self._funds[org_id] = ledger.funds(tx.session, org_id, tx.now)
        return self._funds[org_id]


def _check(tx: Tx, asked: Asked, ttl: timedelta, looked: _Looked) -> "_Checked | ZhisuanError":
    try:
        return _checked(tx, asked, ttl, looked)
    except ZhisuanError as error:
        return error


def _checked(tx: Tx, asked: Asked, ttl: timedelta, looked: _Looked) -> _Checked:
    spec, spot_work = asked.spec, asked.spec.survival.spot
    check_times(tx.now, spec)
    pinned = pinning.pin(tx, asked.org_id, spec)
    market, wish = looked.market(tx), wish_of(spec)
    snapshot = looked.snapshot(tx, ttl, spot=spot_work)
    made = looked.plan(snapshot, wish, spot=spot_work)
    shape = dearest_shape(made, wish, market.book, market.classes)
    quote = catalog.quote_of(tx, asked.org_id, shape, spot=spot_work, at=(market.version, market.book))
    ledger.require_funds(looked.funds(tx, asked.org_id), quote.rate_udu_per_hour, quote.price_e8_per_du, FUNDED_SECONDS)
    return _Checked(asked, _allowed(tx, snapshot, made, spec), quote, pinned)


def _settle_unhindered(tx: Tx, checked: _Checked, taken: Candidate | None) -> Launched | Crowded:
    if taken is None and checked.plan.candidates:
        return Crowded()
    return _settle(replace(tx, actor=checked.asked.by), checked, taken)


def _settle(tx: Tx, checked: _Checked, taken: Candidate | None) -> Launched:
    asked, quote = checked.asked, checked.quote
    tx.session.add(quote)
    stored: dict[str, Any] = asked.spec.as_dict() | {
        "workdir_blob": asked.workdir_blob, "mount_blobs": dict(asked.mount_blobs), "mount_files": list(asked.mount_files),
        "pinned_volumes": pinning.messages(checked.pinned),
    }  # fmt: skip
    workload = workloads.create(
        tx, org_id=asked.org_id, project_id=asked.project_id, spec=asked.spec, file=asked.file, quote_id=quote.id,
        by=asked.by, stored=stored,
    )  # fmt: skip
    pinning.record(tx, workload.id, checked.pinned)
    placed = settle(tx, workload, checked.plan, taken)
    return Launched(workload, quote, _at_its_price(tx, workload, placed, quote))


def _allowed(tx: Tx, snapshot: Snapshot, made: Plan, spec: WorkloadSpec) -> Plan:
    start = spec.demands.start_time
    if start is not None and start > tx.now:
        return replace(made, candidates=(), reason=waits_until(start))
    return spot.hold_back(tx, snapshot, made, wish_of_workload) if spec.survival.spot else made


def wish_of_workload(workload: Workload) -> Wish:
    return wish_of(WorkloadSpec.from_dict(workload.spec))


class Waiting:
    """What waiting workloads wish for, by id, and whether it is spot, as far as a process has read it: a specification never
    changes."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[bool, Wish]] = {}

    def now(self, tx: Tx) -> dict[str, Wish]:
        """Of all that wait: those on demand before spot, each oldest first."""
        pending = select(Workload.id).where(workloads.waits_for_place(tx.now))
        ids = tx.session.scalars(pending.order_by(Workload.id)).all()
        known = self._known
        new = [ident for ident in ids if ident not in known]
        rows = tx.session.execute(select(Workload.id, Workload.spec).where(Workload.id.in_(new))).all() if new else []
        specs = {ident: WorkloadSpec.from_dict(spec) for ident, spec in rows}
        read = {ident: (spec.survival.spot, wish_of(spec)) for ident, spec in specs.items()}
        self._known = {ident: known.get(ident) or read[ident] for ident in ids}
        ordered = sorted(self._known.items(), key=lambda one: (one[1][0], one[0]))
        return {ident: wish for ident, (_, wish) in ordered}


def placeable(tx: Tx, ttl: timedelta) -> dict[str, Wish]:
    """Waiting workloads that would find a place now with what they wish for, those on demand before spot, oldest first: one snapshot
    for all, each wish is planned once, nothing is locked or taken."""
    waiting = tx.memory.of(Waiting).now(tx)
    if not waiting:
        return {}
    snapshot = snapshot_of(tx, market_of(tx), ttl)
    fits = {wish: plan_wish(snapshot, wish).chosen is not None for wish in dict.fromkeys(waiting.values())}
    return {workload_id: wish for workload_id, wish in waiting.items() if fits[wish]}


def place_waiting(tx: Tx, workload_id: str, ttl: timedelta) -> bool | None:
    """Place one workload if it still waits and nobody else is at it (else None); False when there is no place for it."""
    workload = tx.session.scalar(
        select(Workload)
        .where(Workload.id == workload_id, workloads.waits_for_place(tx.now))
        .with_for_update(skip_locked=True)
    )
    if workload is None:
        return None
    spec = WorkloadSpec.from_dict(workload.spec)
    snapshot = snapshot_of(tx, market_of(tx), ttl, spot=spec.survival.spot)
    made = _allowed(tx, snapshot, plan_wish(snapshot, wish_of(spec)), spec)
    if made.chosen is None:
        return False
    quoted = catalog.get_quote(tx.session, workload.quote_id)
    return _at_its_price(tx, workload, place(tx, workload, made), quoted).lease is not None


def in_need_of_room(tx: Tx, ttl: timedelta) -> list[str]:
    """Waiting workloads on demand for which spot work could make way; see ``spot``."""
    return spot.in_need_of_room(tx, lambda: snapshot_of(tx, market_of(tx), ttl), wish_of_workload)


def make_room(tx: Tx, workload_id: str, ttl: timedelta) -> bool:
    """Let spot work make way for one that waits on demand; see ``spot``."""
    return spot.make_room(tx, workload_id, snapshot_of(tx, market_of(tx), ttl), wish_of_workload)


def unfunded(tx: Tx) -> list[str]:
    """Open workloads, not being stopped yet, of organisations whose purses are all empty."""
    broke = ledger.exhausted_orgs(tx.session, tx.now)
    if not broke:
        return []
    query = select(Workload.id).where(
        Workload.org_id.in_(broke), Workload.state.in_(workloads.OPEN_STATES), Workload.cancel_requested_at.is_(None)
    )
    return list(tx.session.scalars(query.order_by(Workload.id)))


def stop_unfunded(tx: Tx, workload_id: str) -> bool:
    """End a workload that nothing pays for; False where it has ended meanwhile, or money has come."""
    workload = workloads.visible(tx, workload_id, None, lock=True)
    if workload.state not in workloads.OPEN_STATES or workload.cancel_requested_at is not None:
        return False
    if not ledger.exhausted_orgs(tx.session, tx.now, [workload.org_id]):
        return False
    execution.cancel(tx, workload, "nothing left to pay with")
    return True
