"""The entrypoint of a run on several nodes, as the driver of a Ray job: gathers the nodes, starts each one's part,
watches them together and writes what the whole run is and how it ended.

1. A placement group takes all nodes at once or none (STRICT_SPREAD, one bundle per host named in the lease).
2. Only then the run is claimed; until then the agent may cancel it.
3. An actor in each bundle starts the node's part as a process of its own (``part.py``), which ends with the actor.
4. The first part that ends otherwise than completed stops all others.

Called as ``python -c '…' RUN_FOLDER SUBMISSION_ID`` with the Python that Ray is installed for.
"""

import importlib
import json
import os
import signal
import sys
import time
from typing import Any

from zhisuan.engines.local import records
from zhisuan.engines.local.paths import RunPaths
from zhisuan.engines.ray.node.claim import claim_for_node, claim_path
from zhisuan.engines.ray.node.gang_log import GangLog
from zhisuan.engines.ray.node.gang_parts import Part, ask_to_stop, cause, part_paths, started_ms, use, whole_exit

_LOOK_SECONDS = 0.1
_BEAT_SECONDS = 1.0
_WAIT_SECONDS = 1
_STOPPED_IN_RAY_GRACE_SECONDS = 1


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def main() -> None:
    paths, submission_id = RunPaths(sys.argv[1]), sys.argv[2]
    os.umask(0o077)
    plan = records.read(paths.plan)
    if plan is None or os.path.exists(claim_path(paths)):
        return
    single = dict(plan)
    bundles = [json.loads(value) for key, value in plan if key == "bundle"]
    hostnames = [value for key, value in plan if key == "hostname"]
    ray: Any = importlib.import_module("ray")
    ray.init(log_to_driver=False, logging_level="ERROR")
    group = ray.util.placement_group([bundle["take"] for bundle in bundles], strategy="STRICT_SPREAD")
    while not group.wait(timeout_seconds=_WAIT_SECONDS):
        if os.path.exists(claim_path(paths)) or not os.path.isdir(paths.folder):
            return
    if claim_for_node(paths, submission_id):
        gang = Gang(paths, [Part(rank, name, part_paths(paths, rank)) for rank, name in enumerate(hostnames)])
        gang.start(ray, group, bundles, single["part_code"])
        gang.watch(ray, int(single["timeout_grace_seconds"]))


def _host_class(ray: Any) -> Any:
    """Made here, so that Ray sends the class itself: its workers do not know this module."""

    @ray.remote
    class Host:
        def address(self) -> str:
            return str(ray.util.get_node_ip_address())

        def carry_out(self, code: str, folder: str, ips: list[str]) -> int:
            import os
            import subprocess
            import sys

            os.environ["ZHISUAN_RAY_NODE_IP"] = self.address()
            command = [sys.executable, "-I", "-S", "-c", code, folder, *ips]
            return subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode

    return Host


class Gang:
    def __init__(self, paths: RunPaths, parts: list[Part]) -> None:
        self.paths = paths
        self.parts = parts
        self.state: records.Pairs = [("claimed_ms", str(_now_ms())), ("node", os.uname().nodename)]
        self.running: dict[Any, Part] = {}
        self.hosts: list[Any] = []
        self.guilty: Part | None = None
        self.beat_clock = 0.0
        self.seen: tuple[bool, int | None] = (False, None)
        self.stopped_in_ray = False
        signal.signal(signal.SIGTERM, self._stop_in_ray)
        self._note("preparing")

    def start(self, ray: Any, group: Any, bundles: list[dict[str, Any]], code: str) -> None:
        """Start every node's part; none where a node is lost, or the run stopped, before all have answered."""
        host_class = _host_class(ray)
        strategy = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy
        for rank, bundle in enumerate(bundles):
            place = strategy(placement_group=group, placement_group_bundle_index=rank)
            self.hosts.append(host_class.options(scheduling_strategy=place, **bundle["ask"]).remote())
        ips = self._addresses(ray)
        for part in self.parts if ips else []:
            reference = self.hosts[part.rank].carry_out.remote(code, part.paths.folder, ips)
            self.running[reference] = part

    def _addresses(self, ray: Any) -> list[str]:
        """In the order of ranks; empty when the run ends here, before anything of the tenant's has begun."""
        asked = [host.address.remote() for host in self.hosts]
        while len(ray.wait(asked, num_returns=len(asked), timeout=_WAIT_SECONDS)[0]) < len(asked):
            stop = records.read(self.paths.stop)
            if stop is not None:
                for part in self.parts:
                    part.gone("cancelled", dict(stop)["message"], _now_ms())
                return []
        try:
            return list(ray.get(asked))
        except ray.exceptions.RayError as error:
            for part in self.parts:
                part.gone("lost", f"a node of the run died before it began ({type(error).__name__})", _now_ms())
            return []

    def watch(self, ray: Any, grace_seconds: int) -> None:
        """Until the run's exit record is written."""
        log = GangLog(self.paths.log, [part.paths.log for part in self.parts])
        while self.running:
            ended, _ = ray.wait(list(self.running), num_returns=len(self.running), timeout=_LOOK_SECONDS)
            for reference in ended:
                self._settle(ray, reference)
            log.read()  # before the states and written after them: who reads a line finds the state it was written in
            for part in self.parts:
                part.look()
            if self.stopped_in_ray:
                self._stop_all("the job was stopped in Ray itself", _STOPPED_IN_RAY_GRACE_SECONDS)
            if self.guilty is None and (guilty := cause(self.parts)) is not None:
                self.guilty = guilty
                self._stop_all(f"node {guilty.rank} ended first", grace_seconds)
            self._beat()
            log.write()
        self.guilty = self.guilty or cause(self.parts)
        log.close()
        self._write_exit(whole_exit(self.parts, self.guilty))

    def _settle(self, ray: Any, reference: Any) -> None:
        part = self.running.pop(reference)
        try:
            status = ray.get(reference)
            why = f"its process ended with {status}"
        except ray.exceptions.RayError as error:
            why = type(error).__name__
        part.gone("lost", f"the node died with its part of the run ({why})", _now_ms())

    def _stop_all(self, message: str, grace_seconds: int) -> None:
        """Those that a person has asked to stop already keep that request."""
        for part in self.parts:
            if part.ended is None and not os.path.exists(part.paths.stop):
                ask_to_stop(part.paths, message, grace_seconds)

    def _stop_in_ray(self, _number: int, _frame: object) -> None:
        self.stopped_in_ray = True

    def _note(self, phase: str) -> None:
        began = started_ms(self.parts)
        pairs = [("phase", phase), *self.state]
        if began is not None:
            pairs.append(("started_ms", str(began)))
        records.write_atomic(self.paths.state, pairs)

    def _beat(self) -> None:
        running = all(part.running for part in self.parts)
        began = started_ms(self.parts)
        seen = (running, began)
        clock = time.monotonic()
        try:
            if seen != self.seen:
                self._note("running" if running else "preparing")
                self.seen = seen
            if clock >= self.beat_clock + _BEAT_SECONDS:
                self.beat_clock = clock
                records.write_atomic(self.paths.heartbeat, [("at_ms", str(_now_ms())), *use(self.parts)], durable=False)
        except OSError as error:
            sys.stderr.write(f"the state cannot be written: {error}\n")

    def _write_exit(self, pairs: records.Pairs) -> None:
        while True:
            try:
                records.write_once(self.paths.exit, pairs)
                return
            except FileNotFoundError:
                return
            except OSError as error:
                sys.stderr.write(f"the exit record cannot be written: {error}\n")
                time.sleep(_BEAT_SECONDS)
