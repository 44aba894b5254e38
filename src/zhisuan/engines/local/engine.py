"""The local engine: every method reads or writes the run's files, so any process on this root is as good as another."""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from zhisuan.base.clock import Clock
from zhisuan.engines import folders
from zhisuan.engines.contract import ClusterNode, EngineAccount, EngineReport, Observation, RunSpec
from zhisuan.engines.errors import (
    EngineError,
    IsolationUnavailable,
    RunStillActive,
    StaleGeneration,
    StartRefused,
    UnknownRun,
)
from zhisuan.engines.local import cgroup, records, runtime
from zhisuan.engines.local.config import LocalEngineConfig
from zhisuan.engines.local.folders import EngineFolders
from zhisuan.engines.local.host import Host, examine
from zhisuan.engines.local.locks import held_if_free, locked
from zhisuan.engines.local.paths import RunPaths
from zhisuan.engines.local.plan import Placement, PlanBuilder
from zhisuan.engines.local.run_state import exit_record, is_claimed, milliseconds, observe
from zhisuan.engines.local.seat import Seat
from zhisuan.engines.local.spec_check import check, check_key
from zhisuan.engines.local.uids import UidRegistry, UidsExhausted
from zhisuan.engines.own_account import accounts_of_records

_SPAWN_SECONDS = 60
_SUPERSEDE_SECONDS = 20.0
_TIDY_SECONDS = 10.0
_LOG_BYTES_AT_ONCE = 16 << 20
_SOURCE_ROOT = str(Path(__file__).parents[3])
_SHIM = f"import sys; sys.path.insert(0, {_SOURCE_ROOT!r}); from zhisuan.engines.local.shim.main import main; main(sys.argv[1])"


