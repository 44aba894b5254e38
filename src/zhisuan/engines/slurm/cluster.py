"""The nodes of the cluster as Slurm shows them."""

import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from zhisuan.engines.contract import AcceleratorGrant, ClusterAccelerator, ClusterNode, NodeGrant, RunSpec
from zhisuan.engines.errors import EngineUnavailable, InvalidSpec
from zhisuan.engines.slurm import parse
from zhisuan.engines.slurm.commands import Slurm
from zhisuan.engines.slurm.config import SlurmEngineConfig
from zhisuan.engines.slurm.parse import Nonsense
from zhisuan.engines.vendors import vendor_of

ANY_NODE = "localhost"
"""A run of one node may leave the choice of the node to Slurm."""
_FRESH_SECONDS = 5.0
_FAILED_SECONDS = 1.0
_STARTS_WORK = ("IDLE", "MIXED", "ALLOCATED", "COMPLETING", "PLANNED", "ALLOC", "MIX")
_STARTS_NOTHING = (
    "DOWN",
    "DRAIN",
    "FAIL",
    "NOT_RESPONDING",
    "MAINT",
    "RESERVED",
    "INVALID",
    "UNKNOWN",
    "FUTURE",
    "BLOCKED",
)


@dataclass(frozen=True, slots=True)
class SlurmNode:
    """``gres`` holds the GRES of each accelerator, by index; ``address`` is Slurm's own for the node."""

    node: ClusterNode
    gres: tuple[str, ...]
    address: str


def read_nodes(output: str, partition: str | None, accelerator_gres: tuple[str, ...]) -> tuple[SlurmNode, ...]:
    """From ``scontrol show node --oneliner``; those of ``partition`` alone when it is given. Raises Nonsense."""
    found = []
    for record in parse.records(output, "NodeName"):
        if partition is None or partition in record.get("Partitions", "").split(","):
            found.append(_node(record, accelerator_gres))
    return tuple(sorted(found, key=lambda one: one.node.hostname))


def _node(record: dict[str, str], accelerator_gres: tuple[str, ...]) -> SlurmNode:
    cards: list[ClusterAccelerator] = []
    names: list[str] = []
    for gres in parse.gres("" if record.get("Gres", "(null)") == "(null)" else record["Gres"]):
        if gres.name not in accelerator_gres:
            continue
        name = f"{gres.name}:{gres.kind}" if gres.kind else gres.name
        kind = gres.kind or gres.name
        vendor = vendor_of(kind) or vendor_of(gres.name)
        for number in range(gres.count):
            cards.append(ClusterAccelerator(f"{name}:{number}", len(cards), kind, vendor))
            names.append(name)
    usable, note = _usable(record)
    try:
        cpus = parse.number(record.get("CPUEfctv", record["CPUTot"]))
        memory = parse.number(record["RealMemory"]) - parse.number(record.get("MemSpecLimit", "0"))
        name = record["NodeName"]
    except KeyError as error:
        raise Nonsense(f"node {record['NodeName']} without {error}") from error
    node = ClusterNode(
        hostname=name,
        cpus_milli=cpus * 1000,
        memory_mib=memory,
        accelerators=tuple(cards),
        os=record.get("OS", ""),
        architecture=record.get("Arch", ""),
        usable=usable,
        note=note,
    )
    address = record.get("NodeAddr", name)
    return SlurmNode(node, tuple(names), name if address == "(null)" else address)


def _usable(record: dict[str, str]) -> tuple[bool, str]:
    """Whether Slurm starts work there now, and if not, its state and the reason an operator gave."""
    state = record.get("State", "UNKNOWN")
    parts = set(re.split(r"[+*~#!%$@^-]+", state)) | ({"NOT_RESPONDING"} if "*" in state else set())
    reason = re.sub(r"\s*\[.*\]$", "", record.get("Reason", ""))
    if parts & set(_STARTS_WORK) and not parts & set(_STARTS_NOTHING) and not any(p.startswith("DRAIN") for p in parts):
        return True, ""
    return False, f"Slurm shows the node as {state}" + (f": {reason}" if reason and reason != "(null)" else "")


