"""What the agent knows of one generation of one lease, and how it changes. Pure: the time comes in."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict

from zhisuan.base.clock import whole_second
from zhisuan.engines.contract import ExitReason, Observation, RunPhase
from zhisuan.site.metering import over_until, settled_end, windows_due
from zhisuan.wire.common import LeaseKey
from zhisuan.wire.site import LeaseOffer, LeasePhase, LeaseReport, ProgressReport, UsageWindow

TERM_RAN_OUT = "The server could not be reached for as long as the lease's term; the work was ended so that it can go on elsewhere."


class Key(NamedTuple):
    """One generation of one lease."""

    lease_id: str
    generation: int

    def __str__(self) -> str:
        return f"{self.lease_id} (generation {self.generation})"


def key_of(message: LeaseKey) -> Key:
    return Key(message.lease_id, message.generation)


class Stage(StrEnum):
    """How far a lease has come on this site."""

    accepted = "accepted"
    """Kept in the journal; the engine has not been asked."""
    starting = "starting"
    """The engine has been asked or is about to be; whether it has a run must be looked up."""
    started = "started"
    """The engine has a run."""
    exited = "exited"
    """Its end is settled and never changes again."""


class LeaseRecord(BaseModel):
    """The journal's row. ``started_at``, ``ended_at`` and ``metered_until`` are whole seconds and never move back;
    windows of ``[started_at, metered_until)`` have been cut. ``delivered``: logs and artefacts are at the server.
    ``notes`` are sentences about what could not be delivered. ``expired``: its term ran out here while the server could not
    be reached, and a stop for that reason is asked for; ``idle``: the same for work that nobody used."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    offer: LeaseOffer
    stage: Stage = Stage.accepted
    started_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    metered_until: AwareDatetime | None = None
    exit_code: int | None = None
    reason: str | None = None
    message: str | None = None
    cpu_milliseconds: int = 0
    memory_peak_bytes: int = 0
    delivered: bool = False
    notes: tuple[str, ...] = ()
    expired: bool = False
    idle: bool = False

    @property
    def key(self) -> Key:
        return key_of(self.offer)

    @property
    def durable(self) -> tuple[object, ...]:
        """All but the readings that move all the time: the journal is written when this changes."""
        return (
            self.stage,
            self.started_at,
            self.ended_at,
            self.metered_until,
            self.exit_code,
            self.reason,
            self.message,
            self.delivered,
            self.notes,
            self.expired,
            self.idle,
        )

    @property
    def visible(self) -> tuple[object, ...]:
        """What of ``durable`` the server is told of: a report is due when this changes."""
        return (
            self.stage is Stage.exited,
            self.started_at,
            self.ended_at,
            self.exit_code,
            self.reason,
            self.message,
            self.delivered,
            self.notes,
        )

    def with_stage(self, stage: Stage) -> "LeaseRecord":
        return self.model_copy(update={"stage": stage})

    def as_expired(self) -> "LeaseRecord":
        return self.model_copy(update={"expired": True})

    def as_idle(self) -> "LeaseRecord":
        return self.model_copy(update={"idle": True})

    def as_delivered(self, notes: tuple[str, ...]) -> "LeaseRecord":
        return self.model_copy(update={"delivered": True, "notes": notes})


class Step(NamedTuple):
    """A record after something was seen, and the windows that this made due; both are journalled together."""

    record: LeaseRecord
    windows: tuple[UsageWindow, ...] = ()


def observed(record: LeaseRecord, seen: Observation, seen_at: datetime) -> Step:
    """The record after the engine showed ``seen``; ``seen_at`` was read from the clock before the engine was asked.

    The start is taken once; the end is settled once. Nothing changes after the end.
    """
    if record.stage is Stage.exited:
        return Step(record)
    changes: dict[str, object] = {
        "stage": Stage.started,
        "cpu_milliseconds": max(record.cpu_milliseconds, seen.cpu_seconds_milli),
        "memory_peak_bytes": max(record.memory_peak_bytes, seen.memory_peak_bytes),
    }
    started_at = record.started_at
    if started_at is None and seen.started_at is not None:
        started_at = whole_second(seen.started_at)
        changes |= {"started_at": started_at, "metered_until": started_at}
    known = record.model_copy(update=changes)
    if seen.phase is RunPhase.exited:
        reason, message = str(seen.reason or "exited"), seen.message
        if record.expired and seen.reason is ExitReason.cancelled:
            reason, message = ExitReason.orphaned.value, TERM_RAN_OUT
        elif record.idle and seen.reason is ExitReason.cancelled:
            reason, message = "idle", f"Nobody used it for {record.offer.idle_seconds} seconds."
        return _end(known, seen.ended_at or seen_at, exit_code=seen.exit_code, reason=reason, message=message)
    return _metered(known, over_until(seen_at))


def ended_without_run(record: LeaseRecord, at: datetime, reason: str, message: str) -> Step:
    """The end of a lease that the engine never ran: nothing is metered."""
    return _end(record, at, exit_code=None, reason=reason, message=message)


def lost(record: LeaseRecord, at: datetime) -> Step:
    """The end of a run that the engine no longer knows: no time is metered beyond what has been."""
    return _end(
        record,
        record.metered_until or at,
        exit_code=None,
        reason="lost",
        message="The engine no longer knows this run: its state was removed from the site.",
    )


def _end(record: LeaseRecord, at: datetime, *, exit_code: int | None, reason: str, message: str | None) -> Step:
    ended_at = whole_second(at)
    if record.started_at is not None:
        ended_at = settled_end(record.started_at, record.metered_until or record.started_at, ended_at)
    ended = record.model_copy(
        update={
            "stage": Stage.exited,
            "ended_at": ended_at,
            "exit_code": exit_code,
            "reason": reason,
            "message": message,
        }
    )
    return _metered(ended, ended_at)


def _metered(record: LeaseRecord, until: datetime) -> Step:
    if record.metered_until is None:
        return Step(record)
    windows = windows_due(record.offer, record.metered_until, until)
    if not windows:
        return Step(record)
    return Step(record.model_copy(update={"metered_until": windows[-1].end}), windows)


def report(
    record: LeaseRecord,
    *,
    progress: ProgressReport | None = None,
    ready: bool | None = None,
    activity: str | None = None,
    complete: bool = False,
) -> LeaseReport:
    """What the server is told. ``activity`` says what a lease that does not run yet is waiting for."""
    if record.stage is Stage.exited:
        phase = LeasePhase.exited
    elif record.started_at is not None:
        phase = LeasePhase.running
    else:
        phase = LeasePhase.accepted
    said = (record.message, *record.notes) if phase is LeasePhase.exited else (activity,)
    return LeaseReport(
        lease_id=record.offer.lease_id,
        generation=record.offer.generation,
        phase=phase,
        started_at=record.started_at,
        ended_at=record.ended_at,
        exit_code=record.exit_code,
        reason=record.reason,
        message=" ".join(part for part in said if part) or None,
        ready=ready,
        progress=progress,
        cpu_milliseconds=record.cpu_milliseconds,
        memory_peak_bytes=record.memory_peak_bytes,
        complete=complete,
    )
