"""Recording workloads and their transitions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select

from zhisuan.base.db import Tx
from zhisuan.base.errors import Conflict, NotFound
from zhisuan.base.paging import Page, decode_cursor, page_of
from zhisuan.base.text import Text
from zhisuan.workload import secrets
from zhisuan.workload.spec import WorkloadSpec
from zhisuan.workload.tables import Blob, Workload, WorkloadEvent

OPEN_STATES = ("pending", "placed", "starting", "running")
FINAL_STATES = ("succeeded", "failed", "cancelled")
RESTING_STATES = (*FINAL_STATES, "paused")
"""Nothing of it runs, and nothing will unless somebody asks."""
NEXT = {
    "pending": {"placed", "paused", "cancelled", "failed"},
    "placed": {"starting", "running", "pending", "paused", "cancelled", "failed"},
    "starting": {"running", "pending", "paused", "failed", "cancelled", "succeeded"},
    "running": {"pending", "paused", "succeeded", "failed", "cancelled"},
    "paused": {"pending", "cancelled"},
    "failed": {"pending"},
    "cancelled": {"pending"},
}
WATCH_CHANNEL = "zs_workload"
ID_PREFIXES = {"job": "job", "service": "svc", "workspace": "wsp"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a workload ended, for its record."""

    exit_code: int | None = None
    reason: str | None = None
    message: str | None = None


def create(
    tx: Tx,
    *,
    org_id: str,
    project_id: str,
    spec: WorkloadSpec,
    file: str,
    quote_id: str,
    by: str,
    stored: dict[str, Any],
) -> Workload:
    """A workload in state ``pending``. ``stored`` is the specification with the blobs of its uploads."""
    workload = Workload(
        id=tx.ids.new(ID_PREFIXES[spec.kind]), org_id=org_id, project_id=project_id, kind=spec.kind,
        name=spec.name, state="pending", spec=stored, file=file, quote_id=quote_id, created_by=by, created_at=tx.now,
        started_at=None, ended_at=None, cancel_requested_at=None, attempts=0, restarts_left=spec.restarts,
        retries_left=spec.survival.retries, pause_reason=None, stop_at=spec.survival.stop_time,
        start_after=spec.demands.start_time, start_by=spec.demands.start_by(spec.max_seconds), deadline=spec.demands.end_time,
        exit_code=None, reason=None, message=None, progress_ppm=None, progress_message=None,
    )  # fmt: skip
    tx.session.add(workload)
    tx.session.info.setdefault(EVENT_NUMBERS, {})[workload.id] = 0
    _record(tx, workload, "launched", {})
    return workload


def move(tx: Tx, workload: Workload, state: str, cause: str, outcome: Outcome | None = None, **detail: Any) -> None:
    """Take a workload to its next state and record why. Raises ``Conflict`` for a step the life cycle does not have."""
    if state not in NEXT.get(workload.state, set()):
        raise Conflict(
            Text(
                f"A workload that is {workload.state} cannot become {state}.",
                f"处于 {workload.state} 的工作负载不能变为 {state}。",
            ),
            Text("Look at its present state again.", "请重新查看其当前状态。"),
        )
    workload.state = state
    if outcome is not None:
        workload.exit_code, workload.reason, workload.message = outcome.exit_code, outcome.reason, outcome.message
    if state == "running" and workload.started_at is None:
        workload.started_at = tx.now
    if state in FINAL_STATES:
        workload.ended_at = tx.now
        if workload.spec.get("secrets"):
            secrets.forget(tx, workload.id)
    _record(tx, workload, cause, detail)


def note(tx: Tx, workload: Workload, cause: str, **detail: Any) -> None:
    """Record something of a workload that leaves its state as it is."""
    _record(tx, workload, cause, detail)


EVENT_NUMBERS = "zhisuan.workload.event_numbers"


def number_events(tx: Tx, workload_ids: Sequence[str]) -> None:
    """Look up once, for workloads that this transaction has locked, how many events they have: those that it adds are then written
    together."""
    last = select(WorkloadEvent.workload_id, func.max(WorkloadEvent.number)).where(WorkloadEvent.workload_id.in_(workload_ids))
    numbers = tx.session.execute(last.group_by(WorkloadEvent.workload_id)).all()
    tx.session.info.setdefault(EVENT_NUMBERS, {}).update(dict.fromkeys(workload_ids, 0) | dict(numbers))


def _record(tx: Tx, workload: Workload, cause: str, detail: dict[str, Any]) -> None:
    numbers: dict[str, int] = tx.session.info.setdefault(EVENT_NUMBERS, {})
    if workload.id not in numbers:
        with tx.session.no_autoflush:  # what else waits to be written is not written before its time
            number_events(tx, [workload.id])
    numbers[workload.id] += 1
    tx.session.add(
        WorkloadEvent(
            id=tx.ids.new("evt"), workload_id=workload.id, number=numbers[workload.id], at=tx.now, state=workload.state,
            cause=cause, actor=tx.actor, detail=detail,
        )
    )  # fmt: skip
    tx.emit(f"workload.{workload.state}", workload.id, {"cause": cause})
    tx.notify(WATCH_CHANNEL, workload.id)


def visible(tx: Tx, workload_id: str, org_id: str | None, *, lock: bool = False) -> Workload:
    """A workload of the organisation (any, for the operator's ``None``). Raises ``NotFound`` alike for unknown and foreign."""
    found = tx.session.get(Workload, workload_id, with_for_update=lock)
    if found is None or (org_id is not None and found.org_id != org_id):
        raise NotFound.of(Text("workload", "工作负载"), workload_id)
    return found


def waits_for_place(now: datetime) -> ColumnElement[bool]:
    """Of workloads: it waits, and may start."""
    return and_(Workload.state == "pending", or_(Workload.start_after.is_(None), Workload.start_after <= now))


def page(
    tx: Tx, org_id: str | None, *, state: str | None, kind: str | None, limit: int, cursor: str | None
) -> Page[Workload]:
    """Newest first."""
    query = select(Workload).order_by(Workload.id.desc()).limit(limit + 1)
    if org_id is not None:
        query = query.where(Workload.org_id == org_id)
    if state is not None:
        query = query.where(Workload.state == state)
    if kind is not None:
        query = query.where(Workload.kind == kind)
    after = decode_cursor(cursor)
    if after is not None:
        query = query.where(Workload.id < after)
    return page_of(tx.session.scalars(query).all(), limit, lambda w: w.id)


def events(tx: Tx, workload_id: str) -> Sequence[WorkloadEvent]:
    return tx.session.scalars(
        select(WorkloadEvent).where(WorkloadEvent.workload_id == workload_id).order_by(WorkloadEvent.number)
    ).all()


def add_blob(tx: Tx, *, org_id: str, sha256: str, size_bytes: int) -> Blob:
    """The record of an upload; the same bytes of the same organisation are one blob."""
    found = tx.session.scalar(select(Blob).where(Blob.org_id == org_id, Blob.sha256 == sha256))
    if found is not None:
        return found
    blob = Blob(id=tx.ids.new("blb"), org_id=org_id, sha256=sha256, size_bytes=size_bytes, created_at=tx.now)
    tx.session.add(blob)
    tx.session.flush()
    return blob


def blob_visible(tx: Tx, blob_id: str, org_id: str) -> Blob:
    found = tx.session.get(Blob, blob_id)
    if found is None or found.org_id != org_id:
        raise NotFound.of(Text("upload", "上传文件"), blob_id)
    return found
