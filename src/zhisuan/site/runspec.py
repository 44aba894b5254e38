"""From an offer to what the engine is asked to run. Pure."""

from collections.abc import Mapping
from pathlib import Path

from zhisuan.engines.contract import AcceleratorGrant, FileMount, FolderMount, NodeGrant, RunSpec, ServicePort
from zhisuan.wire.site import LeaseOffer, NodeGrantMessage


class DeviceGone(Exception):
    """The offer grants a device that this site does not have (any more)."""


def blob_ids(offer: LeaseOffer) -> tuple[str, ...]:
    """The archives an offer needs, each once."""
    ids = [m.blob_id for m in offer.mounts]
    if offer.workdir_blob is not None:
        ids.append(offer.workdir_blob)
    if offer.checkpoint_id is not None:
        ids.append(offer.checkpoint_id)
    return tuple(dict.fromkeys(ids))


def run_spec(
    offer: LeaseOffer,
    archives: Mapping[str, Path],
    accelerators: Mapping[str, Mapping[str, AcceleratorGrant]],
    secrets: Mapping[str, str],
    folders: Mapping[str, Path] | None = None,
) -> RunSpec:
    """The specification of one run: ``archives`` by blob id, ``accelerators`` by host name and device key, ``secrets`` more
    variables of its environment, ``folders`` of its volumes by target.

    Raises DeviceGone.
    """
    nodes = tuple(_node(grant, accelerators.get(grant.hostname, {})) for grant in offer.nodes)
    first = offer.nodes[0].devices
    return RunSpec(
        lease_id=offer.lease_id,
        generation=offer.generation,
        setup=offer.setup,
        run=offer.run,
        env={**secrets, **offer.env},
        cpus_milli=sum(d.amount for d in first if d.kind == "cpu"),
        memory_mib=sum(d.amount for d in first if d.kind == "memory"),
        nodes=nodes,
        max_seconds=offer.max_seconds,
        workdir_archive=None if offer.workdir_blob is None else archives[offer.workdir_blob],
        mounts=tuple(FileMount(archives[m.blob_id], m.target) for m in offer.mounts),
        service=None if offer.service_port is None else ServicePort(offer.service_port),
        orphan_seconds=offer.term_seconds,
        checkpoint_archive=None if offer.checkpoint_id is None else archives[offer.checkpoint_id],
        on_stop=offer.on_stop,
        grace_seconds=offer.grace_seconds,
        folders=tuple(FolderMount((folders or {})[v.target], v.target, v.mode == "ro") for v in offer.volumes),
    )


def _node(grant: NodeGrantMessage, accelerators: Mapping[str, AcceleratorGrant]) -> NodeGrant:
    granted = [d.key for d in grant.devices if d.kind == "accelerator"]
    gone = [key for key in granted if key not in accelerators]
    if gone:
        raise DeviceGone(f"{grant.hostname} has no accelerator {', '.join(gone)} (any more).")
    return NodeGrant(grant.hostname, tuple(accelerators[key] for key in granted))