class Cluster:
    """The nodes, asked for at most every few seconds."""

    def __init__(self, slurm: Slurm, config: SlurmEngineConfig) -> None:
        self._slurm = slurm
        self._config = config
        self._lock = threading.Lock()
        self._nodes: dict[str, SlurmNode] = {}
        self._until = 0.0
        self._failure: tuple[float, EngineUnavailable] | None = None
        self._addresses: dict[str, str] = {}
        self._longest: tuple[int | None] | None = None

    def nodes(self, *, fresh: bool = False) -> dict[str, SlurmNode]:
        """By name. That Slurm does not answer holds for a moment too, for all but who asks ``fresh``: many orders that wait must
        not hang one after the other. Raises EngineUnavailable."""
        with self._lock:
            now = time.monotonic()
            if not fresh and self._failure is not None and now < self._failure[0]:
                raise EngineUnavailable(*self._failure[1].args)
            if fresh or now >= self._until:
                self._nodes = self._ask(now)
                self._until = time.monotonic() + _FRESH_SECONDS
            return self._nodes

    def _ask(self, now: float) -> dict[str, SlurmNode]:
        try:
            found = self._slurm.ask(self._reader(), "scontrol", "show", "node", "--oneliner")
        except EngineUnavailable as error:
            failed_at = time.monotonic()
            self._failure = (failed_at + max(_FAILED_SECONDS, failed_at - now), error)
            raise
        self._failure = None
        return found

    def _reader(self) -> Callable[[str], dict[str, SlurmNode]]:
        partition, gres = self._config.partition, self._config.accelerator_gres

        def read(output: str) -> dict[str, SlurmNode]:
            nodes = read_nodes(output, partition or self._default_partition(), gres)
            return {one.node.hostname: one for one in nodes}

        return read

    def _partitions(self) -> list[dict[str, str]]:
        return self._slurm.ask(
            lambda output: parse.records(output, "PartitionName"), "scontrol", "show", "partition", "--oneliner"
        )

    def _default_partition(self) -> str | None:
        return next((one["PartitionName"] for one in self._partitions() if one.get("Default") == "YES"), None)

    def partition(self) -> dict[str, str] | None:
        """The partition that jobs go to, or None when the cluster has none of the name. Raises EngineUnavailable."""
        wanted = self._config.partition
        for one in self._partitions():
            if one["PartitionName"] == wanted or (wanted is None and one.get("Default") == "YES"):
                return one
        return None

    def longest_seconds(self) -> int | None:
        """The partition's time limit, None when it has none; asked once."""
        if self._longest is None:
            self._longest = (parse.seconds((self.partition() or {}).get("MaxTime", "UNLIMITED")),)
        return self._longest[0]

    def address(self, host: str) -> str:
        """The address of a node that the other nodes reach it by."""
        if not host:
            return "127.0.0.1"
        name = self.nodes()[host].address
        if name not in self._addresses:
            try:
                self._addresses[name] = str(socket.getaddrinfo(name, None, proto=socket.IPPROTO_TCP)[0][4][0])
            except OSError:
                return name
        return self._addresses[name]

    def granted(self, spec: RunSpec) -> tuple[RunSpec, tuple[str, ...]]:
        """The specification with each grant's GRES as its vendor, and the hosts by rank (one empty name: any).
        Raises InvalidSpec for a host or an accelerator the cluster does not have, and for nodes that are not alike."""
        hosts = tuple(node.hostname for node in spec.nodes)
        known = self.nodes()
        if len(hosts) == 1 and hosts[0] == ANY_NODE and ANY_NODE not in known:
            generic = replace(spec.nodes[0], accelerators=tuple(map(_any_accelerator, spec.nodes[0].accelerators)))
            return replace(spec, nodes=(generic,)), ("",)
        if len(hosts) > len(known):
            raise InvalidSpec(f"nodes: {len(hosts)} nodes were asked for; this cluster has {len(known)}")
        unknown = [host for host in hosts if host not in known]
        if unknown:
            raise InvalidSpec(f"nodes: the cluster has no node {unknown[0]!r} in this partition")
        twice = [host for host in hosts if hosts.count(host) > 1]
        if twice:
            raise InvalidSpec(f"nodes: {twice[0]!r} is named twice; every rank needs a host of its own")
        nodes = tuple(_with_gres(node, known[node.hostname]) for node in spec.nodes)
        shapes = {tuple(sorted(grant.vendor for grant in node.accelerators)) for node in nodes}
        if len(shapes) > 1 or any(len(set(shape)) > 1 for shape in shapes):
            raise InvalidSpec(
                "nodes: Slurm gives every node of a job the same number of accelerators of one kind; the grants are "
                + "; ".join(f"{n.hostname}: {len(n.accelerators)}" for n in nodes)
            )
        return replace(spec, nodes=nodes), hosts


def _any_accelerator(grant: AcceleratorGrant) -> AcceleratorGrant:
    return replace(grant, vendor="gpu")


def _with_gres(node: NodeGrant, known: SlurmNode) -> NodeGrant:
    for grant in node.accelerators:
        if not 0 <= grant.index < len(known.gres):
            raise InvalidSpec(
                f"nodes: {node.hostname} has {len(known.gres)} accelerators in Slurm; number {grant.index} was granted"
            )
    return replace(node, accelerators=tuple(replace(g, vendor=known.gres[g.index]) for g in node.accelerators))
