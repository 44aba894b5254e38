"""Spot work: what it may have now, and when it makes way for work on demand.

1. Spot work is given only what is free, and not while work on demand that fits is waiting, nor on a site where room is being
   made: what was freed for one is not taken by another.
2. Work on demand that finds no place ends spot work by ``placement.preemption``, with notice, and waits for its end.
3. What had to make way is ``pending`` again, uses up no restart, and goes on from its checkpoint.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import func, select

from zhisuan.base.db import Tx
from zhisuan.base.text import Text
from zhisuan.execution.service import stop_lease
from zhisuan.execution.tables import Allocation, Checkpoint, Lease, PlacementRecord
from zhisuan.placement.alternatives import plan_wish
from zhisuan.placement.preemption import Holding, preempt
from zhisuan.placement.site_wishes import Wish
from zhisuan.placement.types import Plan, Snapshot
from zhisuan.workload import service as workloads
from zhisuan.workload.tables import Workload

NOTICE_SECONDS = 30
PREEMPTED = "preempted: work on demand needs its devices"
LOOKED_AT_ONCE = 200
HELPED_AT_ONCE = 20
SPOT = func.coalesce(Workload.spec["survival"]["spot"].as_boolean(), False)

WishOf = Callable[[Workload], Wish]


def hold_back(tx: Tx, snapshot: Snapshot, made: Plan, wish_of: WishOf) -> Plan:
    """The plan of spot work, without what work on demand has a better right to now."""
    if not made.candidates:
        return made
    waiting = tx.session.scalars(
        select(Workload).where(workloads.waits_for_place(tx.now), ~SPOT).order_by(Workload.id).limit(LOOKED_AT_ONCE)
    )
    if any(plan_wish(snapshot, wish).chosen is not None for wish in {wish_of(w) for w in waiting}):
        return _without(made, frozenset(c.site_id for c in made.candidates))
    busy = tx.session.scalars(select(Lease.site_id).where(Lease.state != "closed", Lease.preempted_for.is_not(None)))
    return _without(made, frozenset(busy))


def _without(made: Plan, sites: frozenset[str]) -> Plan:
    left = tuple(c for c in made.candidates if c.site_id not in sites)
    if left or not made.candidates:
        return replace(made, candidates=left)
    reason = Text("What is free now is kept for work on demand.", "当前空闲设备优先留给按需作业。")
    return replace(made, candidates=(), reason=reason)


def in_need_of_room(tx: Tx, snapshot: Callable[[], Snapshot], wish_of: WishOf) -> list[str]:
    """Waiting workloads on demand, oldest first, for which room could be made and is not being made yet: one snapshot for all,
    and none while no spot work runs."""
    runs = select(Lease.id).where(Lease.spot, Lease.state != "closed", Lease.desired == "run").limit(1)
    if tx.session.scalar(runs) is None:
        return []
    helped = select(Lease.preempted_for).where(Lease.state != "closed", Lease.preempted_for.is_not(None))
    query = select(Workload).where(workloads.waits_for_place(tx.now), ~SPOT, Workload.id.not_in(helped))
    waiting = tx.session.scalars(query.order_by(Workload.id).limit(LOOKED_AT_ONCE)).all()
    if not waiting:
        return []
    now, (spot, ending) = snapshot(), _holdings(tx)
    possible: dict[Wish, bool] = {}
    for wish in (wish_of(w) for w in waiting):
        if wish not in possible:
            possible[wish] = preempt(now, wish, spot, ending) is not None
    return [w.id for w in waiting if possible[wish_of(w)]][:HELPED_AT_ONCE]


def make_room(tx: Tx, workload_id: str, snapshot: Snapshot, wish_of: WishOf) -> bool:
    """End the spot work that keeps a waiting workload on demand from a place, if any does. Both records say why."""
    workload = tx.session.scalar(
        select(Workload)
        .where(Workload.id == workload_id, workloads.waits_for_place(tx.now))
        .with_for_update(skip_locked=True)
    )
    if workload is None:
        return False
    spot, ending = _holdings(tx)
    wish = wish_of(workload)
    decided = preempt(snapshot, wish, spot, ending)
    if decided is None:
        return False
    rows = tx.session.execute(
        select(Lease.workload_id, Lease.id).where(Lease.id.in_(decided.lease_ids)).order_by(Lease.workload_id)
    ).all()
    for holder_id, lease_id in rows:
        holder = tx.session.get_one(Workload, holder_id, with_for_update=True)
        lease = tx.session.get_one(Lease, lease_id, with_for_update=True, populate_existing=True)
        if stop_lease(tx, holder, lease, PREEMPTED, notice_seconds=NOTICE_SECONDS, taken_back=PREEMPTED):
            lease.preempted_for = workload.id
    made = plan_wish(snapshot, wish)
    tx.session.add(
        PlacementRecord(
            id=tx.ids.new("plc"), workload_id=workload.id, at=tx.now, chosen_site_id=None,
            plan=made.as_dict() | {"chosen": None, "reason": decided.reason.as_dict(), "preemption": decided.as_dict()},
        )
    )  # fmt: skip
    workloads.note(tx, workload, "room is made for it", **decided.as_dict(), notice_seconds=NOTICE_SECONDS)
    return True


def _holdings(tx: Tx) -> tuple[list[Holding], list[Holding]]:
    """Running spot leases, and all leases that were told to end and have not."""
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
    spot: list[Holding] = []
    ending: list[Holding] = []
    for lease, saved_at in rows:
        one = Holding(
            lease.id, lease.site_id, tuple(sorted(shares[lease.id])), int(lease.offered_at.timestamp()),
            _loss(lease, saved_at, tx.now),
        )  # fmt: skip
        (ending if lease.desired == "stop" else spot).append(one)
    return spot, ending


def _loss(lease: Lease, saved_at: datetime | None, now: datetime) -> int:
    """What it has done since it began or was last saved, in 10⁻⁶ 度."""
    if lease.active_from is None:
        return 0
    seconds = int((now - max(lease.active_from, saved_at or lease.active_from)).total_seconds())
    return lease.rate_udu_per_hour * max(0, seconds) // 3600
