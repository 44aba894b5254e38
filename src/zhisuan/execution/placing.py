"""Turning a plan into a lease: devices are locked, counted again, and taken in the transaction that makes the lease."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, text, update

from zhisuan.base.db import Tx
from zhisuan.execution.checkpoints import current
from zhisuan.execution.tables import Allocation, Checkpoint, Lease, PlacementRecord
from zhisuan.placement.types import Candidate, Plan
from zhisuan.supply.tables import Device, Site
from zhisuan.workload import service as workloads
from zhisuan.workload import tasks, workspace
from zhisuan.workload.reading.mounts import folder_of
from zhisuan.workload.spec import WorkloadSpec
from zhisuan.workload.tables import Workload

SITE_CHANNEL = "zs_site"
TRIED_UNLOCKED = 10
TRIED_AT_ONCE = 50
"""When so many of the best are gone the plan is old: the workload waits, and a moment later is planned again."""


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
    taken = next((c for c in _as_good(plan) if _take(tx, c, wait=False)), None)
    if taken is None:
        taken = next((c for c in plan.candidates[:TRIED_AT_ONCE] if _take(tx, c, wait=True)), None)
    record = PlacementRecord(
        id=tx.ids.new("plc"), workload_id=workload.id, at=tx.now, chosen_site_id=taken.site_id if taken else None,
        plan=plan.as_dict() | ({"chosen": _chosen(taken)} if taken else {"chosen": None}),
    )  # fmt: skip
    tx.session.add(record)
    if taken is None:
        tx.session.flush()
        return Placed(record, None)
    lease = _make_lease(tx, workload, record, taken)
    workload.attempts += 1
    workloads.move(tx, workload, "placed", "placement", lease_id=lease.id, site_id=lease.site_id)
    tx.notify(SITE_CHANNEL, lease.site_id)
    return Placed(record, lease, taken)


def _chosen(candidate: Candidate) -> dict[str, Any]:
    return {"site_id": candidate.site_id, "site_name": candidate.site_name, "node_hostnames": list(candidate.hostnames)}


def _as_good(plan: Plan) -> Iterator[Candidate]:
    """The best candidates that cost the same in money and carbon. Many orders at once all find the same node the best; each takes
    one of these that nobody is at, and need not wait for the others to commit."""
    for candidate in plan.candidates[:TRIED_UNLOCKED]:
        if [p.value for p in candidate.parts[:2]] == [p.value for p in plan.candidates[0].parts[:2]]:
            yield candidate


class _NotFreeAnyMore(Exception):
    """Leaves the savepoint of a candidate, and with it its locks."""


_TAKE_ALL = """WITH asked AS (SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:amounts AS bigint[])) AS a(id, amount)),
       held AS (SELECT device.id, asked.amount FROM supply_device AS device JOIN asked USING (id)
                WHERE device.present AND device.allocated + asked.amount <= device.reported_capacity
                ORDER BY device.id FOR NO KEY UPDATE OF device{})
       UPDATE supply_device SET allocated = allocated + held.amount FROM held
       WHERE supply_device.id = held.id AND (SELECT count(*) FROM held) = :count RETURNING supply_device.id"""
_TAKE_WAITING, _TAKE = (text(_TAKE_ALL.format(how)) for how in ("", " SKIP LOCKED"))


def _take(tx: Tx, candidate: Candidate, *, wait: bool) -> bool:
    """Take the candidate's shares if its site is still open and all are still free; devices are locked in id order, counted
    again under the lock, and taken all or none. Without ``wait`` one that somebody else is just taking counts as not free."""
    try:
        with tx.session.begin_nested():
            _lock_and_take(tx, candidate, wait)
    except _NotFreeAnyMore:
        return False
    return True


def _lock_and_take(tx: Tx, candidate: Candidate, wait: bool) -> None:
    state = tx.session.scalar(select(Site.state).where(Site.id == candidate.site_id).with_for_update(read=True))
    if state != "open":
        raise _NotFreeAnyMore
    amounts = sorted((s.device_id, s.amount) for s in candidate.shares)
    ids, asked = [ident for ident, _ in amounts], [amount for _, amount in amounts]
    taken = tx.session.execute(_TAKE_WAITING if wait else _TAKE, {"ids": ids, "amounts": asked, "count": len(ids)})
    if len(taken.all()) != len(ids):
        raise _NotFreeAnyMore


def _make_lease(tx: Tx, workload: Workload, record: PlacementRecord, candidate: Candidate) -> Lease:
    generation = workload.attempts + 1
    lease = Lease(
        id=tx.ids.new("lea"), workload_id=workload.id, generation=generation, org_id=workload.org_id,
        site_id=candidate.site_id, provider_id=candidate.provider_id, node_ids=[n.node_id for n in candidate.nodes], placement_id=record.id,
        quote_id=workload.quote_id, state="offered", desired="run", offer={},
        term_seconds=WorkloadSpec.from_dict(workload.spec).lease_seconds, taken_back=None, spot=WorkloadSpec.from_dict(workload.spec).survival.spot, preempted_for=None, rate_udu_per_hour=candidate.rate_udu_per_hour,
        power_milliwatts=candidate.power_milliwatts, pue_milli=candidate.pue_milli, region=candidate.region,
        offered_at=tx.now, accepted_at=None, active_from=None, active_to=None, closed_at=None, ready=None, exit_code=None,
        reason=None, message=None, fault=None, cpu_milliseconds=0, memory_peak_bytes=0,
    )  # fmt: skip
    token = tx.ids.secret("zsw") if _needs_token(workload) else ""
    lease.offer = _offer(workload, lease, candidate, current(tx, workload.id), token)
    tx.session.add(lease)
    tx.session.flush()
    for share in candidate.shares:
        tx.session.add(Allocation(lease_id=lease.id, device_id=share.device_id, amount=share.amount, released_at=None))
    tx.emit("lease.offered", lease.id, {"workload_id": workload.id, "site_id": lease.site_id, "generation": generation})
    return lease


def _needs_token(workload: Workload) -> bool:
    """A workspace's session is opened by it; the nodes of one order of tasks know each other by it."""
    nodes: int = workload.spec.get("num_nodes", 1)
    return workload.kind == "workspace" or (nodes > 1 and bool(workload.spec.get("tasks")))


