"""What this host has to offer, told as one node of a cluster. Pure."""

from collections.abc import Iterable, Mapping

from zhisuan.engines.contract import AcceleratorGrant, ClusterAccelerator, ClusterNode
from zhisuan.site.inventory import CPU_KEY, MEMORY_KEY
from zhisuan.wire.site import DeviceReport, NodeReport


def as_node(report: NodeReport, grants: Mapping[str, AcceleratorGrant], name: str) -> ClusterNode:
    """``grants``: the host's accelerators by device key."""
    by_key = {device.key: device for device in report.devices}
    cards = tuple(_card(device, grants[device.key]) for device in report.devices if device.key in grants)
    return ClusterNode(
        hostname=name,
        cpus_milli=by_key[CPU_KEY].capacity,
        memory_mib=by_key[MEMORY_KEY].capacity,
        accelerators=cards,
        os=report.os,
        architecture=report.architecture,
        report=report.model_dump(mode="json"),
    )


def _card(device: DeviceReport, grant: AcceleratorGrant) -> ClusterAccelerator:
    return ClusterAccelerator(
        device.key, grant.index, device.name, grant.vendor, grant.uuid, device.memory_mib, grant.bus_id
    )


def keys_in_use(used: Iterable[AcceleratorGrant], grants: Mapping[str, AcceleratorGrant]) -> frozenset[str]:
    """The device keys of cards that runs hold."""
    held = {(grant.vendor, grant.index) for grant in used}
    return frozenset(key for key, grant in grants.items() if (grant.vendor, grant.index) in held)
