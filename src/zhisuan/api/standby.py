"""一主多备: work that names standby sites leaves a site that is being drained, as soon as another can take it.

A site that is lost or taken back ends the work by itself (``execution``); its workload then waits, and is placed on the next
site of its order. A drained site would let the work go on: here its tenant has said that it should rather move.
"""

from datetime import timedelta

from sqlalchemy import select

from zhisuan.api.launching import market_of, snapshot_of
from zhisuan.api.wishing import wish_of
from zhisuan.base.db import Tx
from zhisuan.execution import service as execution
from zhisuan.execution.tables import Lease
from zhisuan.placement.alternatives import plan_wish
from zhisuan.supply.tables import Site
from zhisuan.workload.spec import WorkloadSpec
from zhisuan.workload.tables import Workload

CAUSE = "its site is being drained and a standby site can take it"


def can_move(tx: Tx, ttl: timedelta) -> list[str]:
    """Leases of draining sites whose workloads name standbys and would find a place now, oldest first.

    None while another is on its way: what that one takes elsewhere is only known once it is placed there.
    """
    rows = tx.session.execute(
        select(Lease.id, Workload.spec)
        .join(Site, Site.id == Lease.site_id)
        .join(Workload, Workload.id == Lease.workload_id)
        .where(Site.state == "draining", Lease.state.in_(("offered", "accepted", "active")), Lease.desired == "run")
        .order_by(Lease.id)
    ).all()
    moving = select(Lease.id).where(Lease.taken_back == CAUSE, Lease.state != "closed").exists()
    if tx.session.scalar(select(moving)):
        return []
    named = [(lease_id, spec) for lease_id, spec in rows if spec.get("where", {}).get("standby")]
    if not named:
        return []
    snapshot = snapshot_of(tx, market_of(tx), ttl)
    return [
        lease_id
        for lease_id, spec in named
        if plan_wish(snapshot, wish_of(WorkloadSpec.from_dict(spec))).chosen is not None
    ]


def move(tx: Tx, lease_id: str) -> None:
    """Tell the site to end the work with the grace that it asks for; its workload waits for another place and uses up no restart."""
    execution.end_for_move(tx, lease_id, grace_seconds=0, cause=CAUSE)
