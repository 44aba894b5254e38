"""Pausing, resuming and restarting a workload. Each function runs in the caller's transaction, with the workload locked.

A paused workload holds no devices and costs nothing; its checkpoint, output and history stay. It waits until somebody resumes
or cancels it.
"""

from collections.abc import Sequence

from sqlalchemy import select

from zhisuan.base.db import Tx
from zhisuan.base.errors import Conflict
from zhisuan.base.text import Text
from zhisuan.execution.service import open_lease, stop_lease
from zhisuan.workload import service as workloads
from zhisuan.workload.spec import WorkloadSpec
from zhisuan.workload.tables import Workload

ASKED = "asked for"
STOP_AT = "stop_at"
RESTART = "restart asked for"


def pause(tx: Tx, workload: Workload, reason: str = ASKED) -> None:
    """One that waits pauses at once, else when its site has ended it with grace and its checkpoint has come.

    Raises ``Conflict`` for one that has ended or is being cancelled. Pausing again changes nothing.
    """
    if workload.state == "paused":
        return
    if workload.state in workloads.FINAL_STATES or workload.cancel_requested_at is not None:
        raise Conflict(
            Text("This workload has ended or is being cancelled.", "该工作负载已结束或正在取消。"),
            Text("There is nothing to pause.", "无需暂停。"),
        )
    if workload.pause_reason is not None:
        return
    lease = open_lease(tx, workload.id)
    if lease is None:
        workloads.move(tx, workload, "paused", reason, workloads.Outcome(reason=reason))
        return
    workload.pause_reason = reason
    if not stop_lease(tx, workload, lease, f"pause {reason}" if reason == ASKED else reason):
        workloads.note(tx, workload, f"it pauses once it has ended: {reason}", lease_id=lease.id)


def require_resumable(workload: Workload, *, ended_too: bool) -> None:
    """Raises ``Conflict`` unless it is paused, or with ``ended_too`` has failed or was cancelled."""
    allowed = ("paused", "failed", "cancelled") if ended_too else ("paused",)
    if workload.state in allowed:
        return
    if workload.pause_reason is not None:
        remedy = Text("It is being paused; try again when it is.", "正在暂停，请待暂停完成后再试。")
    elif workload.state in workloads.OPEN_STATES:
        remedy = Text("It is under way or waits; `zhisuan why` says for what.", "它正在运行或等待中；zhisuan why 会说明原因。")
    elif ended_too:
        remedy = Text("Launch it again as new work.", "请作为新的工作负载重新启动。")
    else:
        remedy = Text("`zhisuan jobs restart` begins one that has ended again.", "已结束的可用 zhisuan jobs restart 重新开始。")
    raise Conflict(
        Text(f"A workload that is {workload.state} cannot begin again.", f"处于 {workload.state} 的工作负载不能重新开始。"), remedy
    )


def wait_again(tx: Tx, workload: Workload, cause: str) -> None:
    """Back to ``pending``, with all its restarts and retries; a time to stop and a deadline that have passed are dropped."""
    spec = WorkloadSpec.from_dict(workload.spec)
    workload.restarts_left, workload.retries_left = spec.restarts, spec.survival.retries
    workload.cancel_requested_at = workload.ended_at = None
    workload.progress_ppm = workload.progress_message = None
    if workload.stop_at is not None and workload.stop_at <= tx.now:
        workload.stop_at = None
    end = spec.demands.end_time
    workload.deadline = end if end is not None and end > tx.now else None
    workload.start_by = None
    workloads.move(tx, workload, "pending", cause, workloads.Outcome())


def restart_running(tx: Tx, workload: Workload) -> bool:
    """End what runs, with grace and checkpoint, so that it waits for a place again; False where nothing is to be ended."""
    lease = open_lease(tx, workload.id)
    return lease is not None and stop_lease(tx, workload, lease, RESTART, taken_back=RESTART)


def due_to_stop(tx: Tx, limit: int = 500) -> Sequence[str]:
    """Open workloads whose time to stop has come."""
    return tx.session.scalars(
        select(Workload.id)
        .where(
            Workload.stop_at <= tx.now,
            Workload.state.in_(workloads.OPEN_STATES),
            Workload.cancel_requested_at.is_(None),
            Workload.pause_reason.is_(None),
        )
        .order_by(Workload.id)
        .limit(limit)
    ).all()


def stop_due(tx: Tx, workload_id: str) -> None:
    """Pause it if its time to stop has come and it still is open."""
    workload = workloads.visible(tx, workload_id, None, lock=True)
    due = workload.stop_at is not None and workload.stop_at <= tx.now
    if due and workload.state in workloads.OPEN_STATES and workload.cancel_requested_at is None:
        pause(tx, workload, STOP_AT)
