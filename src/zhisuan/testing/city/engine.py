"""The engine of a simulated site, and with it the truth: what really ran, when, on what."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from zhisuan.engines.contract import (
    ClusterNode,
    EngineAccount,
    EngineReport,
    ExitReason,
    IsolationLevel,
    Observation,
    RunPhase,
    RunSpec,
)
from zhisuan.engines.errors import RunStillActive, StaleGeneration, StartRefused, UnknownRun
from zhisuan.engines.own_account import accounts_of_records
from zhisuan.testing.city.clock import SiteClock
from zhisuan.testing.city.loop import VirtualLoop

LINE_SECONDS = 10.0
CPU_MILLI_PER_SECOND = 700
WORK = re.compile(
    r"work (?P<seconds>[\d.]+) exit (?P<exit>\d+) setup (?P<setup>[\d.]+) wind_down (?P<wind_down>[\d.]+) warm_up (?P<warm_up>[\d.]+)"
)


@dataclass(slots=True)
class TrueRun:
    """One run as it really was, in seconds of the loop. ``ended`` is when its last process was gone; ``answers_from`` is when
    its service first answers. Cores and memory are those of each of its ``hosts``."""

    lease_id: str
    generation: int
    workload_id: str
    cpus_milli: int
    memory_mib: int
    asked: float
    first: float
    natural_end: float
    exit_code: int
    wind_down: float
    hosts: tuple[str, ...] = ()
    answers_from: float = float("inf")
    stopped_at: float | None = None
    grace: float = 0.0
    ended: float | None = None
    reason: ExitReason | None = None
    final: Observation | None = None
    lines: list[str] = field(default_factory=list)

    @property
    def never_began(self) -> bool:
        return self.ended is not None and self.ended <= self.first

    def log(self, now: float) -> bytes:
        """A line as the first instruction runs and one each ten seconds after it, while it lives."""
        until = now if self.ended is None else min(now, self.ended)
        if until < self.first or self.never_began:
            return b""
        count = int((until - self.first) // LINE_SECONDS) + 1
        return b"".join(f"{self.lease_id} {self.generation} {i}\n".encode() for i in range(count))


class SimEngine:
    """Hosts that are alike. ``keepalive`` not called for ``orphan_grace`` seconds ends the runs. ``watch`` is told of each run
    that begins, ``complain`` of more work at once than a host has room for. ``claims_milli`` are the cores of each host as it
    is announced; where it really has fewer, what does not fit is not started."""

    def __init__(
        self, hostnames: Sequence[str], *, cpus_milli: int, memory_mib: int, claims_milli: int, clock: SiteClock, loop: VirtualLoop, orphan_grace: float,
        artifacts: Path, watch: Callable[[TrueRun], None], complain: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.hostnames = tuple(hostnames)
        self.cpus_milli, self.memory_mib = cpus_milli, memory_mib
        self.claims_milli = claims_milli
        self._clock, self._loop = clock, loop
        self._orphan_grace = orphan_grace
        self._artifacts = artifacts
        self._watch = watch
        self._complain = complain
        self._alive_at = 0.0
        self._held: dict[tuple[str, int], TrueRun] = {}
        self._marks: set[tuple[str, int]] = set()
        self.history: list[TrueRun] = []
        self.refuse_starts = 0
        self.forgot = False

    def preflight(self) -> EngineReport:
        limits: dict[str, bool | int | None] = {"memory": True, "cpu": True, "pids": True, "cgroup_version": 2}
        return EngineReport("local", "simulated", IsolationLevel.sandbox, limits, (), nodes_max=len(self.hostnames), jupyterlab=True)

    def nodes(self) -> tuple[ClusterNode, ...]:
        return tuple(
            ClusterNode(name, self.claims_milli, self.memory_mib, os="linux", architecture="x86_64")
            for name in self.hostnames
        )

    def keepalive(self) -> None:
        self.settle()
        self._alive_at = self._loop.time()

    def settle(self) -> None:
        """Let what should have ended by now have ended, at its own moment."""
        now = self._loop.time()
        for run in self._held.values():
            if run.ended is None:
                self._settle_one(run, now)

    def _settle_one(self, run: TrueRun, now: float) -> None:
        ends = [(run.natural_end, ExitReason.completed if run.exit_code == 0 else ExitReason.failed)]
        orphaned = self._alive_at + self._orphan_grace
        if run.asked <= orphaned:
            ends.append((orphaned + min(run.wind_down, 10.0), ExitReason.orphaned))
        if run.stopped_at is not None:
            ends.append((run.stopped_at + min(run.wind_down, run.grace), ExitReason.cancelled))
        end, reason = min(ends)
        if end <= now:
            self._end(run, end, reason)

    def _end(self, run: TrueRun, at: float, reason: ExitReason) -> None:
        run.ended, run.reason = at, reason
        began = at > run.first
        finished = reason in (ExitReason.completed, ExitReason.failed)
        run.final = Observation(
            run.lease_id, run.generation, RunPhase.exited, self._wall(run.first) if began else None, self._wall(at),
            run.exit_code if finished else None, None, reason, None, self._cpu(run, at), 1 << 20, None,
        )  # fmt: skip

    def _wall(self, second: float) -> datetime:
        shown = self._clock.at(second)
        return shown.replace(microsecond=shown.microsecond // 1000 * 1000)

    def _cpu(self, run: TrueRun, now: float) -> int:
        return max(0, int((now - run.first) * CPU_MILLI_PER_SECOND))

    def start(self, spec: RunSpec) -> None:
        key = (spec.lease_id, spec.generation)
        self.settle()
        if key in self._held:
            return
        newer = [g for lease, g in self._held if lease == spec.lease_id and g > spec.generation]
        if newer:
            raise StaleGeneration(spec.lease_id, spec.generation, newer[0])
        if self.refuse_starts:
            self.refuse_starts -= 1
            raise StartRefused("the host has no room for another process just now")
        said = WORK.search(spec.run)
        if said is None:
            raise StartRefused(f"the simulated engine does not know {spec.run!r}")
        hosts = tuple(node.hostname for node in spec.nodes)
        if self._lacking(spec.cpus_milli, hosts):
            raise StartRefused(f"{', '.join(hosts)} has fewer cores than this site has announced")
        now = self._loop.time()
        first = now + float(said["setup"])
        run = TrueRun(
            spec.lease_id, spec.generation, spec.env["ZHISUAN_WORKLOAD_ID"], spec.cpus_milli, spec.memory_mib, now, first,
            first + float(said["seconds"]), int(said["exit"]), float(said["wind_down"]), hosts,
            first + float(said["warm_up"]) if spec.service is not None else float("inf"),
        )  # fmt: skip
        self._held[key] = run
        self.history.append(run)
        if key in self._marks:
            self._end(run, now, ExitReason.cancelled)
            return
        self._check_room()
        self._watch(run)

    def _check_room(self) -> None:
        for host in self.hostnames:
            live = [r for r in self.live() if host in r.hosts]
            cpus, memory = sum(r.cpus_milli for r in live), sum(r.memory_mib for r in live)
            if cpus > self.cpus_milli or memory > self.memory_mib:
                self._complain(f"{host} really runs {cpus} milli-cores and {memory} MiB: more than it has")

    def _lacking(self, cpus_milli: int, hosts: Sequence[str]) -> bool:
        if self.claims_milli <= self.cpus_milli:
            return False
        return any(sum(r.cpus_milli for r in self.live() if h in r.hosts) + cpus_milli > self.cpus_milli for h in hosts)

    def live(self) -> list[TrueRun]:
        self.settle()
        return [r for r in self._held.values() if r.ended is None]

    def _run(self, lease_id: str, generation: int) -> TrueRun:
        self.settle()
        run = self._held.get((lease_id, generation))
        if run is None:
            raise UnknownRun(lease_id, generation)
        return run

    def observe(self, lease_id: str, generation: int) -> Observation:
        run = self._run(lease_id, generation)
        if run.final is not None:
            return run.final
        now = self._loop.time()
        began = now >= run.first
        return Observation(
            lease_id, generation, RunPhase.running if began else RunPhase.preparing, self._wall(run.first) if began else None,
            None, None, None, None, None, self._cpu(run, now), 1 << 20, None,
        )  # fmt: skip

    def list(self) -> list[tuple[str, int]]:
        return sorted(self._held)

    def stop(self, lease_id: str, generation: int, grace_seconds: int) -> None:
        self.settle()
        run = self._held.get((lease_id, generation))
        if run is None:
            # The mark is an ended run that never began.
            self._marks.add((lease_id, generation))
            now = self._loop.time()
            mark = TrueRun(lease_id, generation, "", 0, 0, now, now, now, 0, 0.0)
            self._held[lease_id, generation] = mark
            self._end(mark, now, ExitReason.cancelled)
        elif run.ended is None and run.stopped_at is None:
            run.stopped_at, run.grace = self._loop.time(), float(grace_seconds)

    def read_log(self, lease_id: str, generation: int, offset: int, limit: int) -> bytes:
        return self._run(lease_id, generation).log(self._loop.time())[offset : offset + limit]

    def artifacts_dir(self, lease_id: str, generation: int) -> Path:
        self._run(lease_id, generation)
        return self._artifacts

    def accounts(self, runs: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], EngineAccount]:
        return accounts_of_records(runs, self.observe, "simulated")

    def checkpoint_dir(self, lease_id: str, generation: int) -> Path:
        """A simulated run keeps nothing, so there is nothing in it."""
        self._run(lease_id, generation)
        return self._artifacts.with_name("checkpoint")

    def folder_dir(self, lease_id: str, generation: int, target: str) -> Path:
        """The simulated work has no folders."""
        raise UnknownRun(lease_id, generation)

    def shell_socket(self, lease_id: str, generation: int, rank: int) -> Path | None:
        return None

    def service_socket(self, lease_id: str, generation: int) -> Path | None:
        self._run(lease_id, generation)
        return None

    def remove(self, lease_id: str, generation: int) -> None:
        self.settle()
        run = self._held.get((lease_id, generation))
        if run is not None and run.ended is None:
            raise RunStillActive(lease_id, generation)
        self._held.pop((lease_id, generation), None)

    def answers(self, lease_id: str, generation: int) -> bool:
        """What its readiness probe gets."""
        run = self._held.get((lease_id, generation))
        return run is not None and run.ended is None and run.answers_from <= self._loop.time()

    def lose_node(self, number: int) -> None:
        """One host goes down; what had a share there is gone from all its hosts."""
        host = self.hostnames[number % len(self.hostnames)]
        for run in self.live():
            if host in run.hosts:
                self._end(run, self._loop.time(), ExitReason.lost)

    def crash(self) -> None:
        """The host goes down and comes back: what ran is gone, and the engine knows it."""
        for run in self.live():
            self._end(run, self._loop.time(), ExitReason.lost)

    def wipe(self) -> None:
        """The engine's own folder is gone with all it knew; what ran there died."""
        self.crash()
        self._held.clear()
        self.forgot = True
