"""Spot work: what it may have now, and when it makes way for work on demand.

1. Spot work is given only what is free, and not while work on demand that fits is waiting, nor on a site where room is being
   made: what was freed for one is not taken by another.
2. Work on demand that finds no place ends spot work by ``placement.preemption``, with notice, and waits for its end.
   Spot work has run for a least time before that (the setting ``spot_least_seconds``). Who may end whose is said in
   ``placement.queueing.reclaiming``.
3. What had to make way is ``pending`` again, uses up no restart, and goes on from its checkpoint.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import func, select

from zhisuan.base.db import Tx
from zhisuan.base.text import Text
from zhisuan.execution import holding
from zhisuan.execution.service import stop_lease
from zhisuan.execution.tables import Allocation, Checkpoint, Lease, PlacementRecord
from zhisuan.placement.alternatives import plan_wish
from zhisuan.placement.preemption import Holding, Preemption, preempt
from zhisuan.placement.queueing.quotas import Accounts
from zhisuan.placement.queueing.reclaiming import Held, is_borrowed, is_owed, reclaim
from zhisuan.placement.queueing.types import Amounts, Order
from zhisuan.placement.site_wishes import Wish
from zhisuan.placement.types import Plan, Snapshot
from zhisuan.workload import service as workloads
from zhisuan.workload.tables import Workload

NOTICE_SECONDS = 30
PREEMPTED = "preempted: work on demand needs its devices"
LOOKED_AT_ONCE = 200
HELPED_AT_ONCE = 20


def hold_back(tx: Tx, snapshot: Snapshot, made: Plan, wishes: Callable[[], Collection[Wish]]) -> Plan:
    """The plan of spot work, without what work on demand has a better right to now. ``wishes``: of what waits on demand and is kept by
    no quota."""
    if not made.candidates:
        return made
    if any(plan_wish(snapshot, wish).chosen is not None for wish in wishes()):
        return _without(made, frozenset(c.site_id for c in made.candidates))
    busy = tx.session.scalars(select(Lease.site_id).where(Lease.state != "closed", Lease.preempted_for.is_not(None)))
    return _without(made, frozenset(busy))


def _without(made: Plan, sites: frozenset[str]) -> Plan:
    left = tuple(c for c in made.candidates if c.site_id not in sites)
    if left or not made.candidates:
        return replace(made, candidates=left)
    reason = Text("What is free now is kept for work on demand.", "当前空闲设备优先留给按需作业。")
    return replace(made, candidates=(), reason=reason)


@dataclass(frozen=True, slots=True)
class _Work:
    """Spot leases that have run for their least time, with whose they are; and all leases that were told to end and have not."""

    spot: list[Holding]
    ending: list[Holding]
    held: dict[str, Held]

    def borrowed(self, accounts: Accounts) -> list[Holding]:
        whose = self.held
        return [h for h in self.spot if is_borrowed(accounts, whose[h.lease_id].org_id, whose[h.lease_id].project_id)]

    def org_ids(self) -> set[str]:
        return {held.org_id for held in self.held.values()}


def in_need_of_room(tx: Tx, snapshot: Callable[[], Snapshot], orders: Sequence[Order], least: timedelta) -> list[str]:
    """Those of ``orders`` for which room could be made and is not being made yet: one snapshot for all, and none while no spot work
    runs that has had its least time."""
    runs = select(Lease.id).where(Lease.spot, Lease.state != "closed", Lease.desired == "run", Lease.offered_at <= tx.now - least)
    if not orders or tx.session.scalar(runs.limit(1)) is None:
        return []
    helped = set(tx.session.scalars(select(Lease.preempted_for).where(Lease.state != "closed", Lease.preempted_for.is_not(None))))
    waiting = [order for order in orders if order.id not in helped][:LOOKED_AT_ONCE]
    if not waiting:
        return []
    work, now = _work(tx, least), snapshot()
    accounts = holding.to_look(tx, sorted(work.org_ids() | {order.org_id for order in waiting}))
    possible: dict[tuple[Wish, bool], bool] = {}
    found = []
    for order in waiting:
        key = order.wish, is_owed(accounts, order)
        if accounts.blocked(order.org_id, order.project_id, order.asks) is not None:
            if reclaim(accounts, order, list(work.held.values())):
                found.append(order.id)
            continue
        if key not in possible:
            possible[key] = _preempt(now, order, work, accounts) is not None
        if possible[key]:
            found.append(order.id)
    return found[:HELPED_AT_ONCE]


def _preempt(snapshot: Snapshot, order: Order, work: _Work, accounts: Accounts) -> Preemption | None:
    """Borrowed work first; other spot work only for what is owed."""
    decided = preempt(snapshot, order.wish, work.borrowed(accounts), work.ending)
    if decided is None and is_owed(accounts, order):
        decided = preempt(snapshot, order.wish, work.spot, work.ending)
    return decided


def make_room(tx: Tx, workload_id: str, snapshot: Snapshot, order_of: Callable[[Workload], Order], least: timedelta) -> bool:
    """End the spot work that keeps a waiting workload on demand from a place, if any does. Both records say why."""
    workload = tx.session.scalar(
        select(Workload)
        .where(Workload.id == workload_id, workloads.waits_for_place(tx.now))
        .with_for_update(skip_locked=True)
    )
    if workload is None:
        return False
    work, order = _work(tx, least), order_of(workload)
    accounts = holding.to_look(tx, sorted(work.org_ids() | {order.org_id}))
    if accounts.blocked(order.org_id, order.project_id, order.asks) is not None:
        back = reclaim(accounts, order, list(work.held.values()))
        if back:
            _end(tx, workload, back)
            workloads.note(tx, workload, "what its organisation's projects have borrowed is taken back", leases=len(back), notice_seconds=NOTICE_SECONDS)
        return bool(back)
    decided = _preempt(snapshot, order, work, accounts)
    if decided is None:
        return False
    _end(tx, workload, decided.lease_ids)
    made = plan_wish(snapshot, order.wish)
    tx.session.add(
        PlacementRecord(
            id=tx.ids.new("plc"), workload_id=workload.id, at=tx.now, chosen_site_id=None,
            plan=made.as_dict() | {"chosen": None, "reason": decided.reason.as_dict(), "preemption": decided.as_dict()},
        )
    )  # fmt: skip
    workloads.note(tx, workload, "room is made for it", **decided.as_dict(), notice_seconds=NOTICE_SECONDS)
    return True


def _end(tx: Tx, workload: Workload, lease_ids: Sequence[str]) -> None:
    rows = tx.session.execute(
        select(Lease.workload_id, Lease.id).where(Lease.id.in_(lease_ids)).order_by(Lease.workload_id)
    ).all()
    for holder_id, lease_id in rows:
        holder = tx.session.get_one(Workload, holder_id, with_for_update=True)
        lease = tx.session.get_one(Lease, lease_id, with_for_update=True, populate_existing=True)
        if stop_lease(tx, holder, lease, PREEMPTED, notice_seconds=NOTICE_SECONDS, taken_back=PREEMPTED):
            lease.preempted_for = workload.id


def _work(tx: Tx, least: timedelta) -> _Work:
    saved = (
        select(Checkpoint.lease_id, func.max(Checkpoint.created_at).label("at")).group_by(Checkpoint.lease_id).subquery()
    )
    rows = tx.session.execute(
        select(Lease, saved.c.at)
        .outerjoin(saved, saved.c.lease_id == Lease.id)
        .where(Lease.state.in_(("offered", "accepted", "active")), Lease.spot | (Lease.desired == "stop"))
    ).all()
    shares: dict[str, list[tuple[str, int]]] = defaultdict(list)
    held = select(Allocation.lease_id, Allocation.device_id, Allocation.amount).where(
        Allocation.lease_id.in_([lease.id for lease, _ in rows]), Allocation.released_at.is_(None)
    )
    for lease_id, device_id, amount in tx.session.execute(held):
        shares[lease_id].append((device_id, amount))
    found = _Work([], [], {})
    for lease, saved_at in rows:
        one = Holding(
            lease.id, lease.site_id, tuple(sorted(shares[lease.id])), int(lease.offered_at.timestamp()),
            _loss(lease, saved_at, tx.now),
        )  # fmt: skip
        if lease.desired == "stop":
            found.ending.append(one)
        elif lease.offered_at <= tx.now - least:
            found.spot.append(one)
            amounts = Amounts(lease.cards_milli, lease.cores_milli)
            found.held[lease.id] = Held(lease.id, lease.org_id, lease.project_id, amounts, one.loss_udu, one.began)
    return found


def _loss(lease: Lease, saved_at: datetime | None, now: datetime) -> int:
    """What it has done since it began or was last saved, in 10⁻⁶ 度."""
    if lease.active_from is None:
        return 0
    seconds = int((now - max(lease.active_from, saved_at or lease.active_from)).total_seconds())
    return lease.rate_udu_per_hour * max(0, seconds) // 3600
