"""What the files of a run say about it, and the last word on a run whose supervisor died."""

import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

from zhisuan.engines.contract import ExitReason, Observation, RunPhase
from zhisuan.engines.local import cgroup, procusage, records
from zhisuan.engines.local.locks import held_if_free
from zhisuan.engines.local.paths import RunPaths
from zhisuan.engines.local.progress import read_progress
from zhisuan.engines.local.shim.main import boot_id

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KILL_SECONDS = 10.0
_LOST = "the run's supervisor died (killed, or the host went down); the end is the last sign of life"


def instant(milliseconds: str | None) -> datetime | None:
    return _EPOCH + timedelta(milliseconds=int(milliseconds)) if milliseconds is not None else None


def milliseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)


def is_claimed(paths: RunPaths) -> bool:
    """Whether the run has begun to exist: a supervisor took it on, or it was cancelled before one did."""
    return os.path.exists(paths.state) or os.path.exists(paths.exit)


def exit_record(paths: RunPaths) -> dict[str, str] | None:
    """How a claimed run ended, or None while it lives. When its supervisor is dead this settles the end, once.

    The lock is tried only after ``state`` is there: from then on nobody but the supervisor ever needs it.
    """
    ended = records.read(paths.exit)
    if ended is None and os.path.exists(paths.state):
        with held_if_free(Path(paths.lock)) as dead:
            ended = records.read(paths.exit)
            if dead and ended is None:
                ended = _settle(paths)
    return dict(ended) if ended is not None else None


def _settle(paths: RunPaths) -> records.Pairs | None:
    """Make sure that nothing of the run is left and write that it was lost."""
    state_pairs = records.read(paths.state) or []
    state = dict(state_pairs)
    beat = dict(records.read(paths.heartbeat) or [])
    group = cgroup.from_pairs(state_pairs)
    same_boot = state.get("boot_id") == boot_id()
    if same_boot:
        _kill_leftovers(state, group)
    times = [int(value) for value in (state.get("claimed_ms"), state.get("started_ms"), beat.get("at_ms")) if value]
    live_cpu, live_memory = (group.cpu_milliseconds(), group.memory_peak_bytes()) if group and same_boot else (0, 0)
    pairs = [
        ("reason", ExitReason.lost.value),
        ("message", _LOST),
        ("ended_ms", str(max(times, default=0))),
        ("cpu_ms", str(max(live_cpu, int(beat.get("cpu_ms", "0"))))),
        ("memory_peak_bytes", str(max(live_memory, int(beat.get("memory_peak_bytes", "0"))))),
    ]
    if "started_ms" in state:
        pairs.append(("started_ms", state["started_ms"]))
    records.write_once(paths.exit, pairs)
    if group is not None:
        group.remove()
    return records.read(paths.exit)


def _kill_leftovers(state: dict[str, str], group: cgroup.Cgroup | None) -> None:
    """The kernel has killed the sandbox with its supervisor; this is for what it may still be busy with."""
    if group is not None:
        group.kill_all(_KILL_SECONDS)
    pid, ticks = int(state.get("sandbox_pid", "0")), int(state.get("sandbox_ticks", "0"))
    if not pid:
        return
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if procusage.start_ticks(pid) == ticks:
            procusage.kill_tree(pid)
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)


def observe(lease_id: str, generation: int, paths: RunPaths) -> Observation:
    """The observation of a claimed run."""
    ended = exit_record(paths)
    progress = read_progress(paths.progress)
    if ended is not None:
        code, number = ended.get("exit_code"), ended.get("signal")
        return Observation(
            lease_id=lease_id,
            generation=generation,
            phase=RunPhase.exited,
            started_at=instant(ended.get("started_ms")),
            ended_at=instant(ended["ended_ms"]),
            exit_code=int(code) if code is not None else None,
            signal=int(number) if number is not None else None,
            reason=ExitReason(ended["reason"]),
            message=ended.get("message"),
            cpu_seconds_milli=int(ended["cpu_ms"]),
            memory_peak_bytes=int(ended["memory_peak_bytes"]),
            progress=progress,
        )
    state = dict(records.read(paths.state) or [])
    beat = dict(records.read(paths.heartbeat) or [])
    return Observation(
        lease_id=lease_id,
        generation=generation,
        phase=RunPhase(state.get("phase", "preparing")),
        started_at=instant(state.get("started_ms")),
        ended_at=None,
        exit_code=None,
        signal=None,
        reason=None,
        message=None,
        cpu_seconds_milli=int(beat.get("cpu_ms", "0")),
        memory_peak_bytes=int(beat.get("memory_peak_bytes", "0")),
        progress=progress,
    )
