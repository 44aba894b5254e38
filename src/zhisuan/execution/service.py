"""Leases as agents report them, and what the agents should hold. Each function runs in the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import defer

from zhisuan.base.clock import CLOCK_SKEW, whole_second
from zhisuan.base.db import Tx
from zhisuan.base.errors import Conflict
from zhisuan.base.store import Store
from zhisuan.base.text import Text
from zhisuan.execution import volumes
from zhisuan.execution.placing import SITE_CHANNEL, release_devices
from zhisuan.execution.rules import End, Wishes, end_of
from zhisuan.execution.tables import Artefact, Lease, LogPiece
from zhisuan.supply.tables import Site
from zhisuan.wire.site import LeasePhase, LeaseReport
from zhisuan.workload import service as workloads
from zhisuan.workload.spec import WorkloadSpec
from zhisuan.workload.tables import Workload

ROUTES_CHANNEL = "zs_routes"
PROGRESS_LENGTH_MAX = 300


@dataclass(frozen=True, slots=True)
class _Standing:
    """What is known of a lease, as far as a report of it may change it."""

    state: str
    generation: int
    ready: bool | None
    began: bool
    progress_ppm: int | None
    progress_message: str | None


def news(tx: Tx, site_id: str, reports: Sequence[LeaseReport]) -> list[LeaseReport]:
    """The reports that would change something, by lease id, found with one query and no lock: most syncs bring none.

    A report of another site's lease, of a closed one or of a passed generation is no news; the agent learns from the
    answer's list that it should not hold it.
    """
    wanted = {r.lease_id for r in reports if r.lease_id.isprintable()}
    if not wanted:
        return []
    rows = tx.session.execute(
        select(Lease.id, Lease.state, Lease.generation, Lease.ready, Lease.active_from, Workload.progress_ppm, Workload.progress_message)
        .join(Workload, Workload.id == Lease.workload_id)
        .where(Lease.id.in_(wanted), Lease.site_id == site_id, Lease.state != "closed")
    )
    held = {r[0]: _Standing(r[1], r[2], r[3], r[4] is not None, r[5], r[6]) for r in rows}
    ordered = sorted((r for r in reports if r.lease_id in held), key=lambda r: r.lease_id)
    return [r for r in ordered if held[r.lease_id].generation == r.generation and _is_news(held[r.lease_id], r)]


def apply_reports(tx: Tx, site_id: str, reports: Sequence[LeaseReport]) -> None:
    """Take in what a site says of its leases. Reports may come twice, late and in any order.

    Locks are taken as workloads, leases, devices, each kind in the order of ids, so that placing, cancelling and reporting at
    once never wait for each other in a circle.
    """
    known = select(Lease.id, Lease.workload_id).where(Lease.id.in_({r.lease_id for r in reports}))
    workload_of: dict[str, str] = dict(tx.session.execute(known).all())
    closing = any(r.complete for r in reports)
    workload_query = select(Workload).where(Workload.id.in_(set(workload_of.values()))).order_by(Workload.id).with_for_update()
    held = {w.id: w for w in tx.session.scalars(workload_query.options(*_LATER, *(() if closing else _AT_AN_END)))}
    lease_query = select(Lease).where(Lease.id.in_(workload_of)).order_by(Lease.id).with_for_update().options(defer(Lease.offer))
    leases = {lease.id: lease for lease in tx.session.scalars(lease_query)}
    workloads.number_events(tx, list(held))
    ended = []
    for report in sorted(reports, key=lambda r: r.lease_id):
        lease = leases.get(report.lease_id)
        if lease is None or lease.site_id != site_id or lease.generation != report.generation or lease.state == "closed":
            continue
        before = lease.state
        _take(tx, lease, held[lease.workload_id], report)
        if before != "ending" and lease.state in ("ending", "closed"):
            ended.append(lease.id)
    release_devices(tx, ended)


_LATER = (defer(Workload.file),)
_AT_AN_END = (defer(Workload.spec),)
"""What is large and not looked at, or only at an end."""


def _take(tx: Tx, lease: Lease, workload: Workload, report: LeaseReport) -> None:
    def standing() -> _Standing:
        began = lease.active_from is not None
        return _Standing(lease.state, lease.generation, lease.ready, began, workload.progress_ppm, workload.progress_message)

    if _moves(standing(), report):
        _apply(tx, lease, workload, report)
    if _progresses(standing(), report):
        _note_progress(tx, workload, report)
    elif _tells(standing(), report):
        workload.progress_message = report.message and report.message[:PROGRESS_LENGTH_MAX]
        tx.notify(workloads.WATCH_CHANNEL, workload.id)


def _note_progress(tx: Tx, workload: Workload, report: LeaseReport) -> None:
    workload.progress_ppm, workload.progress_message = _progress(report)
    tx.notify(workloads.WATCH_CHANNEL, workload.id)


def _is_news(known: _Standing, report: LeaseReport) -> bool:
    return _moves(known, report) or _progresses(known, report) or _tells(known, report)


def _moves(known: _Standing, report: LeaseReport) -> bool:
    """Whether the report is ahead of the lease; what says less than is known already came late."""
    reached = {"offered": 0, "accepted": 1, "active": 2, "ending": 3}.get(known.state, 4)
    said = {LeasePhase.accepted: 1, LeasePhase.running: 2, LeasePhase.exited: 3}[report.phase]
    if said != reached:
        return said > reached
    return report.complete if said == 3 else report.ready != known.ready


def _progresses(known: _Standing, report: LeaseReport) -> bool:
    if report.progress is None or report.phase is not LeasePhase.running or known.state in ("ending", "closed"):
        return False
    return (known.progress_ppm, known.progress_message) != _progress(report)


def _tells(known: _Standing, report: LeaseReport) -> bool:
    """Whether work that does not run yet has something new to say of what it waits for."""
    told = report.message and report.message[:PROGRESS_LENGTH_MAX]
    return report.phase is LeasePhase.accepted and not known.began and known.progress_message != told


def _progress(report: LeaseReport) -> tuple[int | None, str | None]:
    if report.progress is None:
        return None, None
    return report.progress.fraction_ppm, report.progress.message[:PROGRESS_LENGTH_MAX]


def _apply(tx: Tx, lease: Lease, workload: Workload, report: LeaseReport) -> None:
    if lease.state == "offered":
        lease.state, lease.accepted_at = "accepted", tx.now
        workloads.move(tx, workload, "starting", "accepted by the site", lease_id=lease.id)
        tx.emit("lease.accepted", lease.id)
    if report.started_at is not None and lease.active_from is None:
        _activate(tx, lease, workload, report.started_at)
    if report.phase is not LeasePhase.exited:
        if report.ready != lease.ready:
            lease.ready = report.ready
            tx.notify(ROUTES_CHANNEL)
            tx.notify(workloads.WATCH_CHANNEL, workload.id)
        return
    if lease.state != "ending":
        if report.progress is not None:  # the last word of the work may have come with its end
            _note_progress(tx, workload, report)
        _end(tx, lease, report)
    if report.complete:
        _close(tx, lease, workload)


def _activate(tx: Tx, lease: Lease, workload: Workload, started_at: datetime) -> None:
    """The metered time begins. It cannot begin before the lease was offered, but for clocks that differ a little: what a site
    counted from before that would be lost with its whole first minute."""
    before = lease.offered_at - started_at > CLOCK_SKEW
    lease.active_from = whole_second(lease.offered_at if before else started_at)
    if lease.state == "accepted":
        lease.state = "active"
    workload.progress_message = None
    if workload.state == "starting":
        workloads.move(tx, workload, "running", "first instruction ran", lease_id=lease.id)
    tx.emit("lease.active", lease.id, {"from": lease.active_from.isoformat()})
    tx.notify(ROUTES_CHANNEL)


def _end(tx: Tx, lease: Lease, report: LeaseReport) -> None:
    """The work is gone from the devices (the caller releases them), and the metered time is closed. It cannot have ended later
    than now: a site whose clock was set forward has not worked for longer."""
    lease.state = "ending"
    if lease.active_from is not None:
        ended = whole_second(report.ended_at) if report.ended_at is not None else lease.active_from
        lease.active_to = max(lease.active_from, min(ended, whole_second(tx.now + CLOCK_SKEW)))
    lease.exit_code, lease.reason, lease.message = report.exit_code, report.reason, report.message
    lease.cpu_milliseconds, lease.memory_peak_bytes = report.cpu_milliseconds, report.memory_peak_bytes
    lease.ready = False if lease.ready is not None else None
    tx.emit("lease.ending", lease.id, {"reason": report.reason})
    tx.notify(ROUTES_CHANNEL)
    tx.notify(workloads.WATCH_CHANNEL, lease.workload_id)


def _close(tx: Tx, lease: Lease, workload: Workload) -> None:
    end = _end_of(lease, workload)
    lease.state, lease.closed_at, lease.fault = "closed", tx.now, end.fault
    if end.state == "pending":
        workload.restarts_left -= 1 if end.fault else 0
        workload.retries_left -= 1 if end.retry else 0
        workload.progress_ppm = workload.progress_message = None
    workload.pause_reason = None
    reason = end.cause if end.state == "paused" else lease.reason
    outcome = workloads.Outcome(lease.exit_code, reason, lease.message)
    workloads.move(tx, workload, end.state, end.cause, outcome, lease_id=lease.id)
    tx.emit("lease.closed", lease.id, {"fault": end.fault})
    tx.notify(SITE_CHANNEL, lease.site_id)
    tx.notify(ROUTES_CHANNEL)


def _end_of(lease: Lease, workload: Workload) -> End:
    survival = WorkloadSpec.from_dict(workload.spec).survival
    wishes = Wishes(
        cancel=workload.cancel_requested_at is not None, pause=workload.pause_reason, taken_back=lease.taken_back,
        restarts_left=workload.restarts_left, retries_left=workload.retries_left, retry_exit_codes=survival.retry_exit_codes,
        idle_down=survival.idle_down,
    )  # fmt: skip
    return end_of(reason=lease.reason, exit_code=lease.exit_code, kind=workload.kind, wishes=wishes)


def cancel(tx: Tx, workload: Workload, cause: str = "asked for") -> None:
    """End a workload. One that waits ends at once; else its site is told to stop it, also where it has not taken the offer
    yet: what the platform has not heard of may have begun all the same, and its devices are free only when it has ended.

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
    else:
        stop_lease(tx, workload, lease, cause)


