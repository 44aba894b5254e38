"""The Ray engine: a run is a Ray job whose entrypoint supervises it on the node; its state is files on a shared folder."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from zhisuan.base.clock import Clock
from zhisuan.engines import folders
from zhisuan.engines.contract import (
    ClusterNode,
    EngineAccount,
    EngineReport,
    ExitReason,
    IsolationLevel,
    Observation,
    RunSpec,
)
from zhisuan.engines.errors import (
    EngineError,
    EngineUnavailable,
    IsolationUnavailable,
    RunStillActive,
    StaleGeneration,
    StartRefused,
    UnknownRun,
)
from zhisuan.engines.local import records
from zhisuan.engines.local.folders import EngineFolders
from zhisuan.engines.local.locks import locked
from zhisuan.engines.local.paths import RunPaths
from zhisuan.engines.local.spec_check import check, check_key
from zhisuan.engines.ray import problems
from zhisuan.engines.ray.client import RayClient
from zhisuan.engines.ray.cluster import Member, members, shares
from zhisuan.engines.ray.config import RayEngineConfig
from zhisuan.engines.ray.graves import Graves
from zhisuan.engines.ray.jobs import JobTable
from zhisuan.engines.ray.library import Library
from zhisuan.engines.ray.node.claim import claim_for_agent, claim_path, ticket, ticket_path
from zhisuan.engines.ray.node.gang_parts import ask_to_stop, parts
from zhisuan.engines.ray.plan import RunLayout
from zhisuan.engines.ray.run_state import RunWatch, exit_record, front, is_held, never_began, order_path
from zhisuan.engines.ray.service import ServiceDoors

_SUPERSEDE_SECONDS = 30.0
_LOG_BYTES_AT_ONCE = 16 << 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RayEngine:
    """Keeps the contract ``engines.contract.Engine`` on a Ray cluster; ``root`` is a folder that all nodes share."""

    def __init__(self, root: Path, *, clock: Clock, config: RayEngineConfig | None = None) -> None:
        self._clock = clock
        self._config = config or RayEngineConfig()
        self._folders = EngineFolders(root, self._config.runtime_dir)
        self._client = RayClient(self._config)
        self._jobs = JobTable(self._client, self._config.jobs_seconds)
        self._watch = RunWatch(self._jobs, self._config.lost_after_seconds, clock.now)
        self._graves = Graves(self._folders.root / "graves", self._client)
        self._library = Library(self._folders.root)
        self._doors = ServiceDoors()

    # Looking at the cluster

    def preflight(self) -> EngineReport:
        version = self._client.version()
        cluster = self._members()
        self._folders.empty_trash()
        self._graves.tidy()
        usable = [member.node.hostname for member in cluster if member.node.usable]
        dead = [member.node.hostname for member in cluster if not member.node.usable]
        found = [problems.not_isolated(), problems.memory_watched()]
        if not usable:
            found.append(problems.no_usable_node())
        if dead:
            found.append(problems.nodes_dead(", ".join(dead)))
        return EngineReport(
            engine="ray",
            version=f"Ray {version}",
            isolation=IsolationLevel.none,
            limits={"memory": False, "cpu": False, "pids": False, "cgroup_version": None},
            problems=tuple(found),
            nodes_max=max(1, len(usable)),
            jupyterlab=self._config.jupyterlab,
        )

    def nodes(self) -> tuple[ClusterNode, ...]:
        """Called every few seconds while an agent is there: the time to look at jobs that Ray is to forget."""
        found = tuple(member.node for member in self._members())
        self._graves.tidy()
        return found

    def _members(self) -> tuple[Member, ...]:
        return members(self._client.nodes(), self._config.accelerator_resources)

    # Starting

    def start(self, spec: RunSpec) -> None:
        check(replace(spec, nodes=spec.nodes[:1]), (), isolated=False)
        if not self._config.allow_unisolated:
            problem = problems.not_isolated()
            raise IsolationUnavailable(f"{problem.message_en} {problem.remedy_en}")
        with locked(self._folders.lease_lock(spec.lease_id)):
            held = self._folders.generations(spec.lease_id)
            if held and held[-1] > spec.generation:
                raise StaleGeneration(spec.lease_id, spec.generation, held[-1])
            paths = self._folders.run(spec.lease_id, spec.generation)
            if is_held(paths):
                return
            known = os.path.isdir(paths.folder)
            wanted = shares(spec, self._members(), self._config.accelerator_resources)
            for lower in held:
                if lower < spec.generation:
                    self._supersede(spec.lease_id, lower, spec.generation)
            try:
                self._library.provide()
                paths = self._folders.make_run(spec.lease_id, spec.generation)
                self._submit(RunLayout(spec, wanted, paths, self._folders.keepalive, self._config, self._library))
            except EngineUnavailable:
                # Ray may have taken the order: the folder stays, and the next start finds out.
                raise
            except (EngineError, OSError) as error:
                if not known:
                    self._folders.discard_run(spec.lease_id, spec.generation)
                if isinstance(error, EngineError):
                    raise
                raise StartRefused(f"lease {spec.lease_id}: the run's folder could not be made: {error}") from error

    def _submit(self, layout: RunLayout) -> None:
        """The ticket comes first: whoever repeats the start after a crash orders the same job, which Ray takes once."""
        spec, paths = layout.spec, layout.paths
        name = f"zhisuan-{self._folders.engine_id}-{spec.lease_id}-{spec.generation}-{os.urandom(4).hex()}"
        records.write_once(ticket_path(paths), [("submission_id", name)])
        submission_id = ticket(paths) or name
        if not os.path.exists(paths.plan):
            layout.build()
        self._client.submit(layout.order(submission_id))
        self._jobs.forget()
        records.write_atomic(order_path(paths), [("submission_id", submission_id)])

    def _supersede(self, lease_id: str, lower: int, generation: int) -> None:
        """End an older generation before a newer one begins: the two must never run side by side."""
        paths = self._folders.run(lease_id, lower)
        self._end(paths, 0, f"superseded by generation {generation}")
        deadline = time.monotonic() + _SUPERSEDE_SECONDS
        while exit_record(paths) is None and self._observe(lease_id, lower, paths).reason is None:
            if time.monotonic() > deadline:
                raise StartRefused(
                    f"lease {lease_id}: generation {lower} does not end; look at its job in Ray and at its node"
                )
            time.sleep(0.02)

    # Looking at runs

    def list(self) -> list[tuple[str, int]]:
        return [key for key in self._folders.all_runs() if is_held(self._folders.run(*key))]

    def observe(self, lease_id: str, generation: int) -> Observation:
        return self._observe(lease_id, generation, self._held(lease_id, generation))

    def _observe(self, lease_id: str, generation: int, paths: RunPaths) -> Observation:
        return self._watch.observe((lease_id, generation), paths)

    def read_log(self, lease_id: str, generation: int, offset: int, limit: int) -> bytes:
        paths = self._held(lease_id, generation)
        try:
            fd = os.open(paths.log, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        try:
            return os.pread(fd, min(max(limit, 0), _LOG_BYTES_AT_ONCE), max(offset, 0))
        finally:
            os.close(fd)

    def artifacts_dir(self, lease_id: str, generation: int) -> Path:
        return Path(front(self._held(lease_id, generation)).artifacts)

    def checkpoint_dir(self, lease_id: str, generation: int) -> Path:
        return Path(front(self._held(lease_id, generation)).checkpoint)

    def folder_dir(self, lease_id: str, generation: int, target: str) -> Path:
        return folders.recall(Path(self._held(lease_id, generation).folder), lease_id, generation, target)

    def shell_socket(self, lease_id: str, generation: int, rank: int) -> Path | None:
        return None

    def service_socket(self, lease_id: str, generation: int) -> Path | None:
        paths = self._held(lease_id, generation)
        plan = dict(records.read(front(paths).plan) or [])
        if "token" not in plan:
            return None
        path = self._folders.socket(lease_id, generation)
        if exit_record(paths) is None:
            self._folders.prepare_runtime()
            self._doors.open(path, front(paths))
        else:
            self._doors.close(path)
        return path

    def accounts(self, runs: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], EngineAccount]:
        """Ray counts from the order, so what a run waited for is in it; it keeps no processor time."""
        names = {key: name for key in runs if (name := ticket(self._folders.run(*key))) is not None}
        known = self._client.jobs() if names else {}
        found = {}
        for key, name in names.items():
            job = known.get(name)
            if job is not None and job.ended and job.start_time and job.end_time:
                found[key] = EngineAccount(
                    source="ray",
                    reference=name,
                    state=job.status,
                    started_at=_instant(job.start_time),
                    ended_at=_instant(job.end_time),
                    elapsed_milliseconds=max(0, job.end_time - job.start_time),
                )
        return found

    def _held(self, lease_id: str, generation: int) -> RunPaths:
        check_key(lease_id, generation)
        paths = self._folders.run(lease_id, generation)
        if not is_held(paths):
            raise UnknownRun(lease_id, generation)
        return paths

    # Ending

    def keepalive(self) -> None:
        self._folders.keepalive.touch(0o600)

    def stop(self, lease_id: str, generation: int, grace_seconds: int) -> None:
        check_key(lease_id, generation)
        with locked(self._folders.lease_lock(lease_id)):
            paths = self._folders.make_run(lease_id, generation)
            held = is_held(paths)
            message = "stopped on request" if held else "stopped before it was started"
            self._end(paths, max(0, grace_seconds), message)

    def _end(self, paths: RunPaths, grace_seconds: int, message: str) -> None:
        """A run that no node has claimed ends here and now; else its supervisors are asked."""
        if exit_record(paths) is not None:
            return
        never = never_began(ExitReason.cancelled, message, self._clock.now())
        if not os.path.exists(claim_path(paths)) and claim_for_agent(paths, never):
            self._bury(paths)
            return
        for place in (paths, *parts(paths)):
            ask_to_stop(place, message, grace_seconds)

    def _bury(self, paths: RunPaths) -> None:
        submission_id = ticket(paths)
        if submission_id is not None:
            self._graves.dig(submission_id)

    def remove(self, lease_id: str, generation: int) -> None:
        check_key(lease_id, generation)
        with locked(self._folders.lease_lock(lease_id)):
            paths = self._folders.run(lease_id, generation)
            if not os.path.isdir(paths.folder):
                return
            if is_held(paths) and exit_record(paths) is None:
                raise RunStillActive(lease_id, generation)
            self._doors.close(self._folders.socket(lease_id, generation))
            self._bury(paths)
            self._watch.forget((lease_id, generation))
            self._folders.discard_run(lease_id, generation)
        self._graves.tidy()


def _instant(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)
