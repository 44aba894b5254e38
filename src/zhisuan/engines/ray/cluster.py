"""The nodes of a Ray cluster as the platform sees them, and what to ask Ray for so that a run gets what its lease says."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zhisuan.engines.contract import AcceleratorGrant, ClusterAccelerator, ClusterNode, NodeGrant, RunSpec
from zhisuan.engines.errors import InvalidSpec
from zhisuan.engines.ray.client import RayNode

ANY_NODE = "localhost"
"""The contract's name for a node that is not chosen: Ray then takes one."""
_NODE_SHARE = 0.001
"""Every node has one unit of the resource ``node:<address>``; a thousandth of it binds a run to the node."""
_TYPE_PREFIX = "accelerator_type:"
_TYPE_LABEL = "ray.io/accelerator-type"
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """One node, with Ray's address of it."""

    node: ClusterNode
    address: str


def members(rows: Sequence[RayNode], accelerator_resources: Mapping[str, str]) -> tuple[Member, ...]:
    """Sorted by name. A dead node is shown only when no living one bears its name or its address."""
    living = [row for row in rows if row.state == "ALIVE"]
    names = Counter(_name(row) for row in living)
    taken = {_name(row) for row in living} | {row.node_ip for row in living}
    found: dict[str, Member] = {}
    for row in living:
        name = _name(row)
        if names[name] > 1:
            name = f"{name}@{row.node_ip}" if f"{name}@{row.node_ip}" not in found else f"{name}@{row.node_id}"
        found[name] = Member(_node(name, row, accelerator_resources), row.node_ip)
    for row in rows:
        if row.state != "ALIVE" and _name(row) not in taken and row.node_ip not in taken:
            found[_name(row)] = Member(_node(_name(row), row, accelerator_resources), row.node_ip)
    return tuple(found[name] for name in sorted(found))


def _name(row: RayNode) -> str:
    return row.node_name or row.node_ip


def _node(name: str, row: RayNode, accelerator_resources: Mapping[str, str]) -> ClusterNode:
    total = row.resources_total
    usable = row.state == "ALIVE"
    return ClusterNode(
        hostname=name,
        cpus_milli=round(total.get("CPU", 0) * 1000),
        memory_mib=int(total.get("memory", 0)) // _MIB,
        accelerators=_accelerators(row, accelerator_resources),
        usable=usable,
        note="" if usable else f"Ray counts the node as dead: {row.state_message or 'no reason given'}",
    )


def _accelerators(row: RayNode, accelerator_resources: Mapping[str, str]) -> tuple[ClusterAccelerator, ...]:
    """Numbered through over all kinds of the node in the order of their names, so that an index names one of them."""
    kinds = [name[len(_TYPE_PREFIX) :] for name in row.resources_total if name.startswith(_TYPE_PREFIX)]
    kind = row.labels.get(_TYPE_LABEL) or (kinds[0] if kinds else "")
    counted = [
        (resource, number)
        for resource in sorted(accelerator_resources)
        for number in range(int(row.resources_total.get(resource, 0)))
    ]
    several = len({resource for resource, _ in counted}) > 1
    return tuple(
        ClusterAccelerator(
            key=f"{resource}-{number}",
            index=index,
            kind=kind if kind and not several else resource,
            vendor=accelerator_resources[resource],
        )
        for index, (resource, number) in enumerate(counted)
    )


@dataclass(frozen=True, slots=True)
class Share:
    """What one node's part takes of Ray: processors, bytes, and whole accelerators and the node itself by resource."""

    cpus: float
    memory_bytes: int
    gpus: int
    resources: Mapping[str, float]
    hostname: str
    address: str | None

    def bundle(self) -> dict[str, float]:
        """As a placement group takes it."""
        named = {"CPU": self.cpus, "memory": float(self.memory_bytes), "GPU": float(self.gpus)}
        return {**{name: value for name, value in named.items() if value}, **self.resources}

    def options(self) -> dict[str, object]:
        """As an actor asks for it."""
        asked = {"num_cpus": self.cpus, "memory": self.memory_bytes, "num_gpus": self.gpus}
        return {**asked, "resources": dict(self.resources)}


def shares(spec: RunSpec, cluster: Sequence[Member], accelerator_resources: Mapping[str, str]) -> list[Share]:
    """One per node of the lease, in the order of ranks. Raises InvalidSpec naming the node that cannot be had."""
    known = {member.node.hostname: member for member in cluster}
    names = [grant.hostname for grant in spec.nodes]
    usable = sum(member.node.usable for member in cluster)
    if len(names) > usable:
        raise InvalidSpec(f"nodes: {len(names)} nodes were asked for; the Ray cluster has {usable} usable nodes")
    for name, count in Counter(names).items():
        if count > 1:
            raise InvalidSpec(f"nodes: {name} is named twice; each node of a run is another host")
    return [_share(spec, grant, known, accelerator_resources) for grant in spec.nodes]


def _share(
    spec: RunSpec, grant: NodeGrant, known: Mapping[str, Member], accelerator_resources: Mapping[str, str]
) -> Share:
    member = known.get(grant.hostname)
    if member is None and grant.hostname != ANY_NODE:
        raise InvalidSpec(f"nodes: the Ray cluster has no node {grant.hostname!r}; it has {', '.join(known) or 'none'}")
    if member is not None and not member.node.usable:
        raise InvalidSpec(f"nodes: {grant.hostname} cannot be used: {member.node.note}")
    wanted = Counter(_resource(one, grant.hostname, member, accelerator_resources) for one in grant.accelerators)
    gpus = wanted.pop("GPU", 0)
    resources = {name: float(count) for name, count in wanted.items()}
    if member is not None:
        resources[f"node:{member.address}"] = _NODE_SHARE
    return Share(
        cpus=spec.cpus_milli / 1000,
        memory_bytes=spec.memory_mib * _MIB,
        gpus=gpus,
        resources=resources,
        hostname=grant.hostname,
        address=member.address if member is not None else None,
    )


def _resource(
    grant: AcceleratorGrant, hostname: str, member: Member | None, accelerator_resources: Mapping[str, str]
) -> str:
    """Ray's name of the granted accelerator: by its index on the node, else by its vendor."""
    if member is not None:
        for card in member.node.accelerators:
            if card.index == grant.index and grant.vendor in ("", card.vendor):
                return card.key.rpartition("-")[0]
        raise InvalidSpec(
            f"accelerator {grant.vendor} {grant.index} was granted but {hostname} has "
            f"{len(member.node.accelerators)} accelerators in Ray"
        )
    for resource, vendor in sorted(accelerator_resources.items()):
        if vendor == grant.vendor:
            return resource
    raise InvalidSpec(f"accelerators of {grant.vendor!r} have no resource in accelerator_resources of this engine")
