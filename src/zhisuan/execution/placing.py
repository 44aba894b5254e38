"""Turning a plan into a lease: devices are locked, counted again, and taken in the transaction that makes the lease."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, text

from zhisuan.base.db import Tx
from zhisuan.execution.checkpoints import current
from zhisuan.execution.tables import Allocation, Checkpoint, Lease, PlacementRecord
from zhisuan.placement.queueing.types import amounts_taken
from zhisuan.placement.types import Candidate, Plan
from zhisuan.supply.tables import Site
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
    return settle(tx, workload, plan, take(tx, plan))


def take(tx: Tx, plan: Plan) -> Candidate | None:
    """Take the devices of the best candidate where they are free, waiting for those that somebody else is just taking."""
    taken = next((c for c in as_good(plan) if _take(tx, c, wait=False)), None)
    return taken or next((c for c in plan.candidates[:TRIED_AT_ONCE] if _take(tx, c, wait=True)), None)


def hold_sites(tx: Tx, plans: Sequence[Plan]) -> frozenset[str]:
    """Keep the sites that these plans would like best as they are until the transaction ends, but for those that somebody is at;
    the ids of the open ones."""
    ids = sorted({c.site_id for plan in plans for c in as_good(plan)})
    query = select(Site.id, Site.state).where(Site.id.in_(ids)).order_by(Site.id).with_for_update(read=True, skip_locked=True)
    return frozenset(ident for ident, state in tx.session.execute(query) if state == "open")


def settle(tx: Tx, workload: Workload, plan: Plan, taken: Candidate | None) -> Placed:
    """Record what was decided, and the lease of what was taken."""
    record = PlacementRecord(
        id=tx.ids.new("plc"), workload_id=workload.id, at=tx.now, chosen_site_id=taken.site_id if taken else None,
        plan=plan.as_dict() | ({"chosen": _chosen(taken)} if taken else {"chosen": None}),
    )  # fmt: skip
    tx.session.add(record)
    if taken is None:
        return Placed(record, None)
    lease = _make_lease(tx, workload, record, taken)
    workload.attempts += 1
    workloads.move(tx, workload, "placed", "placement", lease_id=lease.id, site_id=lease.site_id)
    tx.notify(SITE_CHANNEL, lease.site_id)
    return Placed(record, lease, taken)


def _chosen(candidate: Candidate) -> dict[str, Any]:
    return {"site_id": candidate.site_id, "site_name": candidate.site_name, "node_hostnames": list(candidate.hostnames)}


def as_good(plan: Plan) -> Iterator[Candidate]:
    """The best candidates that cost the same in money and carbon. Many orders at once all find the same node the best; each takes
    one of these that nobody is at, and need not wait for the others to commit."""
    for candidate in plan.candidates[:TRIED_UNLOCKED]:
        if [p.value for p in candidate.parts[:2]] == [p.value for p in plan.candidates[0].parts[:2]]:
            yield candidate


class _NotFreeAnyMore(Exception):
    """Leaves the savepoint of a candidate, and with it its locks."""


_TAKE_ALL = """WITH asked AS (SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:amounts AS bigint[])) AS a(id, amount)),
       free AS (SELECT count(*) AS devices FROM supply_device AS device JOIN asked USING (id)
                WHERE device.present AND device.allocated + asked.amount <= device.reported_capacity),
       held AS (SELECT device.id, asked.amount FROM supply_device AS device JOIN asked USING (id) CROSS JOIN free
                WHERE {} device.present AND device.allocated + asked.amount <= device.reported_capacity
                ORDER BY device.id FOR NO KEY UPDATE OF device{})
       UPDATE supply_device SET allocated = allocated + held.amount FROM held
       WHERE supply_device.id = held.id AND (SELECT count(*) FROM held) = :count RETURNING supply_device.id"""
_TAKE_WAITING = text(_TAKE_ALL.format("", ""))
_TAKE = text(_TAKE_ALL.format("free.devices = :count AND", " SKIP LOCKED"))
"""The latter looks first, so that it locks nothing where something is missing. What it locks and then does not take, since somebody
was faster in between, keeps others waiting but never waits itself."""


def _take(tx: Tx, candidate: Candidate, *, wait: bool) -> bool:
    """Take the candidate's shares if its site is still open and all are still free; devices are locked in id order, counted
    again under the lock, and taken all or none. Without ``wait`` one that somebody else is just taking counts as not free."""
    try:
        with tx.session.begin_nested():
            query = select(Site.state).where(Site.id == candidate.site_id).with_for_update(read=True)
            if tx.session.scalar(query) != "open" or not _take_devices(tx, candidate, wait):
                raise _NotFreeAnyMore
    except _NotFreeAnyMore:
        return False
    return True


def _take_devices(tx: Tx, candidate: Candidate, wait: bool) -> bool:
    amounts = sorted((s.device_id, s.amount) for s in candidate.shares)
    ids, asked = [ident for ident, _ in amounts], [amount for _, amount in amounts]
    taken = tx.session.execute(_TAKE_WAITING if wait else _TAKE, {"ids": ids, "amounts": asked, "count": len(ids)})
    return len(taken.all()) == len(ids)


def _make_lease(tx: Tx, workload: Workload, record: PlacementRecord, candidate: Candidate) -> Lease:
    generation = workload.attempts + 1
    spec = WorkloadSpec.from_dict(workload.spec)
    taken = amounts_taken(candidate)
    lease = Lease(
        id=tx.ids.new("lea"), workload_id=workload.id, generation=generation, org_id=workload.org_id, project_id=workload.project_id,
        cards_milli=taken.cards_milli, cores_milli=taken.cores_milli, used_noted=False,
        site_id=candidate.site_id, provider_id=candidate.provider_id, node_ids=[n.node_id for n in candidate.nodes], placement_id=record.id,
        quote_id=workload.quote_id, state="offered", desired="run", offer={},
        term_seconds=spec.lease_seconds, taken_back=None, spot=spec.survival.spot, preempted_for=None,
        rate_udu_per_hour=candidate.rate_udu_per_hour, power_milliwatts=candidate.power_milliwatts,
        pue_milli=candidate.pue_milli, region=candidate.region,
        offered_at=tx.now, accepted_at=None, active_from=None, active_to=None, closed_at=None, ready=None, exit_code=None,
        reason=None, message=None, fault=None, cpu_milliseconds=0, memory_peak_bytes=0,
    )  # fmt: skip
    token = tx.ids.secret("zsw") if _needs_token(workload) else ""
    kept = current(tx, workload.id) if workload.attempts else None
    lease.offer = _offer(workload, spec, lease, candidate, kept, token)
    tx.session.add(lease)
    lease.allocations.extend(Allocation(device_id=s.device_id, amount=s.amount, released_at=None) for s in candidate.shares)
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


def _offer(
    workload: Workload, spec: WorkloadSpec, lease: Lease, candidate: Candidate, kept: Checkpoint | None, token: str
) -> dict[str, Any]:
    """The agent's message for this lease, without ``desired``, which changes. ``token``: see ``_needs_token``."""
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


_RELEASE = text(
    """WITH given AS (UPDATE execution_allocation SET released_at = :now
         WHERE lease_id = ANY(CAST(:leases AS text[])) AND released_at IS NULL RETURNING device_id, amount),
       sums AS (SELECT device_id, CAST(sum(amount) AS bigint) AS amount FROM given GROUP BY device_id),
       held AS (SELECT device.id, sums.amount FROM supply_device AS device JOIN sums ON sums.device_id = device.id
                ORDER BY device.id FOR NO KEY UPDATE OF device)
       UPDATE supply_device SET allocated = allocated - held.amount,
         capacity = greatest(reported_capacity, allocated - held.amount) FROM held WHERE supply_device.id = held.id"""
)


def release_devices(tx: Tx, lease_ids: Sequence[str]) -> None:
    """Give back what leases, locked by the caller, hold; a second call finds nothing to give back. A device that has shrunk under
    its leases (see ``supply.take_inventory``) shrinks on."""
    if lease_ids:
        tx.session.execute(_RELEASE, {"now": tx.now, "leases": list(lease_ids)})