def stop_lease(tx: Tx, workload: Workload, lease: Lease, cause: str, *, notice_seconds: int = 0, taken_back: str | None = None) -> bool:
    """Tell a site to end a lease's work. The work has its own grace, or the notice where that is longer; it is shown to the work
    and in the record. ``taken_back``: why its workload then waits for another place. False where it was told already."""
    if lease.state == "closed" or lease.desired == "stop":
        return False
    grace_seconds = max(notice_seconds, int(lease.offer["grace_seconds"]))
    lease.desired, lease.taken_back = "stop", taken_back
    lease.offer = {**lease.offer, "grace_seconds": grace_seconds}
    detail = {"lease_id": lease.id, "grace_seconds": grace_seconds}
    workloads.note(tx, workload, f"its site is told to stop it: {cause}", **detail)
    tx.emit("lease.stop", lease.id, {"cause": cause})
    tx.notify(SITE_CHANNEL, lease.site_id)
    return True


def take_back(tx: Tx, site_id: str, *, grace_seconds: int, cause: str) -> int:
    """Tell a site to end all its work with so long a notice; the workloads wait for another place. How many leases are not
    closed yet. Doing it again changes nothing."""
    query = select(Lease.id, Lease.workload_id).where(Lease.site_id == site_id, Lease.state != "closed")
    rows = tx.session.execute(query.order_by(Lease.workload_id)).all()
    for lease_id, workload_id in rows:
        _end_for_move(tx, workload_id, lease_id, grace_seconds, cause)
    return len(rows)


