"""The Slurm engine: runs as jobs of a cluster, all that must last in one folder that agent and nodes share."""

import dataclasses
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from zhisuan.base.clock import Clock
from zhisuan.engines import folders
from zhisuan.engines.contract import (
    ClusterNode,
    EngineAccount,
    EngineReport,
    ExitReason,
    Observation,
    RunSpec,
)
from zhisuan.engines.errors import (
    EngineError,
    EngineUnavailable,
    InvalidSpec,
    IsolationUnavailable,
    RunStillActive,
    StaleGeneration,
    StartRefused,
    UnknownRun,
)
from zhisuan.engines.local import records
from zhisuan.engines.local.locks import locked
from zhisuan.engines.local.sandbox.unpack import ArchiveRefused
from zhisuan.engines.local.spec_check import check, check_key
from zhisuan.engines.slurm import accounting, parse, problems, scripts
from zhisuan.engines.slurm.cluster import Cluster
from zhisuan.engines.slurm.commands import Slurm
from zhisuan.engines.slurm.config import SlurmEngineConfig
from zhisuan.engines.slurm.logs import MergedLog, read_at
from zhisuan.engines.slurm.node_state import read_run
from zhisuan.engines.slurm.owner import Owner, find_owner
from zhisuan.engines.slurm.paths import EngineFolders, RunPaths
from zhisuan.engines.slurm.plan import Layout, Surroundings, search_path
from zhisuan.engines.slurm.queue import Queue
from zhisuan.engines.slurm.report import make_report
from zhisuan.engines.slurm.services import Services
from zhisuan.engines.slurm.submit import Submitted, Submitter, shape, submission, write_quickly
from zhisuan.engines.slurm.watch import Watch, ask_to_stop, node_count, stop_request, write_never_began

_SUPERSEDE_SECONDS = 60.0
_SUPERSEDE_HARD_SECONDS = 15.0
_LOG_BYTES_AT_ONCE = 16 << 20
_ABANDONED_SECONDS = 600