class LocalEngine:
    """Keeps the contract ``engines.contract.Engine`` on this host; all state lies under ``root``."""

    def __init__(self, root: Path, *, clock: Clock, config: LocalEngineConfig | None = None) -> None:
        self._clock = clock
        self._config = config or LocalEngineConfig()
        self._folders = EngineFolders(root, self._config.runtime_dir)
        self._uids = UidRegistry(self._folders.uids, self._config.uid_base, self._config.uid_count)
        self._host: Host | None = None
        self._host_lock = threading.Lock()

    # Looking at the host

    def preflight(self) -> EngineReport:
        with self._host_lock:
            self._host = examine(self._config, self._folders.engine_id)
            host = self._host
        self._sweep(host)
        limits = {name: host.cgroups.enforces(name) for name in ("memory", "cpu")}
        return EngineReport(
            engine="local",
            version=f"bubblewrap {host.bwrap_version}" if host.bwrap_version else "",
            isolation=host.isolation,
            limits={
                **limits,
                "pids": host.cgroups.enforces("pids") or host.isolated,
                "cgroup_version": host.cgroups.host.version if host.cgroups.host else None,
            },
            problems=host.problems,
            jupyterlab=runtime.finds("jupyter-lab", self._config.runtime_prefixes),
            shells=host.isolated,
        )

    def nodes(self) -> tuple[ClusterNode, ...]:
        return ()

    def _known_host(self) -> Host:
        with self._host_lock:
            if self._host is None:
                self._host = examine(self._config, self._folders.engine_id)
            return self._host

    def _sweep(self, host: Host) -> None:
        """Settle runs whose supervisor died; drop starts that never took effect and what has lost its run."""
        self._folders.empty_trash()
        for lease_id, generation in list(self._folders.all_runs()):
            paths = self._folders.run(lease_id, generation)
            if is_claimed(paths):
                exit_record(paths)
                continue
            with locked(self._folders.lease_lock(lease_id)), held_if_free(Path(paths.lock)) as free:
                if free and os.path.isdir(paths.folder) and not is_claimed(paths):
                    self._forget(lease_id, generation, paths)
        groups = host.cgroups.host
        if groups is not None:
            for name in groups.names():
                lease_id, _, number = name.partition(".")
                if number.isdigit() and not (self._folders.runs / lease_id / number).is_dir():
                    stray = groups.group(name)
                    stray.kill_all(_TIDY_SECONDS)
                    stray.remove()

    # Starting

    def start(self, spec: RunSpec, seat: Seat | None = None) -> None:
        """``seat``: this is a rank of a run of several hosts; ``spec`` names this host alone."""
        host = self._known_host()
        check(spec, runtime.runtime_folders(self._config.runtime_prefixes), isolated=host.isolated)
        if not host.isolated and not self._config.allow_unisolated:
            raise IsolationUnavailable(_why_not_isolated(host))
        with locked(self._folders.lease_lock(spec.lease_id)):
            held = self._folders.generations(spec.lease_id)
            if held and held[-1] > spec.generation:
                raise StaleGeneration(spec.lease_id, spec.generation, held[-1])
            paths = self._folders.run(spec.lease_id, spec.generation)
            if is_claimed(paths):
                return
            for lower in held:
                if lower < spec.generation:
                    self._supersede(spec.lease_id, lower, spec.generation)
            try:
                self._create(spec, host, seat)
            except (EngineError, OSError, UidsExhausted, subprocess.SubprocessError) as error:
                self._forget(spec.lease_id, spec.generation, paths)
                if isinstance(error, EngineError):
                    raise
                raise StartRefused(f"lease {spec.lease_id} could not be started on this host: {error}") from error

    def _create(self, spec: RunSpec, host: Host, seat: Seat | None) -> None:
        self._folders.prepare_runtime()
        paths = self._folders.make_run(spec.lease_id, spec.generation)
        if not os.path.exists(paths.plan):
            groups = host.cgroups.host
            placement = Placement(
                paths=paths,
                uid=self._uids.claim(Path(paths.folder)) if host.own_uid else None,
                stage=self._folders.stage,
                socket=self._folders.socket(spec.lease_id, spec.generation) if spec.service else None,
                shell=self._folders.shell_socket(spec.lease_id, spec.generation) if host.isolated else None,
                keepalive=self._folders.keepalive,
                cgroup=groups.group(f"{spec.lease_id}.{spec.generation}") if groups is not None else None,
            )
            plan = PlanBuilder(spec, self._config, host, placement, seat).build()
            records.write_atomic(paths.plan, plan, durable=False)
        result = subprocess.run(
            [runtime.interpreter(), "-I", "-S", "-c", _SHIM, paths.folder],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={},
            cwd="/",
            timeout=_SPAWN_SECONDS,
            check=False,
        )
        if result.returncode != 0 or not is_claimed(paths):
            said = result.stderr.decode("utf-8", "replace").strip()
            raise StartRefused(f"lease {spec.lease_id}: the supervisor did not start: {said or result.returncode}")

    def _supersede(self, lease_id: str, lower: int, generation: int) -> None:
        """End an older generation before a newer one begins: the two must never run side by side."""
        paths = self._folders.run(lease_id, lower)
        if not is_claimed(paths):
            self._forget(lease_id, lower, paths)
            return
        self._ask_to_stop(paths, 0, f"superseded by generation {generation}")
        deadline = time.monotonic() + _SUPERSEDE_SECONDS
        while exit_record(paths) is None:
            if time.monotonic() > deadline:
                raise StartRefused(
                    f"lease {lease_id}: generation {lower} does not end; its processes hang in the kernel"
                )
            time.sleep(0.005)

    # Looking at runs

    def list(self) -> list[tuple[str, int]]:
        return [key for key in self._folders.all_runs() if is_claimed(self._folders.run(*key))]

    def observe(self, lease_id: str, generation: int) -> Observation:
        return observe(lease_id, generation, self._claimed(lease_id, generation))

    def read_log(self, lease_id: str, generation: int, offset: int, limit: int) -> bytes:
        paths = self._claimed(lease_id, generation)
        try:
            fd = os.open(paths.log, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        try:
            return os.pread(fd, min(max(limit, 0), _LOG_BYTES_AT_ONCE), max(offset, 0))
        finally:
            os.close(fd)

    def artifacts_dir(self, lease_id: str, generation: int) -> Path:
        return Path(self._claimed(lease_id, generation).artifacts)

    def checkpoint_dir(self, lease_id: str, generation: int) -> Path:
        return Path(self._claimed(lease_id, generation).checkpoint)

    def folder_dir(self, lease_id: str, generation: int, target: str) -> Path:
        return folders.recall(Path(self._claimed(lease_id, generation).folder), lease_id, generation, target)

    def service_socket(self, lease_id: str, generation: int) -> Path | None:
        return self._planned(lease_id, generation, "socket")

    def shell_socket(self, lease_id: str, generation: int, rank: int) -> Path | None:
        found = self._planned(lease_id, generation, "shell")
        return found if rank == 0 else None

    def _planned(self, lease_id: str, generation: int, name: str) -> Path | None:
        plan = records.read(self._claimed(lease_id, generation).plan) or []
        return next((Path(value) for key, value in plan if key == name), None)

    def accounts(self, runs: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], EngineAccount]:
        """From the supervisor's record of the end: its clock, and the processor time of the control group."""
        return accounts_of_records(runs, self.observe, "supervisor")

    def _claimed(self, lease_id: str, generation: int) -> RunPaths:
        check_key(lease_id, generation)
        paths = self._folders.run(lease_id, generation)
        if not is_claimed(paths):
            raise UnknownRun(lease_id, generation)
        return paths

    # Ranks of runs of several hosts

    def is_ready(self, lease_id: str, generation: int) -> bool:
        """Whether a rank that waits has all it needs. Raises UnknownRun."""
        state = dict(records.read(self._claimed(lease_id, generation).state) or [])
        return "ready" in state

    def go(self, lease_id: str, generation: int) -> None:
        """Let a rank that waits begin, now or when it is ready. Raises UnknownRun."""
        paths = self._claimed(lease_id, generation)
        records.write_atomic(paths.go, [("go", "1")])
        self._poke(paths)

    # Ending

    def keepalive(self) -> None:
        self._folders.keepalive.touch(0o600)

    def stop(self, lease_id: str, generation: int, grace_seconds: int) -> None:
        check_key(lease_id, generation)
        with locked(self._folders.lease_lock(lease_id)):
            paths = self._folders.make_run(lease_id, generation)
            if os.path.exists(paths.exit):
                return
            self._ask_to_stop(paths, max(0, grace_seconds), "stopped on request")
            if not is_claimed(paths):
                now = str(milliseconds(self._clock.now()))
                never = [("reason", "cancelled"), ("message", "stopped before it was started"), ("ended_ms", now)]
                records.write_once(paths.exit, [*never, ("cpu_ms", "0"), ("memory_peak_bytes", "0")])

    def _ask_to_stop(self, paths: RunPaths, grace_seconds: int, message: str) -> None:
        """The file is the request and outlives everyone; the pipe only makes it seen at once."""
        records.write_atomic(paths.stop, [("grace_seconds", str(grace_seconds)), ("message", message)])
        self._poke(paths)

    def _poke(self, paths: RunPaths) -> None:
        try:
            fd = os.open(paths.poke, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return
        try:
            os.write(fd, b"!")
        except OSError:
            return
        finally:
            os.close(fd)

    def remove(self, lease_id: str, generation: int) -> None:
        check_key(lease_id, generation)
        with locked(self._folders.lease_lock(lease_id)):
            paths = self._folders.run(lease_id, generation)
            if not os.path.isdir(paths.folder):
                return
            if is_claimed(paths) and exit_record(paths) is None:
                raise RunStillActive(lease_id, generation)
            deadline = time.monotonic() + _TIDY_SECONDS
            while True:
                with held_if_free(Path(paths.lock)) as free:
                    if free:
                        self._forget(lease_id, generation, paths)
                        return
                if time.monotonic() > deadline:
                    raise RunStillActive(lease_id, generation)
                time.sleep(0.002)

    def _forget(self, lease_id: str, generation: int, paths: RunPaths) -> None:
        """Delete all that a run without a living supervisor has: folder, group, socket, user id."""
        if not os.path.isdir(paths.folder):
            return
        group = cgroup.from_pairs(records.read(paths.plan) or [])
        if group is not None:
            group.kill_all(_TIDY_SECONDS)
            group.remove()
        self._folders.socket(lease_id, generation).unlink(missing_ok=True)
        self._folders.shell_socket(lease_id, generation).unlink(missing_ok=True)
        self._folders.discard_run(lease_id, generation)
        if self._folders.uids.is_dir():
            self._uids.release(Path(paths.folder))


def _why_not_isolated(host: Host) -> str:
    needed = [problem for problem in host.problems if problem.code in _ISOLATION_PROBLEMS]
    causes = "; ".join(f"{problem.message_en} {problem.remedy_en}" for problem in needed)
    return (
        f"this host cannot isolate tenants' work: {causes} The operator may allow unisolated work of trusted tenants "
        "with allow_unisolated."
    )


_ISOLATION_PROBLEMS = ("bwrap_missing", "bwrap_too_old", "setpriv_missing", "sandbox_refused", "uid_range_unmapped")