def _script(spec: WorkloadSpec, token: str) -> str:
    """What the site runs: the tenant's own script, or one of the platform's."""
    if spec.workspace:
        return workspace.script(spec.workspace)
    if spec.tasks:
        mine = "OMP_NUM_THREADS" in (*spec.envs, *spec.secrets)
        return tasks.script(spec.tasks, spec.run, share_threads=not mine, nodes=spec.num_nodes, token=token)
    return spec.run


def _readiness_path(spec: WorkloadSpec, workload_id: str) -> str | None:
    if spec.workspace:
        return workspace.readiness_path(workload_id)
    return spec.service.readiness_path if spec.service else None


def _offer(workload: Workload, lease: Lease, candidate: Candidate, kept: Checkpoint | None, token: str) -> dict[str, Any]:
    """The agent's message for this lease, without ``desired``, which changes. ``token``: see ``_needs_token``."""
    spec = WorkloadSpec.from_dict(workload.spec)
    uploads: dict[str, str] = workload.spec.get("mount_blobs", {})
    files = workload.spec.get("mount_files", [])
    folders = {target: folder_of(target) if target in files else target for target in uploads}
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
        "run": _script(spec, token),
        "env": {
            **spec.envs,
            **(workspace.environment(workload.id, token) if spec.workspace else {}),
            "ZHISUAN_WORKLOAD_ID": workload.id,
            "ZHISUAN_LEASE_ID": lease.id,
            **_granted(candidate),
            "ZHISUAN_ATTEMPT": str(lease.generation),
            **({"ZHISUAN_RESTORED": "1"} if kept else {}),
        },
        "max_seconds": spec.max_seconds,
        "workdir_blob": workload.spec.get("workdir_blob"),
        "mounts": [{"blob_id": blob, "target": folders[target]} for target, blob in sorted(uploads.items())],
        "volumes": workload.spec.get("pinned_volumes", []),
        "secrets": list(spec.secrets),
        "service_port": workspace.port_of(token) if spec.workspace else spec.service.port if spec.service else None,
        "readiness_path": _readiness_path(spec, workload.id),
        "artefacts": tasks.artefacts(spec.artefacts) if spec.tasks else list(spec.artefacts),
        "grace_seconds": spec.survival.grace_seconds,
        "on_stop": spec.survival.on_stop,
        "checkpoint_id": kept.id if kept else None,
        "checkpoint_seconds": spec.survival.checkpoint_seconds,
        "idle_seconds": spec.survival.idle_minutes * 60 if spec.survival.idle_minutes else None,
        "term_seconds": lease.term_seconds,
    }


def _granted(candidate: Candidate) -> dict[str, str]:
    """What each node has been given, for the work to see: with alternatives that is known only now."""
    shares = candidate.nodes[0].shares
    cores = sum(s.amount for s in shares if s.kind == "cpu")
    cards = dict.fromkeys(str(s.class_id) for s in shares if s.kind == "accelerator")
    return {"ZHISUAN_CPUS": f"{cores / 1000:g}", **({"ZHISUAN_ACCELERATOR": ",".join(cards)} if cards else {})}


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