class SlurmEngine:
    """Keeps the contract ``engines.contract.Engine`` on a Slurm cluster. ``root`` is where the state lies when the
    configuration names no folder of its own; nodes must see it under the same path."""

    def __init__(self, root: Path, *, clock: Clock, config: SlurmEngineConfig | None = None) -> None:
        self._clock = clock
        self._config = config or SlurmEngineConfig()
        self._folders = EngineFolders(self._config.root or root)
        job_name = f"zhisuan-{self._folders.engine_id}"
        self._slurm = Slurm(self._config.slurm_conf, self._config.command_timeout_seconds)
        self._cluster = Cluster(self._slurm, self._config)
        self._queue = Queue(self._slurm, job_name, self._config.poll_seconds)
        self._watch = Watch(self._slurm, self._queue, self._config, clock, self._submit_again)
        self._submitter = Submitter(self._slurm, self._folders, self._config, job_name)
        self._database: bool | None = None
        self._services = Services(self._config.runtime_dir, self._folders.engine_id, self._cluster)

    # Looking at the cluster

    def preflight(self) -> EngineReport:
        found = []
        try:
            find_owner(self._config)
            may_start = True
        except IsolationUnavailable as error:
            may_start = False
            found.append(problems.no_safe_user(str(error)))
        settings = self._slurm.ask(parse.settings, "scontrol", "show", "config")
        nodes = self._cluster.nodes(fresh=True)
        if self._config.partition is not None and self._cluster.partition() is None:
            found.append(problems.partition_missing(self._config.partition))
        self._sweep()
        return make_report(
            settings,
            isolated=not self._config.allow_unisolated,
            may_start=may_start,
            accelerated=any(node.gres for node in nodes.values()),
            nodes=len(nodes),
            jupyterlab=self._jupyterlab(),
            found=tuple(found),
        )

    def _jupyterlab(self) -> bool | None:
        if self._config.jupyterlab is not None:
            return self._config.jupyterlab
        return shutil.which("jupyter-lab", path=search_path(self._config.readable)) is not None or None

    def nodes(self) -> tuple[ClusterNode, ...]:
        return tuple(one.node for one in self._cluster.nodes(fresh=True).values())

    def _sweep(self) -> None:
        """Drop what removed runs left, and starts that never took effect."""
        self._folders.empty_trash()
        self._services.sweep()
        for lease_id, generation in list(self._folders.all_runs()):
            paths = self._folders.run(lease_id, generation)
            if paths.exists() or time.time() - paths.folder.stat().st_mtime < _ABANDONED_SECONDS:
                continue
            with locked(self._folders.lease_lock(lease_id)):
                if not paths.exists() and not self._find_again(paths):
                    self._folders.discard_run(lease_id, generation)

    # Starting

    def start(self, spec: RunSpec) -> None:
        isolated = not self._config.allow_unisolated
        readable = [str(path) for path in self._config.readable]
        check(dataclasses.replace(spec, nodes=spec.nodes[:1]), readable, isolated=isolated)
        owner = find_owner(self._config)
        if self._config.network == "none" and (len(spec.nodes) > 1 or spec.service is not None):
            raise InvalidSpec(
                "nodes: this site gives work no network, so neither several nodes nor a service are possible"
            )
        with locked(self._folders.lease_lock(spec.lease_id)):
            held = self._folders.generations(spec.lease_id)
            if held and held[-1] > spec.generation:
                raise StaleGeneration(spec.lease_id, spec.generation, held[-1])
            paths = self._folders.run(spec.lease_id, spec.generation)
            if paths.exists() or self._find_again(paths):
                return
            granted, hosts = self._cluster.granted(spec)
            for lower in held:
                if lower < spec.generation:
                    self._supersede(spec.lease_id, lower, spec.generation)
            try:
                self._create(granted, hosts, owner)
            except EngineUnavailable:
                raise  # the job may be there: the next start looks for it
            except (EngineError, OSError) as error:
                self._folders.discard_run(spec.lease_id, spec.generation)
                if isinstance(error, EngineError):
                    raise
                raise StartRefused(f"lease {spec.lease_id} could not be laid out on this site: {error}") from error

    def _find_again(self, paths: RunPaths) -> bool:
        """A start that was cut off between sbatch and its record: whether its job is there after all.

        Raises EngineUnavailable."""
        sent = submission(paths.submit)
        if sent is None or paths.exists():
            return paths.exists()
        job = self._queue.view(not_before=time.monotonic()).by_token.get((sent.token, sent.task))
        if job is None and not paths.exists():
            view = self._queue.settled_view(self._config.settle_seconds)
            job = view.by_token.get((sent.token, sent.task))
        if job is None and not paths.exists():
            return False
        if job is not None:
            self._note_job(paths, Submitted(sent.token, None, job.job_id, sent.times))
        return True

    def _create(self, spec: RunSpec, hosts: tuple[str, ...], owner: Owner) -> None:
        paths = self._folders.make_run(spec.lease_id, spec.generation)
        wanted = shape(spec, hosts, owner, self._config, self._cluster.longest_seconds())
        library = scripts.install(self._folders.lib, owner.uid)
        service = [("port", str(spec.service.port))] if spec.service is not None else []
        asked = [("nodes", str(len(hosts))), ("memory_mib", str(spec.memory_mib)), ("host", hosts[0]), *service]
        asked += [("option", word) for word in wanted]
        records.write_atomic(paths.shape, asked, durable=False)
        around = Surroundings(
            config=self._config,
            owner=owner,
            isolated=not self._config.allow_unisolated,
            hosts=hosts,
            addresses=tuple(self._cluster.address(host) for host in hosts),
            keepalive=self._folders.keepalive,
        )
        try:
            Layout(spec, around, paths).build()
        except ArchiveRefused as error:
            write_never_began(paths, ExitReason.start_failed, str(error), self._clock.now())
            return
        self._note_job(paths, self._submitter.submit(paths, wanted, library))

    def _submit_again(self, paths: RunPaths) -> None:
        """The order of a run that Slurm has forgotten: a controller that is killed loses what it took in its last seconds."""
        wanted = tuple(value for name, value in records.read(paths.shape) or [] if name == "option")
        owner = find_owner(self._config)
        self._note_job(paths, self._submitter.submit(paths, wanted, scripts.install(self._folders.lib, owner.uid)))

    def _note_job(self, paths: RunPaths, job: Submitted) -> None:
        number = [("task", str(job.task))] if job.task is not None else []
        write_quickly(
            paths.job, [("token", job.token), ("job_id", str(job.job_id)), ("times", str(job.times)), *number]
        )

    def _supersede(self, lease_id: str, lower: int, generation: int) -> None:
        """End an older generation before a newer one begins: the two must never run side by side."""
        paths = self._folders.run(lease_id, lower)
        if not paths.exists() and not self._find_again(paths):
            self._folders.discard_run(lease_id, lower)
            return
        self._ask_to_stop(paths, 0, f"superseded by generation {generation}")
        began = time.monotonic()
        hard = began + _SUPERSEDE_HARD_SECONDS
        while self._watch.observe(lease_id, lower, paths).ended_at is None:
            now = time.monotonic()
            if now > began + _SUPERSEDE_SECONDS:
                raise StartRefused(f"lease {lease_id}: generation {lower} does not end; look at its job with squeue")
            if now > hard:
                hard = began + _SUPERSEDE_SECONDS
                self._cancel_in_slurm(paths)
            time.sleep(0.05)

    def _cancel_in_slurm(self, paths: RunPaths) -> None:
        sent = submission(paths.job)
        if sent is not None:
            self._watch.cancel(sent.name)

    # Looking at runs

    def list(self) -> list[tuple[str, int]]:
        return [key for key in self._folders.all_runs() if self._folders.run(*key).exists()]

    def observe(self, lease_id: str, generation: int) -> Observation:
        return self._watch.observe(lease_id, generation, self._here(lease_id, generation))

    def read_log(self, lease_id: str, generation: int, offset: int, limit: int) -> bytes:
        paths = self._here(lease_id, generation)
        limit = min(max(limit, 0), _LOG_BYTES_AT_ONCE)
        nodes = node_count(paths)
        if nodes == 1:
            return read_at(paths.node(0) / "out", offset, limit)
        with locked(self._folders.lease_lock(lease_id)):
            merged = MergedLog(paths, nodes, self._config.log_bytes_max)
            merged.extend(ended=Path(paths.exit).exists())
            return merged.read(offset, limit)

    def artifacts_dir(self, lease_id: str, generation: int) -> Path:
        return self._here(lease_id, generation).node(0) / "artifacts"

    def checkpoint_dir(self, lease_id: str, generation: int) -> Path:
        return self._here(lease_id, generation).node(0) / "checkpoint"

    def folder_dir(self, lease_id: str, generation: int, target: str) -> Path:
        return folders.recall(self._here(lease_id, generation).folder, lease_id, generation, target)

    def shell_socket(self, lease_id: str, generation: int, rank: int) -> Path | None:
        return None

    def service_socket(self, lease_id: str, generation: int) -> Path | None:
        return self._services.socket(lease_id, generation, self._here(lease_id, generation))

    def accounts(self, runs: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], EngineAccount]:
        jobs = {key: job_id for key in runs if (job_id := self._job_id(*key))}
        if not jobs:
            return {}
        if self._has_database():
            found = accounting.from_database(self._slurm, set(jobs.values()))
            mine = {key: found[job_id] for key, job_id in jobs.items() if job_id in found}
            return {key: one for key, one in mine.items() if accounting.is_of(one, *self._span(*key))}
        view = self._queue.view()
        shown = {key: view.job(job_id, self._token(*key)) for key, job_id in jobs.items()}
        told = {key: accounting.from_queue(job) for key, job in shown.items() if job is not None}
        return {key: one for key, one in told.items() if one is not None}

    def _token(self, lease_id: str, generation: int) -> str | None:
        sent = submission(self._folders.run(lease_id, generation).submit)
        return sent.token if sent is not None else None

    def _span(self, lease_id: str, generation: int) -> tuple[int | None, int | None]:
        """When the run began and ended, in milliseconds since 1970."""
        known = dict(records.read(self._folders.run(lease_id, generation).exit) or [])
        began, ended = (known.get(name) for name in ("started_ms", "ended_ms"))
        return int(began) if began else None, int(ended) if ended else None

    def _job_id(self, lease_id: str, generation: int) -> int:
        """The job that carried the run out, 0 when none did."""
        paths = self._folders.run(lease_id, generation)
        ended = dict(records.read(paths.exit) or [])
        return int(ended.get("job_id", "0")) or read_run(paths, 0).claimed_by or 0

    def _has_database(self) -> bool:
        """Asked once: a cluster gets its slurmdbd by a restart of all its daemons."""
        if self._database is None:
            settings = self._slurm.ask(parse.settings, "scontrol", "show", "config")
            self._database = "slurmdbd" in settings.get("AccountingStorageType", "")
        return self._database

    def _here(self, lease_id: str, generation: int) -> RunPaths:
        check_key(lease_id, generation)
        paths = self._folders.run(lease_id, generation)
        if not paths.exists():
            raise UnknownRun(lease_id, generation)
        return paths

    # Ending

    def keepalive(self) -> None:
        self._folders.keepalive.touch(0o644)

    def stop(self, lease_id: str, generation: int, grace_seconds: int) -> None:
        check_key(lease_id, generation)
        with locked(self._folders.lease_lock(lease_id)):
            paths = self._folders.make_run(lease_id, generation)
            if Path(paths.exit).exists():
                return
            self._ask_to_stop(paths, max(0, grace_seconds), "stopped on request")
            if not paths.exists() and not self._find_again(paths):
                write_never_began(paths, ExitReason.cancelled, "stopped before it was started", self._clock.now())

    def _ask_to_stop(self, paths: RunPaths, grace_seconds: int, message: str) -> None:
        """Slurm only makes the request seen at once, and may be away."""
        before = stop_request(paths)
        if before is not None:
            grace_seconds = min(grace_seconds, before[0])
            message = before[1]
        ask_to_stop(paths, grace_seconds, message)
        sent = submission(paths.job)
        if sent is None:
            return
        with suppress(EngineUnavailable):
            if not paths.claim.exists():
                self._watch.cancel_waiting(sent.name)
            if paths.claim.exists() and node_count(paths) == 1:
                self._watch.poke(sent.name)

    def remove(self, lease_id: str, generation: int) -> None:
        check_key(lease_id, generation)
        with locked(self._folders.lease_lock(lease_id)):
            paths = self._folders.run(lease_id, generation)
            if not paths.folder.is_dir():
                return
            if paths.exists() and self._watch.observe(lease_id, generation, paths).ended_at is None:
                raise RunStillActive(lease_id, generation)
            sent = submission(paths.submit)
            self._services.close(lease_id, generation)
            self._folders.discard_run(lease_id, generation)
            if sent is not None:
                self._submitter.forget(sent)
