"""From an offer to what the engine is asked to run. Pure."""

from collections.abc import Mapping
from pathlib import Path

from zhisuan.engines.contract import AcceleratorGrant, FileMount, RunSpec, ServicePort
from zhisuan.wire.site import LeaseOffer


class DeviceGone(Exception):
    """The offer grants a device that this site does not have (any more)."""


def blob_ids(offer: LeaseOffer) -> tuple[str, ...]:
    """The archives an offer needs, each once."""
    ids = [m.blob_id for m in offer.mounts]
    if offer.workdir_blob is not None:
        ids.append(offer.workdir_blob)
    return tuple(dict.fromkeys(ids))


def run_spec(offer: LeaseOffer, archives: Mapping[str, Path], accelerators: Mapping[str, AcceleratorGrant]) -> RunSpec:
    """The specification of one run: ``archives`` by blob id, ``accelerators`` by device key. Raises DeviceGone."""
    granted = [d.key for d in offer.devices if d.kind == "accelerator"]
    gone = [key for key in granted if key not in accelerators]
    if gone:
        raise DeviceGone(f"The site has no accelerator {', '.join(gone)} (any more).")
    return RunSpec(
        lease_id=offer.lease_id,
        generation=offer.generation,
        setup=offer.setup,
        run=offer.run,
        env=dict(offer.env),
        cpus_milli=sum(d.amount for d in offer.devices if d.kind == "cpu"),
        memory_mib=sum(d.amount for d in offer.devices if d.kind == "memory"),
        accelerators=tuple(accelerators[key] for key in granted),
        max_seconds=offer.max_seconds,
        workdir_archive=None if offer.workdir_blob is None else archives[offer.workdir_blob],
        mounts=tuple(FileMount(archives[m.blob_id], m.target) for m in offer.mounts),
        service=None if offer.service_port is None else ServicePort(offer.service_port),
    )
