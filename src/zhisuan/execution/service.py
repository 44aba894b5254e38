"""Leases as agents report them, and what the agents should hold. Each function runs in the caller's transaction."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from zhisuan.base.clock import whole_second
from zhisuan.base.db import Tx
from zhisuan.base.errors import Conflict
from zhisuan.base.text import Text
from zhisuan.execution.placing import SITE_CHANNEL, release_devices
from zhisuan.execution.rules import end_of
from zhisuan.execution.tables import Artefact, Lease, LogPiece
from zhisuan.wire.site import LeaseOffer, LeasePhase, LeaseReport
from zhisuan.workload import service as workloads
from zhisuan.workload.tables import Workload

ROUTES_CHANNEL = "zs_routes"


@dataclass(frozen=True, slots=True)
class Desired:
    """All leases a site should hold, and a version that changes exactly when they do."""

    version: str
    offers: tuple[LeaseOffer, ...]


def desired_of_site(tx: Tx, site_id: str) -> Desired:
    leases = tx.session.scalars(
        select(Lease).where(Lease.site_id == site_id, Lease.state != "closed").order_by(Lease.id)
    ).all()
    offers = tuple(LeaseOffer.model_validate({**lease.offer, "desired": lease.desired}) for lease in leases)
    text = "|".join(f"{o.lease_id}:{o.generation}:{o.desired}" for o in offers)
    return Desired(hashlib.sha256(text.encode()).hexdigest()[:16], offers)


def apply_reports(tx: Tx, site_id: str, reports: Sequence[LeaseReport]) -> None:
    """Take in what a site says of its leases. A report for another site's lease, a closed one or a passed generation
    changes nothing; the agent learns from the answer's list that it should not hold it."""
    for report in sorted(reports, key=lambda r: r.lease_id):
        lease = tx.session.get(Lease, report.lease_id)
        if (
            lease is None
            or lease.site_id != site_id
            or lease.generation != report.generation
            or lease.state == "closed"
        ):
            continue
        if not _says_something_new(lease, report):
            _note_progress(tx, lease, report)
            continue
        workload = tx.session.get_one(Workload, lease.workload_id, with_for_update=True)
        lease = tx.session.get_one(Lease, report.lease_id, with_for_update=True, populate_existing=True)
        if lease.state != "closed":
            _apply(tx, lease, workload, report)


def _says_something_new(lease: Lease, report: LeaseReport) -> bool:
    reached = {"offered": 0, "accepted": 1, "active": 2, "ending": 3}[lease.state]
    said = {LeasePhase.accepted: 1, LeasePhase.running: 2, LeasePhase.exited: 3}[report.phase]
    return said > reached or report.ready != lease.ready or report.complete


def _note_progress(tx: Tx, lease: Lease, report: LeaseReport) -> None:
    if report.progress is None or report.phase is not LeasePhase.running:
        return
    workload = tx.session.get_one(Workload, lease.workload_id)
    if (workload.progress_ppm, workload.progress_message) != (report.progress.fraction_ppm, report.progress.message):
        workload.progress_ppm = report.progress.fraction_ppm
        workload.progress_message = report.progress.message[:300]
        tx.notify(workloads.WATCH_CHANNEL, workload.id)


def _apply(tx: Tx, lease: Lease, workload: Workload, report: LeaseReport) -> None:
    if lease.state == "offered":
        lease.state, lease.accepted_at = "accepted", tx.now
        workloads.move(tx, workload, "starting", "accepted by the site", lease_id=lease.id)
        tx.emit("lease.accepted", lease.id)
    if report.started_at is not None and lease.active_from is None:
        _activate(tx, lease, workload, report.started_at)
    if report.ready != lease.ready:
        lease.ready = report.ready
        tx.notify(ROUTES_CHANNEL)
        tx.notify(workloads.WATCH_CHANNEL, workload.id)
    if report.phase is LeasePhase.exited and lease.state != "ending":
        _end(tx, lease, report)
    if report.phase is LeasePhase.exited and report.complete:
        _close(tx, lease, workload)
    _note_progress(tx, lease, report)


def _activate(tx: Tx, lease: Lease, workload: Workload, started_at: datetime) -> None:
    """The metered time begins; it cannot begin before the lease was offered."""
    lease.active_from = max(whole_second(started_at), whole_second(lease.offered_at))
    if lease.state == "accepted":
        lease.state = "active"
    if workload.state == "starting":
        workloads.move(tx, workload, "running", "first instruction ran", lease_id=lease.id)
    tx.emit("lease.active", lease.id, {"from": lease.active_from.isoformat()})
    tx.notify(ROUTES_CHANNEL)


def _end(tx: Tx, lease: Lease, report: LeaseReport) -> None:
    """The work is gone from the devices: they are free again, and the metered time is closed."""
    lease.state = "ending"
    if lease.active_from is not None:
        ended = whole_second(report.ended_at) if report.ended_at is not None else lease.active_from
        lease.active_to = max(ended, lease.active_from)
    lease.exit_code, lease.reason, lease.message = report.exit_code, report.reason, report.message
    lease.cpu_milliseconds, lease.memory_peak_bytes = report.cpu_milliseconds, report.memory_peak_bytes
    lease.ready = False if lease.ready is not None else None
    release_devices(tx, lease)
    tx.emit("lease.ending", lease.id, {"reason": report.reason})
    tx.notify(ROUTES_CHANNEL)
    tx.notify(workloads.WATCH_CHANNEL, lease.workload_id)


