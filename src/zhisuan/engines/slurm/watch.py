"""Settles how a run stands: its own files first, then Slurm."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from zhisuan.base.clock import Clock
from zhisuan.engines.contract import ExitReason, Observation, RunPhase
from zhisuan.engines.errors import EngineUnavailable
from zhisuan.engines.local import records
from zhisuan.engines.local.progress import read_progress
from zhisuan.engines.slurm.commands import Refused, Slurm
from zhisuan.engines.slurm.config import SlurmEngineConfig
from zhisuan.engines.slurm.node_state import RunState, read_run
from zhisuan.engines.slurm.parse import QueuedJob
from zhisuan.engines.slurm.paths import RunPaths, read_small
from zhisuan.engines.slurm.queue import ENDED, Queue
from zhisuan.engines.slurm.submit import Submitted, submission
from zhisuan.engines.slurm.verdict import Verdict, decide, depends_on_slurm, from_slurm

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STOP_OVERDUE_SECONDS = 30
_SIGN_SECONDS = 15
"""Nodes write what the work uses every five seconds."""
_ORDERS_MAX = 3
"""A Slurm that forgets an order so often is not asked again."""
_NOT_OF_THE_NODE = ("NODE_FAIL", "COMPLETED", "")
"""What the controller says of itself when it has lost sight of a node, of a job that it had forgotten and began anew, or of a
job that it does not know: the work may live all the same."""
_WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "SPECIAL_EXIT", "RESV_DEL_HOLD", "REQUEUE_HOLD", "REQUEUE_FED")


def milliseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)


def _instant(ms: int | str | None) -> datetime | None:
    return None if ms is None else _EPOCH + timedelta(milliseconds=int(ms))


def exit_of(paths: RunPaths) -> records.Pairs | None:
    """How the run ended. A record that a host took down with it half written is none: the end is found out again."""
    found = records.read(paths.exit)
    return found if found is not None and "reason" in dict(found) else None


def stop_request(paths: RunPaths) -> tuple[int, str] | None:
    """(grace in seconds, message) of the request to end that is there."""
    word, _, rest = read_small(paths.stop).partition(" ")
    grace, _, message = rest.strip().partition(" ")
    return (int(grace), message) if word == "stop" and grace.isdigit() else None


def ask_to_stop(paths: RunPaths, grace_seconds: int, message: str) -> None:
    """The file is the request and outlives everyone. In place, since the nodes' view of a shared folder may be older than
    that of a file in it."""
    with open(paths.stop, "w", encoding="utf-8") as file:
        file.write(f"stop {grace_seconds} {message}\n")
    paths.stop.chmod(0o644)


class Watch:
    """``again`` orders the job of a run once more that Slurm has forgotten before it began. ``steady`` is a clock that nobody
    sets, in seconds."""

    def __init__(
        self,
        slurm: Slurm,
        queue: Queue,
        config: SlurmEngineConfig,
        clock: Clock,
        again: Callable[[RunPaths], None],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slurm = slurm
        self._queue = queue
        self._config = config
        self._clock = clock
        self._again = again
        self._steady = steady
        self._doubts: dict[str, float] = {}
        self._signs: dict[str, tuple[int | None, float]] = {}
        self._cut_short: set[str] = set()

    # What is known

    def observe(self, lease_id: str, generation: int, paths: RunPaths) -> Observation:
        """Of a run that is here. Writes its end when it has one. Raises EngineUnavailable, but not for work that shows signs
        of life itself: a controller that is away hides nothing of it."""
        ended = exit_of(paths)
        if ended is None:
            run = read_run(paths, node_count(paths))
            shows_life = self._shows_life(paths, run)
            try:
                waits_for = self._settle(paths, run)
            except EngineUnavailable:
                if not shows_life:
                    raise
                waits_for = None
            ended = exit_of(paths)
            if ended is None:
                return self._alive(lease_id, generation, paths, run, waits_for)
        known = dict(ended)
        code = known.get("exit_code")
        return Observation(
            lease_id=lease_id,
            generation=generation,
            phase=RunPhase.exited,
            started_at=_instant(known.get("started_ms")),
            ended_at=_instant(known["ended_ms"]),
            exit_code=int(code) if code is not None else None,
            signal=None,
            reason=ExitReason(known["reason"]),
            message=known.get("message"),
            cpu_seconds_milli=int(known["cpu_ms"]),
            memory_peak_bytes=int(known["memory_peak_bytes"]),
            progress=read_progress(str(paths.node(0) / "progress")),
        )

    def _alive(
        self, lease_id: str, generation: int, paths: RunPaths, run: RunState, waits_for: str | None
    ) -> Observation:
        return Observation(
            lease_id=lease_id,
            generation=generation,
            phase=RunPhase(run.phase),
            started_at=_instant(run.started_ms),
            ended_at=None,
            exit_code=None,
            signal=None,
            reason=None,
            message=waits_for,
            cpu_seconds_milli=run.cpu_ms,
            memory_peak_bytes=run.memory_peak_bytes,
            progress=read_progress(str(paths.node(0) / "progress")),
        )

    def job_of(self, paths: RunPaths, run: RunState | None = None) -> tuple[Submitted | None, QueuedJob | None]:
        """How the run was submitted, and its job as squeue shows it: that which took it on, else the last that was ordered."""
        sent = submission(paths.job) or submission(paths.submit)
        ordered = submission(paths.submit) or sent
        view = self._queue.view()
        claimed_by = (run or read_run(paths, 0)).claimed_by
        if claimed_by is None:
            return sent, view.by_token.get((ordered.token, ordered.task)) if ordered is not None else None
        return sent, view.job(claimed_by, sent.token if sent is not None else None)

    # What follows from it

    def _settle(self, paths: RunPaths, run: RunState) -> str | None:
        """Write the end if there is one; else what the run waits for, in words."""
        if run.done_ms is not None and not depends_on_slurm(run):
            self._write(paths, run, _verdict_of(paths, run, None), run.done_ms, durable=False)
            return None
        sent, job = self.job_of(paths, run)
        if job is not None and job.state not in ENDED:
            self._doubts.pop(str(paths.folder), None)
            self._press(paths, run, sent, job)
            if run.done_ms is not None or run.claimed_by is not None or job.state not in _WAITING:
                return None
            return f"waiting in Slurm's queue as job {sent.name if sent else job.job_id}: {job.reason or job.state}"
        if not self._is_sure(paths, run, sent, job):
            return None
        run = read_run(paths, node_count(paths))
        state = job.state if job is not None else None
        if run.done_ms is not None:
            self._write(paths, run, _verdict_of(paths, run, state), run.done_ms)
            return None
        asked = stop_request(paths)
        ordered = submission(paths.submit)
        if asked is None and job is None and run.claimed_by is None and ordered is not None and ordered.times < _ORDERS_MAX:
            self._doubts.pop(str(paths.folder), None)
            self._again(paths)
            return None
        if (state or "") in _NOT_OF_THE_NODE and self._shows_life(paths, run):
            self._give_up(paths, state or "")
            return None
        verdict = from_slurm(state or "")
        if asked is not None and not os.path.exists(paths.given_up):
            verdict = Verdict(ExitReason.cancelled, asked[1])
        self._write(paths, run, verdict, run.last_sign_ms or milliseconds(self._clock.now()))
        return None

    def _is_sure(self, paths: RunPaths, run: RunState, sent: Submitted | None, job: QueuedJob | None) -> bool:
        """Whether a job that Slurm shows as ended, or not at all, is over for certain. What its nodes wrote may take a
        while to show on the shared file system, and a job just submitted a while to show in squeue."""
        key = str(paths.folder)
        now = self._steady()
        since = self._doubts.setdefault(key, now)
        never_began = run.claimed_by is None and job is not None and job.state == "CANCELLED"
        if never_began and stop_request(paths) is not None:
            return True
        if run.done_ms is not None and job is not None:
            return True
        if now - since < self._config.settle_seconds:
            return False
        self._queue.view(not_before=since)
        job_id = run.claimed_by or (sent.job_id if sent is not None else 0)
        if job is None and job_id and not self._queue.is_forgotten(job_id, sent.token if sent is not None else None):
            self._doubts.pop(key, None)
            return False
        return True

    def _shows_life(self, paths: RunPaths, run: RunState) -> bool:
        """Whether the work itself has written something lately; by our own clock, since a node's may be another."""
        if not run.lives:
            return False
        key, now = str(paths.folder), self._steady()
        sign, since = self._signs.get(key, (None, now))
        if sign != run.last_sign_ms:
            since = now
        self._signs[key] = (run.last_sign_ms, since)
        return now - since <= _SIGN_SECONDS + self._config.settle_seconds

    def _give_up(self, paths: RunPaths, state: str) -> None:
        """Slurm has given up work that still lives. It may soon give the node to others, and the work is started elsewhere:
        so it is ended here first."""
        if stop_request(paths) is None:
            records.write_once(paths.given_up, [("state", state)])
            ask_to_stop(paths, 0, "Slurm has given up the job")

    def _press(self, paths: RunPaths, run: RunState, sent: Submitted | None, job: QueuedJob) -> None:
        """A request to end that has not had its effect: a job that still waits is taken out of the queue, one whose
        grace is long over is ended by Slurm."""
        asked = stop_request(paths)
        if asked is None:
            return
        name = sent.name if sent is not None and sent.job_id else str(job.job_id)
        if run.claimed_by is None and job.state in _WAITING:
            self.cancel_waiting(name)
            return
        age = self._clock.now().timestamp() - paths.stop.stat().st_mtime
        if age > asked[0] + _STOP_OVERDUE_SECONDS and name not in self._cut_short:
            self._cut_short.add(name)
            self.cancel(name)

    def cancel_waiting(self, name: str) -> None:
        self._call("scancel", "--state=PENDING", name)

    def cancel(self, name: str) -> None:
        self._call("scancel", name)

    def poke(self, name: str) -> None:
        """Make a running job's script look for the request to end now; it would look within a second anyway."""
        self._call("scancel", "--batch", "--signal=USR1", name)

    def _call(self, *words: str) -> None:
        """A job that has ended meanwhile is no failure."""
        try:
            self._slurm.call(*words)
        except Refused:
            return

    def _write(
        self, paths: RunPaths, run: RunState, verdict: Verdict, ended_ms: int, *, durable: bool = True
    ) -> None:
        """Not ``durable`` where the nodes' own files say it all and always will: the many ends of short work need not wait
        for the disk one after the other."""
        began = verdict.reason is not ExitReason.start_failed
        pairs = [
            ("reason", verdict.reason.value),
            ("ended_ms", str(max(ended_ms, run.started_ms or 0))),
            ("cpu_ms", str(run.cpu_ms)),
            ("memory_peak_bytes", str(run.memory_peak_bytes)),
        ]
        optional = {
            "started_ms": run.started_ms if began else None,
            "exit_code": verdict.exit_code,
            "message": verdict.message,
            "job_id": run.claimed_by,
        }
        pairs += [(name, str(value)) for name, value in optional.items() if value is not None]
        if exit_of(paths) is None:
            Path(paths.exit).unlink(missing_ok=True)
        records.write_once(paths.exit, pairs, durable=durable)
        self._doubts.pop(str(paths.folder), None)
        self._signs.pop(str(paths.folder), None)


def _verdict_of(paths: RunPaths, run: RunState, state: str | None) -> Verdict:
    given_up = dict(records.read(paths.given_up) or []).get("state")
    return decide(run, state, memory_mib(paths), given_up)


def write_never_began(paths: RunPaths, reason: ExitReason, message: str, now: datetime) -> None:
    """The end of a run of which nothing was submitted."""
    records.write_once(
        paths.exit,
        [
            ("reason", reason.value),
            ("message", message),
            ("ended_ms", str(milliseconds(now))),
            ("cpu_ms", "0"),
            ("memory_peak_bytes", "0"),
        ],
    )


def node_count(paths: RunPaths) -> int:
    return int(dict(records.read(paths.shape) or []).get("nodes", "1"))


def memory_mib(paths: RunPaths) -> int:
    return int(dict(records.read(paths.shape) or []).get("memory_mib", "0"))