def end_for_move(tx: Tx, lease_id: str, *, grace_seconds: int, cause: str) -> None:
    """As ``take_back``, of one lease."""
    workload_id = tx.session.scalar(select(Lease.workload_id).where(Lease.id == lease_id))
    if workload_id is not None:
        _end_for_move(tx, workload_id, lease_id, grace_seconds, cause)


def _end_for_move(tx: Tx, workload_id: str, lease_id: str, grace_seconds: int, cause: str) -> None:
    workload = tx.session.get_one(Workload, workload_id, with_for_update=True)
    lease = tx.session.get_one(Lease, lease_id, with_for_update=True)
    if lease.state != "ending":
        stop_lease(tx, workload, lease, cause, notice_seconds=grace_seconds, taken_back=cause)


def lose_leases(tx: Tx, site: Site) -> int:
    """Close every open lease of a site that a person has closed, as lost; how many.

    What ran there counts until the site was last heard, and is not charged: a provider's fault. Workloads that have
    restarts left wait for another place.
    """
    query = select(Lease.id, Lease.workload_id).where(Lease.site_id == site.id, Lease.state != "closed")
    rows = tx.session.execute(query.order_by(Lease.workload_id)).all()
    for lease_id, workload_id in rows:
        workload = tx.session.get_one(Workload, workload_id, with_for_update=True)
        lease = tx.session.get_one(Lease, lease_id, with_for_update=True)
        if lease.state != "closed":
            lose(tx, lease, workload, site, f"the site {site.name} was closed while it could not be heard")
    return len(rows)


