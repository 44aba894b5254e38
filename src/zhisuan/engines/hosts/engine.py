"""The engine of several plain hosts. Its methods read and write the head's files of a run; the head's loop does the rest."""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from zhisuan.base.clock import Clock
from zhisuan.engines.contract import (
    ClusterNode,
    EngineAccount,
    EngineReport,
    ExitReason,
    IsolationLevel,
    Observation,
    Problem,
    RunPhase,
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
from zhisuan.engines.hosts import problems
from zhisuan.engines.hosts.artefacts import fetch
from zhisuan.engines.hosts.config import HostsEngineConfig
from zhisuan.engines.hosts.gang import Gang, Order, read_end, write_order
from zhisuan.engines.hosts.head import Head, read_order
from zhisuan.engines.hosts.link import Said
from zhisuan.engines.hosts.messages import ARTIFACTS, CHECKPOINT, FOLDER
from zhisuan.engines.hosts.ordering import make_order, with_folders
from zhisuan.engines.hosts.paths import RunPaths
from zhisuan.engines.hosts.registry import Registry
from zhisuan.engines.local import records
from zhisuan.engines.local.folders import EngineFolders
from zhisuan.engines.local.locks import locked
from zhisuan.engines.local.run_state import instant, milliseconds
from zhisuan.engines.local.spec_check import check, check_key
from zhisuan.engines.own_account import accounts_of_records
from zhisuan.engines.slurm.logs import MergedLog, read_at

log = logging.getLogger("zhisuan.hosts")

_SUPERSEDE_SECONDS = 30.0
_LOG_BYTES_AT_ONCE = 16 << 20
_LEVELS = (IsolationLevel.none, IsolationLevel.user_sandbox, IsolationLevel.sandbox)

Key = tuple[str, int]

_heads: dict[Path, Head] = {}
_heads_lock = threading.Lock()
"""A root has one head in a process, however many objects are made on it."""


class HostsEngine:
    """Keeps the contract ``engines.contract.Engine`` over the hosts whose daemons come to it; ``root`` holds its state."""

    def __init__(self, root: Path, *, clock: Clock, config: HostsEngineConfig | None = None) -> None:
        self._clock = clock
        self._config = config or HostsEngineConfig()
        self._folders = EngineFolders(root, self._config.runtime_dir)
        self._registry = Registry(self._folders.root)

    # The head

    def _head(self) -> Head:
        """The running head; the first call begins it. Raises EngineUnavailable when its port cannot be had."""
        with _heads_lock:
            head = _heads.get(self._folders.root)
            if head is None:
                head = Head(self._registry, self._config, self._clock.now, lambda key: self._paths(*key))
                try:
                    head.start(list(self._ongoing()))
                except OSError as error:
                    where = f"{self._config.listen}:{self._config.port}"
                    told = problems.port_taken(where, error.strerror or str(error))
                    raise EngineUnavailable(f"{told.message_en} {told.remedy_en}") from error
                _heads[self._folders.root] = head
                self._await_hosts(head)
            return head

    def _await_hosts(self, head: Head) -> None:
        """Give the hosts the head knows a moment to come back, so that a restart does not show them as away."""
        deadline = time.monotonic() + self._config.reconnect_seconds
        known = set(self._registry.members())
        while not known <= set(head.posts.connected) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _ongoing(self) -> list[RunPaths]:
        held = [self._paths(*key) for key in self._folders.all_runs()]
        return [paths for paths in held if paths.order.exists() and not os.path.exists(paths.exit)]

    def close(self) -> None:
        """Let go of the hosts; a new object takes up where this one was."""
        with _heads_lock:
            head = _heads.pop(self._folders.root, None)
        if head is not None:
            head.close()

    @property
    def port(self) -> int:
        """Where the hosts come to. Raises EngineUnavailable."""
        return self._head().port

    # Looking at the hosts

    def preflight(self) -> EngineReport:
        self._folders.empty_trash()
        found: list[Problem] = []
        try:
            posts = self._head().posts
        except EngineUnavailable as error:
            found.append(problems.port_taken(f"{self._config.listen}:{self._config.port}", str(error)))
            return self._report((), {}, found)
        nodes = posts.nodes(allow_unisolated=self._config.allow_unisolated)
        reports = {node.hostname: posts.told[node.hostname].report for node in nodes if node.usable}
        found += [problems.clock_off(name, round(skew.total_seconds())) for name, skew in posts.skewed().items()]
        return self._report(nodes, reports, found)

    def _report(
        self, nodes: tuple[ClusterNode, ...], reports: dict[str, EngineReport], found: list[Problem]
    ) -> EngineReport:
        """As strong as its weakest host."""
        if not self._registry.members():
            found.append(problems.no_host())
        found += [problems.host_away(node.hostname, node.note) for node in nodes if not node.usable]
        if len(reports) > 1:
            network = self._config.gang_network
            found.append(problems.gang_network_host() if network == "host" else problems.no_gang_network())
        found += [problems.of_host(name, one) for name, report in reports.items() for one in report.problems]
        level = min(
            (report.isolation for report in reports.values()), key=_LEVELS.index, default=IsolationLevel.sandbox
        )
        if self._config.gang_network == "host" and level is IsolationLevel.sandbox and len(reports) > 1:
            level = IsolationLevel.user_sandbox
        enforced = {
            name: all(report.limits.get(name) for report in reports.values()) for name in ("memory", "cpu", "pids")
        }
        versions = {report.limits.get("cgroup_version") for report in reports.values()}
        return EngineReport(
            engine="hosts",
            version=", ".join(sorted({report.version for report in reports.values() if report.version})),
            isolation=level,
            limits={**enforced, "cgroup_version": versions.pop() if len(versions) == 1 else None},
            problems=tuple(found),
            nodes_max=max(1, len(reports)),
            jupyterlab=all(report.jupyterlab for report in reports.values()) if reports else None,
            shells=not reports or any(report.shells for report in reports.values()),
        )

    def nodes(self) -> tuple[ClusterNode, ...]:
        found = self._head().posts.nodes(allow_unisolated=self._config.allow_unisolated)
        if not found:
            told = problems.no_host()
            raise EngineUnavailable(f"{told.message_en} {told.remedy_en}")
        return found

    # Starting

    def start(self, spec: RunSpec) -> None:
        check(replace(spec, nodes=spec.nodes[:1]), (), isolated=True)
        head = self._head()
        nodes = {node.hostname: node for node in head.posts.nodes(allow_unisolated=self._config.allow_unisolated)}
        with locked(self._folders.lease_lock(spec.lease_id)):
            held = self._folders.generations(spec.lease_id)
            if held and held[-1] > spec.generation:
                raise StaleGeneration(spec.lease_id, spec.generation, held[-1])
            paths = self._paths(spec.lease_id, spec.generation)
            if paths.is_held():
                return
            order = make_order(spec, nodes, head.posts, self._config, self._ports_in_use())
            for node in order.hosts:
                if self._is_unisolated(head, node):
                    raise IsolationUnavailable(f"{node}: {nodes[node].note}")
            for lower in held:
                if lower < spec.generation:
                    self._supersede(spec.lease_id, lower, spec.generation)
            try:
                self._folders.make_run(spec.lease_id, spec.generation)
                write_order(paths, with_folders(order, paths.folder))
            except OSError as error:
                if not paths.is_held():
                    self._folders.discard_run(spec.lease_id, spec.generation)
                raise StartRefused(f"lease {spec.lease_id}: the run's folder could not be made: {error}") from error
            head.run(_now(lambda: head.driver.adopt(paths)))

    def _is_unisolated(self, head: Head, hostname: str) -> bool:
        told = head.posts.told[hostname]
        allowed = self._config.allow_unisolated and told.allow_unisolated
        return told.report.isolation is IsolationLevel.none and not allowed

    def _ports_in_use(self) -> set[tuple[str, int]]:
        """Ports promised to runs that have not ended, by host."""
        orders = [read_order(paths.order) for paths in self._ongoing()]
        return {(o.hosts[0], o.rendezvous_port) for o in orders if o is not None and o.rendezvous_port is not None}

    def _supersede(self, lease_id: str, lower: int, generation: int) -> None:
        """End an older generation before a newer one begins: the two must never run side by side."""
        paths = self._paths(lease_id, lower)
        self._ask_to_stop(lease_id, lower, 0, f"superseded by generation {generation}")
        deadline = time.monotonic() + _SUPERSEDE_SECONDS
        while paths.is_held() and not os.path.exists(paths.exit):
            if time.monotonic() > deadline:
                raise StartRefused(f"lease {lease_id}: generation {lower} does not end; one of its hosts may be away")
            time.sleep(0.01)

    # Looking at runs

    def list(self) -> list[tuple[str, int]]:
        return [key for key in self._folders.all_runs() if self._paths(*key).is_held()]

    def observe(self, lease_id: str, generation: int) -> Observation:
        paths = self._held(lease_id, generation)
        ended = records.read(paths.exit)
        if ended is not None:
            return _ended(lease_id, generation, paths, dict(ended))
        head = self._head()
        gang: Gang | None = head.driver.gangs.get((lease_id, generation))
        if gang is not None:
            return gang.observation()
        ended = records.read(paths.exit)
        if ended is None:
            raise EngineUnavailable(
                f"lease {lease_id}, generation {generation}: the head could not take the run up; see its log"
            )
        return _ended(lease_id, generation, paths, dict(ended))

    def read_log(self, lease_id: str, generation: int, offset: int, limit: int) -> bytes:
        paths = self._held(lease_id, generation)
        order = read_order(paths.order)
        if order is None:
            return b""
        limit, offset = min(max(limit, 0), _LOG_BYTES_AT_ONCE), max(offset, 0)
        if len(order.hosts) == 1:
            return read_at(paths.out(0), offset, limit)
        with locked(self._folders.lease_lock(lease_id)):
            merged = MergedLog(paths, len(order.hosts), self._config.log_bytes_max)
            merged.extend(ended=os.path.exists(paths.exit))
            return merged.read(offset, limit)

    def artifacts_dir(self, lease_id: str, generation: int) -> Path:
        """What rank 0 left is brought here first, which takes as long as it takes. Raises EngineUnavailable while its host
        is away; of a host that is away for good there is what there is."""
        paths = self._held(lease_id, generation)
        order = read_order(paths.order)
        if order is None or os.path.exists(paths.fetched):
            return paths.artifacts
        if self._bring(paths, order, ARTIFACTS, paths.artifacts) and os.path.exists(paths.exit):
            records.write_atomic(paths.fetched, [("fetched", "1")])
        return paths.artifacts

    def checkpoint_dir(self, lease_id: str, generation: int) -> Path:
        """As ``artifacts_dir``, also while the run changes it: a copy of one moment."""
        paths = self._held(lease_id, generation)
        order = read_order(paths.order)
        if order is not None:
            self._bring(paths, order, CHECKPOINT, paths.checkpoint)
        return paths.checkpoint

    def folder_dir(self, lease_id: str, generation: int, target: str) -> Path:
        paths = self._held(lease_id, generation)
        order = read_order(paths.order)
        mounts = () if order is None else order.spec.folders
        number = next((n for n, one in enumerate(mounts) if one.target == target and not one.read_only), None)
        if order is None or number is None:
            raise UnknownRun(lease_id, generation)
        self._bring(paths, order, FOLDER + target, paths.copy(number))
        return paths.copy(number)

    def _bring(self, paths: RunPaths, order: Order, what: str, target: Path) -> bool:
        """A folder of rank 0 to ``target``, nothing where its host never had the run; False where it has been away for too long."""
        host = order.hosts[0]
        given = {"lease_id": order.spec.lease_id, "generation": order.spec.generation, "what": what}
        head = self._head()
        never_there = os.path.exists(paths.exit) and read_end(paths, 0) is None and host not in head.posts.connected
        if never_there or head.posts.silent_seconds(host) > self._config.orphan_grace_seconds:
            return False
        with locked(paths.folder / "fetching"):
            try:
                fetch(lambda name, more: head.call(host, name, {**given, **more}), target, paths.folder / "part")
            except Said as error:
                if error.said_code != UnknownRun.code:
                    raise
        return True

    def accounts(self, runs: Sequence[Key]) -> Mapping[Key, EngineAccount]:
        found = accounts_of_records(runs, self.observe, "supervisor")
        orders = {key: read_order(self._paths(*key).order) for key in found}
        return {
            key: replace(account, nodes=len(order.hosts)) if (order := orders[key]) is not None else account
            for key, account in found.items()
        }

    def service_socket(self, lease_id: str, generation: int) -> Path | None:
        paths = self._held(lease_id, generation)
        order = read_order(paths.order)
        if order is None or order.spec.service is None:
            return None
        path = self._folders.socket(lease_id, generation)
        head, host = self._head(), order.hosts[0]
        if os.path.exists(paths.exit):
            head.run(head.streams.close(path))
            return path
        self._folders.prepare_runtime()

        async def ask(stream: str) -> None:
            post = head.posts.connected[host]
            await post.link.call("dial", {"lease_id": lease_id, "generation": generation, "stream": stream})

        head.run(head.streams.open(path, host, ask))
        return path

    def shell_socket(self, lease_id: str, generation: int, rank: int) -> Path | None:
        paths = self._held(lease_id, generation)
        order = read_order(paths.order)
        if order is None or rank >= len(order.hosts) or os.path.exists(paths.exit):
            return None
        head, host = self._head(), order.hosts[rank]
        told = head.posts.told.get(host)
        if told is None or not told.report.shells:
            return None
        path = self._folders.shell_socket(lease_id, generation, rank)
        self._folders.prepare_runtime()

        async def ask(stream: str) -> None:
            post = head.posts.connected[host]
            await post.link.call("shell", {"lease_id": lease_id, "generation": generation, "stream": stream})

        head.run(head.streams.open(path, host, ask))
        return path

    def _paths(self, lease_id: str, generation: int) -> RunPaths:
        return RunPaths(Path(self._folders.run(lease_id, generation).folder))

    def _held(self, lease_id: str, generation: int) -> RunPaths:
        check_key(lease_id, generation)
        paths = self._paths(lease_id, generation)
        if not paths.is_held():
            raise UnknownRun(lease_id, generation)
        return paths

    # Ending

    def keepalive(self) -> None:
        try:
            self._head().beat()
        except EngineUnavailable as error:
            raise OSError(str(error)) from error

    def stop(self, lease_id: str, generation: int, grace_seconds: int) -> None:
        check_key(lease_id, generation)
        with locked(self._folders.lease_lock(lease_id)):
            self._ask_to_stop(lease_id, generation, max(0, grace_seconds), "stopped on request")

    def _ask_to_stop(self, lease_id: str, generation: int, grace_seconds: int, message: str) -> None:
        """The file is the request; a run that was never ordered ends here and now."""
        self._folders.make_run(lease_id, generation)
        paths = self._paths(lease_id, generation)
        if os.path.exists(paths.exit):
            return
        before = dict(records.read(paths.request) or [])
        grace_seconds = min(grace_seconds, int(before.get("grace_seconds", grace_seconds)))
        message = before.get("message", message)
        records.write_atomic(paths.request, [("grace_seconds", str(grace_seconds)), ("message", message)])
        if not paths.order.exists():
            now = str(milliseconds(self._clock.now()))
            never = [("reason", "cancelled"), ("message", "stopped before it was started"), ("ended_ms", now)]
            records.write_once(paths.exit, [*never, ("cpu_ms", "0"), ("memory_peak_bytes", "0")])
            return
        head = self._head()
        head.soon(lambda: head.driver.wake((lease_id, generation)))

    def remove(self, lease_id: str, generation: int) -> None:
        """A host that is away now is told when it comes back."""
        check_key(lease_id, generation)
        with locked(self._folders.lease_lock(lease_id)):
            paths = self._paths(lease_id, generation)
            if not os.path.isdir(paths.folder):
                return
            if paths.is_held() and not os.path.exists(paths.exit):
                raise RunStillActive(lease_id, generation)
            order = read_order(paths.order)
            if order is not None:
                head = self._head()
                head.run(head.streams.close(self._folders.socket(lease_id, generation)))
                for rank in range(len(order.hosts)):
                    head.run(head.streams.close(self._folders.shell_socket(lease_id, generation, rank)))
                for host in dict.fromkeys(order.hosts):
                    self._remove_at(head, host, lease_id, generation)
            self._folders.discard_run(lease_id, generation)

    def _remove_at(self, head: Head, host: str, lease_id: str, generation: int) -> None:
        given: dict[str, Any] = {"lease_id": lease_id, "generation": generation}
        try:
            head.call(host, "stop", {**given, "grace_seconds": 0})
            head.call(host, "remove", given)
        except EngineError as error:
            log.info("%s is told to forget %s.%d later: %s", host, lease_id, generation, error)


async def _now(work: Callable[[], None]) -> None:
    work()


def _ended(lease_id: str, generation: int, paths: RunPaths, ended: dict[str, str]) -> Observation:
    code, number = ended.get("exit_code"), ended.get("signal")
    first = read_end(paths, 0)
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
        progress=first.progress if first is not None else None,
    )
