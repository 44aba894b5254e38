"""Sites, workloads and reports, made straight through the services: what the tests of this folder stand on."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from zhisuan.base import secrets
from zhisuan.base.db import Database, Tx
from zhisuan.catalog.device_classes import load_device_classes
from zhisuan.execution import service as execution
from zhisuan.execution.placing import Placed, place
from zhisuan.execution.snapshot import class_facts, take_snapshot
from zhisuan.execution.tables import Allocation, Lease
from zhisuan.placement.rules import plan
from zhisuan.placement.types import Need, Plan
from zhisuan.supply import service as supply
from zhisuan.supply.inventory import DeviceRecord, EngineRecord, NodeRecord
from zhisuan.supply.tables import Device, Site
from zhisuan.tenancy import service as tenancy
from zhisuan.wire.site import LeasePhase, LeaseReport, ProgressReport
from zhisuan.workload import service as workloads
from zhisuan.workload.spec import ServiceSpec, WorkloadSpec
from zhisuan.workload.tables import Workload, WorkloadEvent

ENGINE = EngineRecord("local", "1", "sandbox", False, {}, ())
TTL = timedelta(days=400)
CLASSES = class_facts(
    (c.class_id, c.model, c.published_rate_udu_per_hour, c.power_watts_rated, c.memory_mib) for c in load_device_classes()
)
LIVE = ("offered", "accepted", "active")


def node(name: str, *, cores: int = 4, memory_mib: int = 8192, cards: int = 0) -> NodeRecord:
    devices = [
        DeviceRecord("cpu", "cpu", "cpu-core", "CPU", cores * 1000, None, "ok", None),
        DeviceRecord("memory", "memory", None, "memory", memory_mib, None, "ok", None),
        *(
            DeviceRecord(f"gpu{n}", "accelerator", "nvidia-a100-sxm4-80g", "A100", 1000, 81920, "ok", None)
            for n in range(cards)
        ),
    ]
    return NodeRecord(name, "boot", {}, tuple(devices))


def provider(database: Database) -> str:
    with database.begin() as tx:
        number = tx.ids.new("evt")
        made = tenancy.sign_up(
            tx,
            kind="provider",
            org_name=f"p {number}",
            email=f"{number}@example.cn",
            name="p",
            password="long enough 1",
        )
        return made.org_id


def open_site(database: Database, provider_id: str, nodes: Sequence[NodeRecord]) -> str:
    """A site that has joined, reported ``nodes`` and was opened; its id."""
    with database.begin() as tx:
        invited = supply.create_site(
            tx, provider_id=provider_id, name=tx.ids.new("site"), region="CN-AH", pue_milli=1400
        )
        site = supply.join(tx, invited.token, secrets.digest(tx.ids.secret("zsc")))
        supply.take_inventory(tx, site, ENGINE, nodes)
        supply.change_state(tx, site, "verify")
        supply.change_state(tx, site, "open")
        return site.id


def spec(
    cpus_milli: int = 1000,
    memory_mib: int = 1024,
    cards: int = 0,
    *,
    restarts: int = 3,
    service: bool = False,
) -> WorkloadSpec:
    return WorkloadSpec(
        name="w", run="true", setup=None, envs={}, cpus_milli=cpus_milli, memory_mib=memory_mib,
        accelerators=(("A100", cards),) if cards else (), service=ServiceSpec(8080) if service else None, workdir=None,
        file_mounts={}, artefacts=(), max_seconds=None, restarts=restarts,
    )  # fmt: skip


def new_workload(tx: Tx, what: WorkloadSpec, org_id: str = "org_tenant") -> Workload:
    return workloads.create(
        tx, org_id=org_id, project_id="prj", spec=what, file="", quote_id="quo", by="usr", stored=what.as_dict()
    )


def plan_for(tx: Tx, what: WorkloadSpec, site_id: str | None = None) -> Plan:
    snapshot = take_snapshot(tx, classes=CLASSES, price_e8_per_du=400_000_000, cpu_with_accelerator_free=True, ttl=TTL)
    made = plan(snapshot, Need(what.cpus_milli, what.memory_mib, what.accelerators))
    if site_id is None:
        return made
    kept = tuple(c for c in made.candidates if c.site_id == site_id)
    return Plan(kept, made.rejections, made.could_ever_fit, made.reason)


def place_one(database: Database, workload_id: str, site_id: str | None = None) -> Placed | None:
    """Place a waiting workload as the reconciler does; None where it does not wait or somebody else is at it."""
    with database.begin("placement") as tx:
        found = tx.session.scalar(
            select(Workload)
            .where(Workload.id == workload_id, Workload.state == "pending")
            .with_for_update(skip_locked=True)
        )
        if found is None:
            return None
        return place(tx, found, plan_for(tx, WorkloadSpec.from_dict(found.spec), site_id))


def launched(database: Database, what: WorkloadSpec | None = None, site_id: str | None = None) -> tuple[str, str]:
    """A workload that has a lease: both ids."""
    with database.begin() as tx:
        workload_id = new_workload(tx, what or spec()).id
    placed = place_one(database, workload_id, site_id)
    assert placed is not None and placed.lease is not None
    return workload_id, placed.lease.id


def report(lease_id: str, phase: str, generation: int = 1, **more: Any) -> LeaseReport:
    if "progress" in more:
        more["progress"] = ProgressReport(fraction_ppm=more["progress"], message="")
    return LeaseReport(lease_id=lease_id, generation=generation, phase=LeasePhase(phase), **more)


def say(database: Database, site_id: str, *reports: LeaseReport) -> int:
    """Take in reports as the wire does; how many were news."""
    with database.begin(site_id) as tx:
        news = execution.news(tx, site_id, reports)
    if news:
        with database.begin(site_id) as tx:
            execution.apply_reports(tx, site_id, news)
    return len(news)


def say_unasked(database: Database, site_id: str, one: LeaseReport) -> None:
    """Apply a report although it may be no news: what happens when the state moved between the look and the change."""
    with database.begin(site_id) as tx:
        execution.apply_reports(tx, site_id, [one])


def lease_of(database: Database, lease_id: str) -> Lease:
    with database.begin() as tx:
        return tx.session.get_one(Lease, lease_id)


def workload_of(database: Database, workload_id: str) -> Workload:
    with database.begin() as tx:
        return tx.session.get_one(Workload, workload_id)


def states(database: Database, workload_id: str, lease_id: str) -> tuple[str, str]:
    return workload_of(database, workload_id).state, lease_of(database, lease_id).state


def allocated(database: Database) -> dict[str, int]:
    """By kind of device."""
    with database.begin() as tx:
        rows = tx.session.execute(select(Device.kind, func.sum(Device.allocated)).group_by(Device.kind))
        return {kind: int(amount) for kind, amount in rows}


def check_capacity(tx: Tx) -> None:
    """Rule 1, from the rows themselves: what devices say is taken is what live leases hold, and never more than there is."""
    held: Counter[str] = Counter()
    for device_id, amount, state in tx.session.execute(
        select(Allocation.device_id, Allocation.amount, Lease.state)
        .join(Lease, Lease.id == Allocation.lease_id)
        .where(Allocation.released_at.is_(None))
    ):
        assert state in LIVE, "a lease that has ended still holds a device"
        held[device_id] += amount
    for device in tx.session.scalars(select(Device)):
        assert device.allocated == held[device.id] <= device.capacity
    holding = set(tx.session.scalars(select(Allocation.lease_id).where(Allocation.released_at.is_(None))))
    assert holding == set(tx.session.scalars(select(Lease.id).where(Lease.state.in_(LIVE))))


def check_life_cycles(tx: Tx, workload_ids: Iterable[str]) -> None:
    """Rules that hold between any two steps, for each workload with its leases and events."""
    allowed = {
        "pending": set(), "placed": {"offered"}, "starting": {"accepted", "ending"}, "running": {"active", "ending"},
    }  # fmt: skip
    for workload_id in workload_ids:
        workload = tx.session.get_one(Workload, workload_id)
        leases = list(
            tx.session.scalars(select(Lease).where(Lease.workload_id == workload_id).order_by(Lease.generation))
        )
        assert [x.generation for x in leases] == list(range(1, workload.attempts + 1))
        assert workload.attempts <= 1 + workload.spec["restarts"]
        assert workload.restarts_left >= 0
        now_open = [x for x in leases if x.state != "closed"]
        assert len(now_open) <= 1 and all(x.state == "closed" for x in leases[:-1])
        for x in leases:
            assert (x.closed_at is not None) == (x.state == "closed")
            assert x.active_to is None or (x.active_from is not None and x.active_to >= x.active_from >= x.offered_at)
            assert x.active_from is None or x.state not in ("ending", "closed") or x.active_to is not None
        events = [
            e.state
            for e in tx.session.scalars(
                select(WorkloadEvent).where(WorkloadEvent.workload_id == workload_id).order_by(WorkloadEvent.number)
            )
        ]
        ends = [s for s in events if s in workloads.FINAL_STATES]
        if workload.state in workloads.FINAL_STATES:
            assert ends == [workload.state] == events[-1:]
            assert workload.ended_at is not None and not now_open
        else:
            assert not ends and workload.ended_at is None
            assert {x.state for x in now_open} <= allowed[workload.state]
            assert bool(now_open) == (workload.state != "pending")


def closings(tx: Tx) -> Counter[str]:
    from zhisuan.base.outbox import OutboxEvent

    return Counter(tx.session.scalars(select(OutboxEvent.subject).where(OutboxEvent.kind == "lease.closed")))


def site_of(database: Database, site_id: str) -> Site:
    with database.begin() as tx:
        return tx.session.get_one(Site, site_id)


def at(database: Database, seconds: int = 0) -> datetime:
    return database.clock.now() + timedelta(seconds=seconds)
