"""Turning a plan into a lease: devices are locked, counted again, and taken in the transaction that makes the lease."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update

from zhisuan.base.db import Tx
from zhisuan.execution.tables import Allocation, Lease, PlacementRecord
from zhisuan.placement.types import Candidate, Plan
from zhisuan.supply.tables import Device, Site
from zhisuan.workload import service as workloads
from zhisuan.workload.spec import WorkloadSpec
from zhisuan.workload.tables import Workload

SITE_CHANNEL = "zs_site"
GRACE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Placed:
    """The record of a decision, and the lease with its place where there was one."""

    record: PlacementRecord
    lease: Lease | None
    candidate: Candidate | None = None


def place(tx: Tx, workload: Workload, plan: Plan) -> Placed:
    """Give ``workload`` (pending, locked by the caller) the best candidate whose devices are still free.

    One workload a transaction: locks are taken as workload, site, devices, and those of a candidate that does not fit
    any more are let go before the next is tried, so that placers never wait for each other in a circle.
    """
    taken = next((c for c in plan.candidates if _take(tx, c)), None)
    record = PlacementRecord(
        id=tx.ids.new("plc"), workload_id=workload.id, at=tx.now, chosen_site_id=taken.site_id if taken else None,
        plan=plan.as_dict() | ({"chosen": _chosen(taken)} if taken else {"chosen": None}),
    )  # fmt: skip
    tx.session.add(record)
    tx.session.flush()
    if taken is None:
        return Placed(record, None)
    lease = _make_lease(tx, workload, record, taken)
    workload.attempts += 1
    workloads.move(tx, workload, "placed", "placement", lease_id=lease.id, site_id=lease.site_id)
    tx.notify(SITE_CHANNEL, lease.site_id)
    return Placed(record, lease, taken)


def _chosen(candidate: Candidate) -> dict[str, Any]:
    return {"site_id": candidate.site_id, "site_name": candidate.site_name, "node_hostnames": list(candidate.hostnames)}


class _NotFreeAnyMore(Exception):
    """Leaves the savepoint of a candidate, and with it its locks."""


def _take(tx: Tx, candidate: Candidate) -> bool:
    """Take the candidate's shares if its site is still open and all are still free; devices are locked in id order."""
    try:
        with tx.session.begin_nested():
            _lock_and_take(tx, candidate)
    except _NotFreeAnyMore:
        return False
    return True


def _lock_and_take(tx: Tx, candidate: Candidate) -> None:
    state = tx.session.scalar(select(Site.state).where(Site.id == candidate.site_id).with_for_update(read=True))
    if state != "open":
        raise _NotFreeAnyMore
    amounts = {s.device_id: s.amount for s in candidate.shares}
    rows = tx.session.execute(
        select(Device.id, Device.reported_capacity, Device.allocated)
        .where(Device.id.in_(amounts), Device.present)
        .order_by(Device.id)
        .with_for_update()
    ).all()
    if len(rows) != len(amounts) or any(allocated + amounts[i] > capacity for i, capacity, allocated in rows):
        raise _NotFreeAnyMore
    for device_id, amount in sorted(amounts.items()):
        tx.session.execute(update(Device).where(Device.id == device_id).values(allocated=Device.allocated + amount))


def _make_lease(tx: Tx, workload: Workload, record: PlacementRecord, candidate: Candidate) -> Lease:
    generation = workload.attempts + 1
    lease = Lease(
        id=tx.ids.new("lea"), workload_id=workload.id, generation=generation, org_id=workload.org_id,
        site_id=candidate.site_id, provider_id=candidate.provider_id, node_ids=[n.node_id for n in candidate.nodes], placement_id=record.id,
        quote_id=workload.quote_id, state="offered", desired="run", offer={},
        term_seconds=WorkloadSpec.from_dict(workload.spec).lease_seconds, taken_back=None, rate_udu_per_hour=candidate.rate_udu_per_hour,
        power_milliwatts=candidate.power_milliwatts, pue_milli=candidate.pue_milli, region=candidate.region,
        offered_at=tx.now, accepted_at=None, active_from=None, active_to=None, closed_at=None, ready=None, exit_code=None,
        reason=None, message=None, fault=None, cpu_milliseconds=0, memory_peak_bytes=0,
    )  # fmt: skip
    lease.offer = _offer(workload, lease, candidate)
    tx.session.add(lease)
    tx.session.flush()
    for share in candidate.shares:
        tx.session.add(Allocation(lease_id=lease.id, device_id=share.device_id, amount=share.amount, released_at=None))
    tx.session.flush()
    tx.emit("lease.offered", lease.id, {"workload_id": workload.id, "site_id": lease.site_id, "generation": generation})
    return lease


def _offer(workload: Workload, lease: Lease, candidate: Candidate) -> dict[str, Any]:
    """The agent's message for this lease, without ``desired``, which changes."""
    spec = WorkloadSpec.from_dict(workload.spec)
    uploads: dict[str, str] = workload.spec.get("mount_blobs", {})
    return {
        "lease_id": lease.id,
        "generation": lease.generation,
        "workload_id": workload.id,
        "workload_name": workload.name,
        "nodes": [
            {"hostname": n.hostname, "devices": [{"key": s.key, "kind": s.kind, "amount": s.amount} for s in n.shares]}
            for n in candidate.nodes
        ],
        "setup": spec.setup,
        "run": spec.run,
        "env": {
            **spec.envs,
            "ZHISUAN_WORKLOAD_ID": workload.id,
            "ZHISUAN_LEASE_ID": lease.id,
            "ZHISUAN_CPUS": f"{spec.cpus_milli / 1000:g}",
        },
        "max_seconds": spec.max_seconds,
        "workdir_blob": workload.spec.get("workdir_blob"),
        "mounts": [{"blob_id": blob, "target": target} for target, blob in sorted(uploads.items())],
        "service_port": spec.service.port if spec.service else None,
        "readiness_path": spec.service.readiness_path if spec.service else None,
        "artefacts": list(spec.artefacts),
        "grace_seconds": GRACE_SECONDS,
        "term_seconds": lease.term_seconds,
    }


def release_devices(tx: Tx, lease: Lease) -> None:
    """Give back what a lease holds; a second call finds nothing to give back. A device that has shrunk under its leases
    (see ``supply.take_inventory``) shrinks on."""
    held = tx.session.scalars(
        select(Allocation)
        .where(Allocation.lease_id == lease.id, Allocation.released_at.is_(None))
        .order_by(Allocation.device_id)
        .with_for_update()
    ).all()
    for allocation in held:
        allocation.released_at = tx.now
        tx.session.execute(
            update(Device)
            .where(Device.id == allocation.device_id)
            .values(
                allocated=Device.allocated - allocation.amount,
                capacity=func.greatest(Device.reported_capacity, Device.allocated - allocation.amount),
            )
        )