def lose(tx: Tx, lease: Lease, workload: Workload, site: Site, message: str) -> None:
    """Close one lease, locked with its workload, as lost with its site; an end that was reported stays as it was."""
    if lease.state != "ending":
        report = LeaseReport(
            lease_id=lease.id, generation=lease.generation, phase=LeasePhase.exited, ended_at=site.last_seen_at or tx.now,
            reason="lost", message=message,
        )  # fmt: skip
        _end(tx, lease, report)
        release_devices(tx, [lease.id])
    _close(tx, lease, workload)


def open_lease_count(tx: Tx, site_id: str) -> int:
    """Leases of a site that are not closed."""
    query = select(func.count()).select_from(Lease).where(Lease.site_id == site_id, Lease.state != "closed")
    return tx.session.scalar(query) or 0


def open_lease(tx: Tx, workload_id: str) -> Lease | None:
    return tx.session.scalar(
        select(Lease).where(Lease.workload_id == workload_id, Lease.state != "closed").with_for_update()
    )


def add_log(tx: Tx, site_id: str, lease_id: str, generation: int, offset: int, data: bytes) -> int:
    """Append output; the answer is the next byte wanted. Bytes at another place than the end change nothing but tell
    the sender where the end is. A lease that is unknown, not the site's or closed takes everything and keeps nothing, so
    that no agent is stuck on it."""
    lease = tx.session.get(Lease, lease_id, with_for_update=True)
    if lease is None or lease.site_id != site_id or lease.generation != generation or lease.state == "closed":
        return offset + len(data)
    extent = volumes.extents(tx, [lease_id]).get(lease_id)
    end = extent.end if extent is not None else 0
    if offset != end or not data:
        return end
    tx.session.add(LogPiece(lease_id=lease_id, at_byte=offset, data=data))
    tx.session.flush()
    tx.notify(workloads.WATCH_CHANNEL, lease.workload_id)
    return end + len(data)


@dataclass(frozen=True, slots=True)
class Output:
    """``data`` begins at the byte asked for; ``end`` is how many bytes there are now."""

    data: bytes
    end: int


def read_log(tx: Tx, store: Store, workload_id: str, offset: int, limit: int) -> Output:
    """At most ``limit`` bytes of a workload's output from ``offset``: that of all its leases, one after the other.

    A closed lease takes no more output and a new one is made only after, so a byte never changes its place. Raises
    ``NotFound`` for output that was removed after its time.
    """
    lease_ids = list(
        tx.session.scalars(select(Lease.id).where(Lease.workload_id == workload_id).order_by(Lease.generation))
    )
    found = volumes.extents(tx, lease_ids)
    data, start = b"", 0
    for lease_id in lease_ids:
        extent = found.get(lease_id, volumes.Extent(0, 0))
        if len(data) < limit and offset + len(data) < start + extent.packed:
            data += volumes.read(tx, store, lease_id, offset + len(data) - start, limit - len(data))
        if len(data) < limit and offset + len(data) < start + extent.end:
            data += _lease_log(tx, lease_id, offset + len(data) - start, limit - len(data))
        start += extent.end
        if len(data) < limit and offset + len(data) < start:
            break  # It was moved to the store in between; whoever reads asks again.
    return Output(data, sum(extent.end for extent in found.values()))


def _lease_log(tx: Tx, lease_id: str, offset: int, limit: int) -> bytes:
    first = tx.session.scalar(
        select(func.max(LogPiece.at_byte)).where(LogPiece.lease_id == lease_id, LogPiece.at_byte <= offset)
    )
    pieces = tx.session.execute(
        select(LogPiece.at_byte, LogPiece.data)
        .where(LogPiece.lease_id == lease_id, LogPiece.at_byte >= (first or 0), LogPiece.at_byte < offset + limit)
        .order_by(LogPiece.at_byte)
    ).all()
    joined = b"".join(bytes(data) for _, data in pieces)
    skip = offset - (first or 0)
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
