"""Launching and placing: the steps that take several packages, in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from zhisuan.api import pinning, queueing, spot
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
from zhisuan.execution.placing import Placed, hold_sites, place, settle, take
from zhisuan.execution.snapshot import class_facts
from zhisuan.execution.taking import take_together
from zhisuan.ledger import service as ledger
from zhisuan.ledger.service import Funds
from zhisuan.placement.alternatives import plan_wish
from zhisuan.placement.queueing.quotas import Accounts
from zhisuan.placement.queueing.types import Order, amounts_taken
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
    if isinstance(checked, _Checked):
        accounts = queueing.limits_of(tx, [asked.org_id])
        checked = _above_quota(accounts, checked) or _in_quota(accounts, checked)
    if isinstance(checked, ZhisuanError):
        raise checked
    return _settle(tx, checked, take(tx, checked.plan))


def launch_all(tx: Tx, asked: Sequence[Asked], ttl: timedelta) -> list[Launched | ZhisuanError | Crowded]:
    """As ``launch``, of many at once, each of them or its error. What is read of prices, purses and supply is read once, and none waits
    for another transaction."""
    looked = _Looked()
    checked = [_check(replace(tx, actor=one.by), one, ttl, looked) for one in asked]
    accounts = queueing.limits_of(tx, [c.asked.org_id for c in checked if isinstance(c, _Checked)])
    held = hold_sites(tx, [c.plan for c in checked if isinstance(c, _Checked)])
    allowed = [_above_quota(accounts, c) or c if isinstance(c, _Checked) else c for c in checked]
    plans = [c.plan if isinstance(c, _Checked) else None for c in allowed]
    taken = take_together(tx, plans, held, _Quotas(accounts, asked))
    return [_settle_unhindered(tx, c, t, accounts) if isinstance(c, _Checked) else c for c, t in zip(allowed, taken, strict=True)]


def _above_quota(accounts: Accounts, checked: "_Checked") -> ZhisuanError | None:
    asked = checked.asked
    return queueing.above_quota(accounts, asked.org_id, asked.project_id, wish_of(asked.spec))


def _in_quota(accounts: Accounts, checked: "_Checked") -> "_Checked":
    asked = checked.asked
    plan = queueing.in_quota(accounts, asked.org_id, asked.project_id, wish_of(asked.spec), checked.plan)
    return replace(checked, plan=plan)


@dataclass(frozen=True, slots=True)
class _Quotas:
    """What the quotas have room for, of orders of one transaction: what one takes counts for those after it."""

    accounts: Accounts
    asked: Sequence[Asked]

    def copy(self) -> "_Quotas":
        return replace(self, accounts=self.accounts.copy())

    def admits(self, number: int, candidate: Candidate) -> bool:
        one = self.asked[number]
        return self.accounts.blocked(one.org_id, one.project_id, amounts_taken(candidate)) is None

    def take(self, number: int, candidate: Candidate) -> None:
        one = self.asked[number]
        self.accounts.take(one.org_id, one.project_id, amounts_taken(candidate))


class _Looked:
    """What orders of one transaction have in common; nothing of it is changed by them."""

    def __init__(self) -> None:
        self._market: Market | None = None
        self._snapshots: dict[bool, Snapshot] = {}
        self._plans: dict[tuple[bool, Wish], Plan] = {}
        self._funds: dict[str, Funds] = {}
        self._lines: list[queueing.Known | None] = []

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

    def line(self, tx: Tx, ttl: timedelta) -> queueing.Known | None:
        if not self._lines:
            self._lines.append(line_of(tx, ttl))
        return self._lines[0]

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
    order = Order(
        "", asked.org_id, asked.project_id, spec.priority, int(tx.now.timestamp()), spot_work, wish, spec.max_seconds
    )
    allowed = _allowed(tx, ttl, snapshot, made, spec)
    known = looked.line(tx, ttl)
    if known is not None:
        allowed = queueing.in_line(tx.memory.of(queueing.Queue), known, snapshot, allowed, order)
    return _Checked(asked, allowed, quote, pinned)


def _settle_unhindered(tx: Tx, checked: _Checked, taken: Candidate | None, accounts: Accounts) -> Launched | Crowded:
    if taken is None:
        checked = _in_quota(accounts, checked)
        if checked.plan.candidates:
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


def _allowed(tx: Tx, ttl: timedelta, snapshot: Snapshot, made: Plan, spec: WorkloadSpec) -> Plan:
    start = spec.demands.start_time
    if start is not None and start > tx.now:
        return replace(made, candidates=(), reason=waits_until(start))

    def wishes() -> set[Wish]:
        known = line_of(tx, ttl)
        if known is None:
            return set()
        in_vain = {s.place.order.id for s in known.line.standings if s.state == "quota"}
        return {o.wish for o in known.waiting.values() if not o.spot and o.id not in in_vain}

    return spot.hold_back(tx, snapshot, made, wishes) if spec.survival.spot else made


def _snapshots(tx: Tx, ttl: timedelta) -> queueing.Snapshots:
    return lambda on_spot: snapshot_of(tx, market_of(tx), ttl, spot=on_spot)


def line_of(tx: Tx, ttl: timedelta, *, anew: bool = False) -> queueing.Known | None:
    """The line of what waits; None where nothing does."""
    return tx.memory.of(queueing.Queue).look(tx, wish_of, _snapshots(tx, ttl), anew=anew)


def placeable(tx: Tx, ttl: timedelta) -> dict[str, Wish]:
    """Waiting workloads that would find a place now with what they wish for, in the order in which they are asked: one snapshot for all,
    each wish is planned once, nothing is locked or taken."""
    known = line_of(tx, ttl, anew=True)
    if known is None:
        return {}
    return {order.id: order.wish for order in known.line.starting}


def place_waiting(tx: Tx, workload_id: str, ttl: timedelta) -> bool | None:
    """Place one workload if it still waits and nobody else is at it, and neither a quota nor what is kept for others is in its way (else
    None); False when there is no place for it."""
    workload = tx.session.scalar(
        select(Workload)
        .where(Workload.id == workload_id, workloads.waits_for_place(tx.now))
        .with_for_update(skip_locked=True)
    )
    if workload is None:
        return None
    spec = WorkloadSpec.from_dict(workload.spec)
    accounts = queueing.limits_of(tx, [workload.org_id])
    snapshot = snapshot_of(tx, market_of(tx), ttl, spot=spec.survival.spot)
    wish = wish_of(spec)
    made = _allowed(tx, ttl, snapshot, plan_wish(snapshot, wish), spec)
    if made.chosen is None:
        return False
    made = _in_line(tx, ttl, snapshot, made, _order_of(workload, spec))
    made = queueing.in_quota(accounts, workload.org_id, workload.project_id, wish, made)
    if made.chosen is None:
        return None
    quoted = catalog.get_quote(tx.session, workload.quote_id)
    return _at_its_price(tx, workload, place(tx, workload, made), quoted).lease is not None


def _order_of(workload: Workload, spec: WorkloadSpec) -> Order:
    since = int(workload.created_at.timestamp())
    return Order(
        workload.id, workload.org_id, workload.project_id, spec.priority, since, spec.survival.spot, wish_of(spec), spec.max_seconds
    )


def _in_line(tx: Tx, ttl: timedelta, snapshot: Snapshot, made: Plan, order: Order) -> Plan:
    known = line_of(tx, ttl)
    return made if known is None else queueing.in_line(tx.memory.of(queueing.Queue), known, snapshot, made, order)


def in_need_of_room(tx: Tx, ttl: timedelta, least: timedelta) -> list[str]:
    """Waiting workloads on demand for which spot work could make way, first in the line first; see ``spot``."""
    known = line_of(tx, ttl)
    if known is None:
        return []
    orders = [s.place.order for s in known.line.standings if s.state != "starts" and not s.place.order.spot]
    present = [order for order in orders if order.id in known.waiting]
    return spot.in_need_of_room(tx, lambda: snapshot_of(tx, market_of(tx), ttl), present, least)


def make_room(tx: Tx, workload_id: str, ttl: timedelta, least: timedelta) -> bool:
    """Let spot work make way for one that waits on demand; see ``spot``."""

    def order_of(workload: Workload) -> Order:
        return _order_of(workload, WorkloadSpec.from_dict(workload.spec))

    return spot.make_room(tx, workload_id, snapshot_of(tx, market_of(tx), ttl), order_of, least)


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
