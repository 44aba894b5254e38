"""The line of waiting work, as each server process knows it, and what it means for an order that comes now.

Where nothing waits there is no line, and an order costs one query more. Where something waits the line is made anew when it is a second old.
It decides who is asked first; that devices and quotas are never passed is kept by locks (``placing``, ``holding``).
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select

from zhisuan.base.db import Tx
from zhisuan.base.errors import CannotFit
from zhisuan.base.text import Text
from zhisuan.execution import holding, sharing
from zhisuan.execution.tables import Allocation, Lease
from zhisuan.placement.alternatives import plan_wish
from zhisuan.placement.queueing.arranging import arrange
from zhisuan.placement.queueing.line import Line, line_up
from zhisuan.placement.queueing.quotas import Accounts, Blocked
from zhisuan.placement.queueing.reserving import Ending, kept
from zhisuan.placement.queueing.types import Amounts, Order, amounts_of
from zhisuan.placement.site_wishes import Wish
from zhisuan.placement.types import Plan, Snapshot
from zhisuan.workload import service as workloads
from zhisuan.workload.spec import WorkloadSpec
from zhisuan.workload.tables import Workload

Snapshots = Callable[[bool], Snapshot]
"""The snapshot at the prices of spot work, or of work on demand."""
WishOf = Callable[[WorkloadSpec], Wish]
LINE_AGE_MAX = timedelta(seconds=1)
CAPACITY_AGE_MAX = timedelta(minutes=1)
TURN_SECONDS = 10
"""One that fits and has not been placed for so long has some trouble of its own, and others do not wait for it."""


class Waiting:
    """What waits, as far as a process has read it: a specification never changes."""

    def __init__(self) -> None:
        self._known: dict[str, Order] = {}

    def now(self, tx: Tx, wish_of: WishOf) -> dict[str, Order]:
        """All that wait, oldest first."""
        ids = tx.session.scalars(select(Workload.id).where(workloads.waits_for_place(tx.now)).order_by(Workload.id)).all()
        known = self._known
        new = [ident for ident in ids if ident not in known]
        columns = (Workload.id, Workload.org_id, Workload.project_id, Workload.created_at, Workload.spec)
        rows = tx.session.execute(select(*columns).where(Workload.id.in_(new))).all() if new else []
        read = {row.id: _order(row.id, row.org_id, row.project_id, row.created_at, row.spec, wish_of) for row in rows}
        self._known = {ident: known.get(ident) or read[ident] for ident in ids}
        return self._known


def _order(ident: str, org_id: str, project_id: str, created_at: datetime, stored: dict[str, object], wish_of: WishOf) -> Order:
    spec = WorkloadSpec.from_dict(stored)
    return Order(
        ident, org_id, project_id, spec.priority, int(created_at.timestamp()), spec.survival.spot, wish_of(spec), spec.max_seconds
    )


@dataclass(frozen=True, slots=True)
class Known:
    """The line with what it was made from. ``waiting``: those that wait at this moment, of whom the line may lack the newest."""

    line: Line
    accounts: Accounts
    used: dict[str, Amounts]
    capacity: Amounts
    made_at: datetime
    waiting: dict[str, Order]


class Queue:
    """One for each process and database."""

    def __init__(self) -> None:
        self._known: Known | None = None
        self._capacity: tuple[datetime, Amounts] | None = None
        self._startable: dict[str, int] = {}

    def look(self, tx: Tx, wish_of: WishOf, snapshots: Snapshots, *, anew: bool = False) -> Known | None:
        """The line, not older than a second; None where nothing waits."""
        waiting = dict(tx.memory.of(Waiting).now(tx, wish_of))
        if not waiting:
            self._known, self._startable = None, {}
            return None
        found = self._known
        if anew or found is None or not found.made_at <= tx.now < found.made_at + LINE_AGE_MAX:
            found = self._make(tx, waiting, snapshots)
            self._known = found
            self._startable = {order.id: self._startable.get(order.id, found.line.now) for order in found.line.starting}
        return replace(found, waiting=waiting)

    def _make(self, tx: Tx, waiting: dict[str, Order], snapshots: Snapshots) -> Known:
        org_ids = sorted({order.org_id for order in waiting.values()})
        accounts, used = holding.to_look(tx, org_ids), sharing.recent_by(tx, org_ids)
        now, capacity = int(tx.now.timestamp()), self._capacity_of(tx, snapshots)
        places = arrange(waiting.values(), accounts, used, capacity, now)
        before = self._known.line if self._known is not None else None
        line = line_up(places, accounts, snapshots, lambda: endings(tx), now, before)
        return Known(line, accounts, used, capacity, tx.now, waiting)

    def _capacity_of(self, tx: Tx, snapshots: Snapshots) -> Amounts:
        held = self._capacity
        if held is None or not held[0] <= tx.now < held[0] + CAPACITY_AGE_MAX:
            held = self._capacity = (tx.now, capacity_of(snapshots(False)))
        return held[1]

    def others_turn(self, known: Known, *, spot: bool) -> bool:
        """Whether somebody who waits has a place now, and has it first."""
        for order in known.line.starting:
            if order.id not in known.waiting or (order.spot and not spot):
                continue
            if known.line.now - self._startable.get(order.id, known.line.now) < TURN_SECONDS:
                return True
        return False


def capacity_of(snapshot: Snapshot) -> Amounts:
    """All that sites that are open have."""
    cards = cores = 0
    for site in snapshot.sites:
        if site.state == "open":
            for node in site.nodes:
                cards += sum(d.capacity for d in node.devices if d.kind == "accelerator")
                cores += sum(d.capacity for d in node.devices if d.kind == "cpu")
    return Amounts(cards, cores)


def endings(tx: Tx) -> list[Ending]:
    """What jobs hold, and when they must have ended. Services and workspaces without a longest time are left out: they end when somebody
    ends them, and nothing is kept in the hope of that."""
    seconds_max = Lease.offer["max_seconds"].as_integer()
    rows = tx.session.execute(
        select(Lease.id, Lease.site_id, Lease.active_from, Lease.offered_at, seconds_max, Allocation.device_id, Allocation.amount)
        .join(Allocation, Allocation.lease_id == Lease.id)
        .join(Workload, Workload.id == Lease.workload_id)
        .where(
            Lease.state.in_(holding.HOLDING), Allocation.released_at.is_(None),
            (Workload.kind == "job") | seconds_max.is_not(None) | (Lease.desired == "stop"),
        )
        .order_by(Lease.id, Allocation.device_id)
    )  # fmt: skip
    found: dict[str, Ending] = {}
    for ident, site_id, active_from, offered_at, most, device_id, amount in rows:
        begun = int((active_from or offered_at).timestamp())
        one = found.get(ident) or Ending(ident, site_id, (), None if most is None else begun + most)
        found[ident] = replace(one, shares=(*one.shares, (device_id, amount)))
    return list(found.values())


KEPT = Text(
    "What is free is kept for orders that have waited longer; it is used by whoever ends before they can start.",
    "当前空闲设备为等待更久的作业保留；能在其启动前结束的作业可以先用。",
)
TURN = Text("Orders that came before it are being given their places first.", "先到的作业正在依次获得位置。")


def in_line(queue: Queue, known: Known, snapshot: Snapshot, made: Plan, order: Order) -> Plan:
    """The plan of an order, new or waiting, without what others who wait have a better right to."""
    if not made.candidates:
        return made
    if order.id not in known.waiting and queue.others_turn(known, spot=order.spot):
        return replace(made, candidates=(), reason=TURN)
    now = known.line.now
    before = [r for r in known.line.reserved_before(order.id) if not r.lets_pass(order.seconds_max, now)]
    before = [r for r in before if r.order_id in known.waiting]
    if not before:
        return made
    left = plan_wish(kept(snapshot, before, None, now), order.wish)
    return left if left.candidates else replace(made, candidates=(), reason=KEPT)


def in_quota(accounts: Accounts, org_id: str, project_id: str, wish: Wish, made: Plan) -> Plan:
    """The plan without what the quotas have no room for."""
    blocked = [accounts.blocked(org_id, project_id, amounts_of(need)) for need in wish.needs]
    if not made.candidates or not any(blocked):
        return made
    if all(blocked):
        return replace(made, candidates=(), reason=blocked[0].text if blocked[0] else made.reason)
    return replace(made, candidates=tuple(c for c in made.candidates if blocked[max(0, c.alternative - 1)] is None))


def above_quota(accounts: Accounts, org_id: str, project_id: str, wish: Wish) -> CannotFit | None:
    """The error of an order that is larger than a quota, whatever else runs; it would wait for ever."""
    found = [accounts.blocked(org_id, project_id, amounts_of(need)) for need in wish.needs]
    blocked: Sequence[Blocked] = [b for b in found if b is not None and b.for_ever]
    if len(blocked) < len(found):
        return None
    name = blocked[0].quota.name
    return CannotFit(
        Text(f"This asks for more than the quota of {name} ever allows. {blocked[0].text.en}", f"申请量超过了 {name} 的配额上限。{blocked[0].text.zh}"),
        Text("Ask for less, or have the quota raised (`zhisuan quota show`).", "请减少申请，或请求提高配额（zhisuan quota show）。"),
        code="above_quota",
    )  # fmt: skip


def limits_of(tx: Tx, org_ids: Collection[str]) -> Accounts:
    return holding.to_take(tx, sorted(set(org_ids)))
