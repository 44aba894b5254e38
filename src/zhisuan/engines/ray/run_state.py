"""What the files of a run and Ray together say about it.

The files come first: they are the word of the run's own supervisor. Ray is asked only where they are silent: a run
that has not begun, or whose supervisor has stopped giving signs of life. So a dashboard that is down hides nothing of
the work that goes on, and its silence never makes a run lost.
"""

import os
import threading
import time
from collections.abc import Callable
from datetime import datetime

from zhisuan.engines.contract import ExitReason, Observation, RunPhase
from zhisuan.engines.local import records
from zhisuan.engines.local.paths import RunPaths
from zhisuan.engines.local.progress import read_progress
from zhisuan.engines.local.run_state import instant, milliseconds
from zhisuan.engines.ray.client import RayJob
from zhisuan.engines.ray.jobs import JobTable
from zhisuan.engines.ray.node.claim import claim_for_agent, claim_path, claimed_by_agent, ticket
from zhisuan.engines.ray.node.gang_parts import part_paths

Key = tuple[str, int]

_SITE_LOST_IT = ("JOB_SUPERVISOR_ACTOR_DIED", "JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE")
_QUEUED = "queued in Ray: what the lease granted is taken there by others, or Ray is preparing its process"
_STARTING = "Ray is starting the run"


def order_path(paths: RunPaths) -> str:
    """There once Ray has taken the run's job."""
    return f"{paths.folder}/order"


def is_held(paths: RunPaths) -> bool:
    """Whether the run exists: Ray took it, or it was claimed, by the node or by a cancellation."""
    return os.path.exists(order_path(paths)) or os.path.exists(claim_path(paths))


def front(paths: RunPaths) -> RunPaths:
    """The folder of rank 0, whose artefacts, progress and service are the run's."""
    first = part_paths(paths, 0)
    return first if os.path.isdir(first.folder) else paths


def never_began(reason: ExitReason, message: str, at: datetime) -> records.Pairs:
    pairs = [("reason", reason.value), ("message", message), ("ended_ms", str(milliseconds(at)))]
    return [*pairs, ("cpu_ms", "0"), ("memory_peak_bytes", "0")]


def exit_record(paths: RunPaths) -> dict[str, str] | None:
    """How the run ended, or None; asks nobody and decides nothing."""
    ended = records.read(paths.exit)
    if ended is not None:
        return dict(ended)
    claim = dict(records.read(claim_path(paths)) or [])
    return claim if claimed_by_agent(claim) else None


class RunWatch:
    """Remembers when a run last gave a sign of life, by this process's own steady clock."""

    def __init__(
        self,
        jobs: JobTable,
        lost_after_seconds: float,
        now: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._jobs = jobs
        self._lost_after_seconds = lost_after_seconds
        self._now = now
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._signs: dict[Key, tuple[object, float]] = {}

    def observe(self, key: Key, paths: RunPaths) -> Observation:
        """Of a held run. Raises EngineUnavailable where only Ray knows and does not say."""
        ended = exit_record(paths)
        waiting = None
        if ended is None and not os.path.exists(claim_path(paths)):
            waiting = self._look_at_queue(paths)
            ended = exit_record(paths)
        elif ended is None and self._silent(key, paths):
            self._look_for_loss(paths)
            ended = exit_record(paths)
        if ended is not None:
            self.forget(key)
            return _ended(key, front(paths), ended)
        return _living(key, paths, waiting)

    def forget(self, key: Key) -> None:
        with self._lock:
            self._signs.pop(key, None)

    def _look_at_queue(self, paths: RunPaths) -> str:
        """Why it has not begun; settles the run when Ray has given it up."""
        job = self._jobs.get(ticket(paths) or "")
        if job is None:
            message = "Ray no longer knows the job; it was started anew before the run began"
            claim_for_agent(paths, never_began(ExitReason.lost, message, self._now()))
        elif job.ended:
            lost = job.error_type in _SITE_LOST_IT
            reason = ExitReason.lost if lost else ExitReason.start_failed
            claim_for_agent(paths, never_began(reason, _given_up(job), self._now()))
        return _QUEUED if job is not None and job.status == "PENDING" else _STARTING

    def _silent(self, key: Key, paths: RunPaths) -> bool:
        sign = (records.read(paths.heartbeat), records.read(paths.state))
        clock = self._monotonic()
        with self._lock:
            known = self._signs.get(key)
            if known is None or known[0] != sign:
                self._signs[key] = (sign, clock)
                return False
            return clock - known[1] >= self._lost_after_seconds

    def _look_for_loss(self, paths: RunPaths) -> None:
        """The supervisor is silent: when Ray has ended the job too, nothing of it is left."""
        job = self._jobs.get(ticket(paths) or "")
        if job is not None and not job.ended:
            return
        state = dict(records.read(paths.state) or [])
        beat = dict(records.read(paths.heartbeat) or [])
        times = [int(value) for value in (state.get("claimed_ms"), state.get("started_ms"), beat.get("at_ms")) if value]
        why = "Ray no longer knows its job" if job is None else f"Ray says of its job: {_said(job)}"
        pairs = [
            ("reason", ExitReason.lost.value),
            ("message", f"the node's process died; the end is its last sign of life. {why}"),
            ("ended_ms", str(max(times, default=milliseconds(self._now())))),
            ("cpu_ms", beat.get("cpu_ms", "0")),
            ("memory_peak_bytes", beat.get("memory_peak_bytes", "0")),
        ]
        if "started_ms" in state:
            pairs.append(("started_ms", state["started_ms"]))
        records.write_once(paths.exit, pairs)


def _said(job: RayJob) -> str:
    return " ".join((job.message or job.status).split())[:500]


def _given_up(job: RayJob) -> str:
    text = f"Ray ended the job before the run began ({job.status}): {_said(job)}"
    if job.driver_exit_code:
        text += (
            "; see that the engine's folder is shared by all nodes under the same path and that its user may write it"
        )
    return text


def _ended(key: Key, paths: RunPaths, ended: dict[str, str]) -> Observation:
    code, number = ended.get("exit_code"), ended.get("signal")
    return Observation(
        lease_id=key[0],
        generation=key[1],
        phase=RunPhase.exited,
        started_at=instant(ended.get("started_ms")),
        ended_at=instant(ended["ended_ms"]),
        exit_code=int(code) if code is not None else None,
        signal=int(number) if number is not None else None,
        reason=ExitReason(ended["reason"]),
        message=ended.get("message"),
        cpu_seconds_milli=int(ended["cpu_ms"]),
        memory_peak_bytes=int(ended["memory_peak_bytes"]),
        progress=read_progress(paths.progress),
    )


def _living(key: Key, paths: RunPaths, message: str | None) -> Observation:
    state = dict(records.read(paths.state) or [])
    beat = dict(records.read(paths.heartbeat) or [])
    return Observation(
        lease_id=key[0],
        generation=key[1],
        phase=RunPhase(state.get("phase", "preparing")),
        started_at=instant(state.get("started_ms")),
        ended_at=None,
        exit_code=None,
        signal=None,
        reason=None,
        message=message,
        cpu_seconds_milli=int(beat.get("cpu_ms", "0")),
        memory_peak_bytes=int(beat.get("memory_peak_bytes", "0")),
        progress=read_progress(front(paths).progress),
    )