def _close(tx: Tx, lease: Lease, workload: Workload) -> None:
    end = end_of(
        reason=lease.reason, exit_code=lease.exit_code, cancel_requested=workload.cancel_requested_at is not None,
        restarts_left=workload.restarts_left, kind=workload.kind,
    )  # fmt: skip
    lease.state, lease.closed_at, lease.fault = "closed", tx.now, end.fault
    if end.state == "pending":
        workload.restarts_left -= 1
        workload.progress_ppm = workload.progress_message = None
    outcome = workloads.Outcome(lease.exit_code, lease.reason, lease.message)
    workloads.move(tx, workload, end.state, end.cause, outcome, lease_id=lease.id)
    tx.emit("lease.closed", lease.id, {"fault": end.fault})
    tx.notify(SITE_CHANNEL, lease.site_id)
    tx.notify(ROUTES_CHANNEL)


def cancel(tx: Tx, workload: Workload, cause: str = "asked for") -> None:
    """End a workload. One that waits, or whose offer no site has taken yet, ends at once; else its site is told to stop it.

    Raises ``Conflict`` for one that has ended.
    """
    if workload.state in workloads.FINAL_STATES:
        raise Conflict(
            Text(f"This workload has ended already ({workload.state}).", f"该工作负载已经结束（{workload.state}）。"),
            Text("There is nothing to cancel.", "无需取消。"),
        )
    workload.cancel_requested_at = workload.cancel_requested_at or tx.now
    lease = open_lease(tx, workload.id)
    if lease is None:
        workloads.move(tx, workload, "cancelled", cause)
    elif lease.state == "offered":
        release_devices(tx, lease)
        lease.state, lease.closed_at, lease.reason = "closed", tx.now, "cancelled"
        workloads.move(tx, workload, "cancelled", cause, workloads.Outcome(reason="cancelled"))
        tx.notify(SITE_CHANNEL, lease.site_id)
    else:
        stop_lease(tx, lease)


def stop_lease(tx: Tx, lease: Lease) -> None:
    """Tell the site to end the work; what it says of the end decides what the workload becomes."""
    if lease.desired != "stop":
        lease.desired = "stop"
        tx.emit("lease.stop", lease.id)
        tx.notify(SITE_CHANNEL, lease.site_id)


def open_lease(tx: Tx, workload_id: str) -> Lease | None:
    return tx.session.scalar(
        select(Lease).where(Lease.workload_id == workload_id, Lease.state != "closed").with_for_update()
    )


def add_log(tx: Tx, site_id: str, lease_id: str, generation: int, offset: int, data: bytes) -> int:
    """Append output; the answer is the next byte wanted. Bytes at another place than the end change nothing but tell
    the sender where the end is. An unknown lease takes everything and keeps nothing, so that no agent is stuck on it."""
    lease = tx.session.get(Lease, lease_id, with_for_update=True)
    if lease is None or lease.site_id != site_id or lease.generation != generation:
        return offset + len(data)
    end = log_length(tx, lease_id)
    if offset != end or not data:
        return end
    tx.session.add(LogPiece(lease_id=lease_id, at_byte=offset, data=data))
    tx.session.flush()
    tx.notify(workloads.WATCH_CHANNEL, lease.workload_id)
    return end + len(data)


def log_length(tx: Tx, lease_id: str) -> int:
    found = tx.session.execute(
        select(LogPiece.at_byte, func.length(LogPiece.data))
        .where(LogPiece.lease_id == lease_id)
        .order_by(LogPiece.at_byte.desc())
        .limit(1)
    ).one_or_none()
    return found[0] + found[1] if found else 0


def read_log(tx: Tx, lease_id: str, offset: int, limit: int) -> bytes:
    """At most ``limit`` bytes of a lease's output from ``offset``."""
    first = tx.session.scalar(
        select(func.max(LogPiece.at_byte)).where(LogPiece.lease_id == lease_id, LogPiece.at_byte <= offset)
    )
    pieces = tx.session.execute(
        select(LogPiece.at_byte, LogPiece.data)
        .where(LogPiece.lease_id == lease_id, LogPiece.at_byte >= (first or 0), LogPiece.at_byte < offset + limit)
        .order_by(LogPiece.at_byte)
    ).all()
    if not pieces:
        return b""
    joined = b"".join(bytes(data) for _, data in pieces)
    skip = offset - pieces[0][0]
    return joined[skip : skip + limit]


def add_artefact(tx: Tx, lease: Lease, *, path: str, sha256: str, size_bytes: int) -> Artefact:
    """Record a delivered file; delivering it again changes nothing."""
    found = tx.session.scalar(
        select(Artefact).where(Artefact.lease_id == lease.id, Artefact.path == path).with_for_update()
    )
    if found is not None:
        found.sha256, found.size_bytes = sha256, size_bytes
        return found
    artefact = Artefact(
        id=tx.ids.new("art"), lease_id=lease.id, workload_id=lease.workload_id, org_id=lease.org_id, path=path,
        sha256=sha256, size_bytes=size_bytes, created_at=tx.now,
    )  # fmt: skip
    tx.session.add(artefact)
    tx.session.flush()
    return artefact


def leases_of(tx: Tx, workload_id: str) -> Sequence[Lease]:
    return tx.session.scalars(select(Lease).where(Lease.workload_id == workload_id).order_by(Lease.generation)).all()


def active_seconds(lease: Lease, now: datetime) -> int:
    """Metered seconds so far: whole seconds of ``[active_from, active_to or now)``."""
    if lease.active_from is None:
        return 0
    return max(0, int((whole_second(lease.active_to or now) - lease.active_from).total_seconds()))
