"""Work that can no longer end by its deadline is told so, once; what waits then ends, unless it was ordered to go on.

It is late when its deadline has passed, and before its first attempt when it could not end in time any more, taking as long as it
may (``zhisuan.max_duration``). What runs already goes on to its own end.
"""

from collections.abc import Sequence

from sqlalchemy import and_, or_, select

from zhisuan.base.db import Tx
from zhisuan.workload import service as workloads
from zhisuan.workload.spec import WorkloadSpec
from zhisuan.workload.tables import Workload

CAUSE = "deadline"


def late(tx: Tx, limit: int = 500) -> Sequence[str]:
    """Open workloads that are late and have not been told."""
    unstarted = and_(Workload.state == "pending", Workload.attempts == 0, Workload.start_by <= tx.now)
    return tx.session.scalars(
        select(Workload.id)
        .where(
            Workload.deadline.is_not(None),
            Workload.state.in_(workloads.OPEN_STATES),
            or_(Workload.deadline <= tx.now, unstarted),
        )
        .order_by(Workload.id)
        .limit(limit)
    ).all()


def tell_late(tx: Tx, workload_id: str) -> None:
    """Tell one if it still is late: it fails where it waits and was not ordered to go on."""
    workload = workloads.visible(tx, workload_id, None, lock=True)
    end, by = workload.deadline, workload.start_by
    waits = workload.state == "pending"
    unstarted = waits and workload.attempts == 0 and by is not None and by <= tx.now
    if end is None or workload.state not in workloads.OPEN_STATES or not (end <= tx.now or unstarted):
        return
    spec = WorkloadSpec.from_dict(workload.spec)
    message = f"it cannot end by its deadline {spec.demands.deadline} any more"
    if end <= tx.now:
        message = f"its deadline {spec.demands.deadline} has passed"
    workload.start_by = workload.deadline = None
    if waits and spec.demands.late == "fail":
        workloads.move(tx, workload, "failed", message, workloads.Outcome(reason=CAUSE, message=message))
    else:
        workloads.note(tx, workload, f"{message}; it goes on")
