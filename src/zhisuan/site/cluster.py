"""What a cluster behind the engine has to offer, told like the devices of a host. Pure."""

from collections.abc import Mapping, Sequence

from zhisuan.engines.contract import AcceleratorGrant, ClusterAccelerator, ClusterNode
from zhisuan.engines.models import AcceleratorModel
from zhisuan.site.inventory import CPU_KEY, MEMORY_KEY
from zhisuan.wire.site import DeviceReport, NodeReport


def node_reports(nodes: Sequence[ClusterNode], models: Mapping[str, AcceleratorModel]) -> tuple[NodeReport, ...]:
    """One report a node; ``models`` says what the cluster's names of its accelerators stand for. Of a node on which the cluster starts nothing now, all devices are failed, and say why."""
    return tuple(
        _told(node, NodeReport.model_validate(node.report))
        if node.report is not None
        else NodeReport(
            hostname=node.hostname,
            os=node.os,
            architecture=node.architecture,
            boot_id="cluster",
            facts={"cluster_note": node.note} if node.note else {},
            devices=(
                _device(node, CPU_KEY, "cpu", "cluster cores", node.cpus_milli),
                _device(node, MEMORY_KEY, "memory", "cluster memory", node.memory_mib),
                *(_card(node, card, models.get(card.kind)) for card in node.accelerators),
            ),
        )
        for node in nodes
    )


def _told(node: ClusterNode, report: NodeReport) -> NodeReport:
    """What the node says of itself, under the cluster's name for it; nothing is offered where the cluster starts nothing."""
    told = report.model_copy(update={"hostname": node.hostname})
    return told if node.usable else switched_off(told, node.note)


def switched_off(report: NodeReport, note: str) -> NodeReport:
    """The node with all its devices failed for the reason ``note``."""
    off = tuple(d.model_copy(update={"health": "failed", "note": note}) for d in report.devices)
    return report.model_copy(update={"devices": off, "facts": {**report.facts, "cluster_note": note}})


def cluster_grants(nodes: Sequence[ClusterNode]) -> dict[str, dict[str, AcceleratorGrant]]:
    """The engine's view of each accelerator by host name and device key."""
    return {
        node.hostname: {c.key: AcceleratorGrant(c.vendor or c.kind, c.index, c.uuid, c.bus_id) for c in node.accelerators}
        for node in nodes
    }


def _card(node: ClusterNode, card: ClusterAccelerator, model: AcceleratorModel | None) -> DeviceReport:
    made = _device(node, card.key, "accelerator", model.name if model else card.kind, 1000)
    return made.model_copy(update={"memory_mib": model.memory_mib if model else card.memory_mib})


def _device(node: ClusterNode, key: str, kind: str, name: str, capacity: int) -> DeviceReport:
    return DeviceReport.model_validate(
        {
            "key": key,
            "kind": kind,
            "name": name,
            "capacity": capacity,
            "health": "ok" if node.usable else "failed",
            "note": None if node.usable else node.note or "the cluster starts nothing here now",
        }
    )
