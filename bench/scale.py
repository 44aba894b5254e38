"""One server and its PostgreSQL under many sites and a stream of orders.

    python -m bench.scale [--sites 1000] [--devices 100] [--rate 100] [--seconds 60]

A server process and the embedded PostgreSQL; one process with a simulated agent for each site (real HTTP, real messages,
long polls) that accepts, runs and finishes what it is offered; one process that orders small jobs at a fixed rate, whether
or not the ones before have been answered, and asks for a page of its workloads now and then. Latencies are those of the
ordering process. CPU is read from the kernel's accounts of each process, that of agents and orders apart.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import secrets as system_secrets
import statistics
import sys
import tempfile
import time
import uuid
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from psycopg.types.json import Jsonb
from sqlalchemy import func, insert, select

from zhisuan.api import launching
from zhisuan.app.bootstrap import prepare
from zhisuan.app.installation import Secrets
from zhisuan.app.migrate import migrate
from zhisuan.base.clock import SystemClock
from zhisuan.base.db import Database, Tx
from zhisuan.base.ids import TimeOrderedIds
from zhisuan.base.money import Money
from zhisuan.base.postgres import EmbeddedPostgres
from zhisuan.base.secrets import digest
from zhisuan.execution.tables import Lease
from zhisuan.ledger import service as ledger
from zhisuan.supply import service as supply
from zhisuan.supply.inventory import EngineRecord
from zhisuan.supply.tables import Site
from zhisuan.tenancy import service as tenancy
from zhisuan.testing.fleet import Fleet, SiteAccess
from zhisuan.testing.servers import ServerProcess
from zhisuan.usage.bulk import copy_rows
from zhisuan.workload.reading.file import parse_workload
from zhisuan.workload.tables import Workload

NODES_A_SITE = 10
FILE = "name: small\nresources: {cpus: 1, memory: 1}\nrun: 'true'\n"
ENGINE = EngineRecord("local", "simulated", "sandbox", False, {}, ())


def main() -> None:
    print(json.dumps(measure(_arguments())))


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sites", type=int, default=1000)
    options.add_argument("--devices", type=int, default=100, help="a site")
    options.add_argument("--rate", type=float, default=100.0, help="orders a second")
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--waiting", type=int, default=10_000, help="workloads that wait while a place is looked for")
    options.add_argument("--idle", type=float, default=20.0, help="seconds in which sites only say that they are there")
    given = [] if sys.argv[0] == "-c" else sys.argv[1:]
    return options.parse_args(given)


def measure(wanted: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="zhisuan-scale-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        postgres = EmbeddedPostgres(folder / "postgres")
        url = postgres.start()
        server: ServerProcess | None = None
        try:
            migrate(url)
            key, access = fill(url, wanted.sites, wanted.devices)
            server = ServerProcess(url, folder, data=folder / "data")
            server.start()
            found = run(wanted, server, key, access, postgres_pid(folder / "postgres"))
            found |= progress(url, found["seconds"])
            server.kill()
            server = None
            return found | {"waiting": waiting(url, wanted.waiting)}
        finally:
            if server is not None:
                server.kill()
            postgres.stop()


def fill(url: str, sites: int, devices: int) -> tuple[str, list[SiteAccess]]:
    """A tenant with money and open sites with their devices, written straight into the tables: joining is not measured."""
    clock = SystemClock()
    database = Database(url, clock, TimeOrderedIds(clock))
    prepare(database, Secrets("gateway", "storage", "correct horse battery"))
    with database.begin("bench") as tx:
        tenant = tenancy.sign_up(
            tx, kind="tenant", org_name="t", email="t@example.cn", name="t", password="correct horse battery"
        )
        provider = tenancy.sign_up(
            tx, kind="provider", org_name="p", email="p@example.cn", name="p", password="correct horse battery"
        )
        ledger.top_up(tx, tenant.org_id, Money.yuan("1000000"), "bench", "1", "bench")
    access = []
    for first in range(0, sites, 50):
        with database.begin("bench") as tx:
            for number in range(first, min(sites, first + 50)):
                credential = f"zsc_{system_secrets.token_hex(20)}"
                made = supply.create_site(
                    tx, provider_id=provider.org_id, name=f"site {number}", region="CN-AH", pue_milli=1300
                )
                site = supply.join(tx, made.token, digest(credential))
                site.engine, site.state = ENGINE.as_dict(), "open"
                access.append(SiteAccess(site.id, credential))
            tx.session.flush()
            _equip(tx, [one.site_id for one in access[first:]], devices)
    database.close()
    return tenant.key.secret, access


NODE_COLUMNS = {
    "id": "text", "site_id": "text", "hostname": "text", "facts": "jsonb", "boot_id": "text", "present": "bool",
    "updated_at": "timestamptz",
}  # fmt: skip
DEVICE_COLUMNS = {
    "id": "text", "node_id": "text", "key": "text", "kind": "text", "class_id": "text", "name": "text", "capacity": "int8",
    "reported_capacity": "int8", "allocated": "int8", "memory_mib": "int8", "health": "text", "note": "text", "present": "bool",
}  # fmt: skip


def _equip(tx: Tx, site_ids: list[str], devices: int) -> None:
    kinds = [("cpu", "cpu", "cpu-core", 128_000), ("memory", "memory", None, 1 << 20)]
    cards = max(0, devices // NODES_A_SITE - 2)
    kinds += [(f"gpu{i}", "accelerator", "nvidia-a100-sxm4-80g", 1000) for i in range(cards)]
    nodes = [
        (tx.ids.new("node"), site_id, f"host{n}", Jsonb({}), "b", True, tx.now)
        for site_id in site_ids
        for n in range(NODES_A_SITE)
    ]
    copy_rows(tx.session, "supply_node", NODE_COLUMNS, nodes)
    rows = (
        (tx.ids.new("dev"), node[0], key, kind, class_id, key, capacity, capacity, 0, None, "ok", None, True)
        for node in nodes
        for key, kind, class_id, capacity in kinds
    )
    copy_rows(tx.session, "supply_device", DEVICE_COLUMNS, rows)


def postgres_pid(folder: Path) -> int:
    return int((folder / "postmaster.pid").read_text().splitlines()[0])


def _fleet(access: list[SiteAccess], url: str, seconds: float, pipe: Any) -> None:
    async def go() -> None:
        async with Fleet(access, url, ramp_seconds=min(15.0, len(access) / 50)) as fleet:
            await asyncio.to_thread(pipe.recv)
            before = {kind: len(spans) for kind, spans in fleet.stats.calls.items()}
            cpu = time.process_time()
            await asyncio.sleep(seconds)
            spans = {kind: found[before[kind] :] for kind, found in fleet.stats.calls.items()}
            pipe.send({
                "calls": {kind: len(found) for kind, found in spans.items()}, "sync_ms": _latency(spans["sync"]),
                "usage_ms": _latency(spans["usage"]), "failures": dict(fleet.stats.failures),
                "offered": fleet.stats.offered, "finished": fleet.stats.finished,
                "cpu_cores": round((time.process_time() - cpu) / seconds, 2),
            })  # fmt: skip

    asyncio.run(go())


def run(
    wanted: argparse.Namespace, server: ServerProcess, key: str, access: list[SiteAccess], database: int
) -> dict[str, Any]:
    """Agents first, then orders for ``seconds``."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    url = server.url
    agents = multiprocessing.get_context("spawn").Process(target=_fleet, args=(access, url, wanted.seconds, there))
    agents.start()
    time.sleep(min(15.0, len(access) / 50) + 8)
    watched = {"server": server.pid, "database": database}
    before = {name: _cpu_seconds(pid) for name, pid in watched.items()}
    time.sleep(wanted.idle)
    idle = {
        f"{name}_cpu_cores": round((_cpu_seconds(pid) - before[name]) / wanted.idle, 3) for name, pid in watched.items()
    } | {"seconds": wanted.idle}
    before = {name: _cpu_seconds(pid) for name, pid in watched.items()}
    here.send("begin")
    began = time.monotonic()
    orders = asyncio.run(_order(url, key, wanted.rate, wanted.seconds))
    took = time.monotonic() - began
    spent = {name: _cpu_seconds(pid) - before[name] for name, pid in watched.items()}
    used = {name: round(seconds / took, 2) for name, seconds in spent.items()}
    each = {name: round(1000 * seconds / max(1, orders["answered"]), 1) for name, seconds in spent.items()}
    memory = {name: _memory_mib(pid) for name, pid in watched.items()}
    fleet = here.recv() if here.poll(30) else {}
    agents.terminate()
    agents.join()
    return {
        "what": "one server and its PostgreSQL under simulated sites and a stream of orders",
        "sites": wanted.sites, "devices": wanted.sites * wanted.devices, "orders_a_second_wanted": wanted.rate,
        "seconds": round(took, 1), "cores_of_machine": os.cpu_count(), "load_average": os.getloadavg()[0],
        "api": orders, "cpu_cores": used, "cpu_ms_an_admission": each, "idle": idle, "memory_mib": memory,
        "agents": fleet,
    }  # fmt: skip


async def _order(url: str, key: str, rate: float, seconds: float) -> dict[str, Any]:
    launched: list[float] = []
    listed: list[float] = []
    failures: dict[str, int] = {}
    cpu = time.process_time()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one(method: str, path: str, into: list[float], body: Any) -> None:
            headers = {"authorization": f"Bearer {key}", "idempotency-key": str(uuid.uuid4())}
            began = time.monotonic()
            try:
                async with session.request(method, f"{url}/api/v1{path}", json=body, headers=headers) as answer:
                    await answer.read()
                    status = str(answer.status)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                status = type(error).__name__
            if status in ("200", "201"):
                into.append(time.monotonic() - began)
            else:
                failures[status] = failures.get(status, 0) + 1

        began = time.monotonic()
        tasks = []
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            tasks.append(asyncio.create_task(one("POST", "/workloads", launched, {"file": FILE})))
            if number % 10 == 0:
                tasks.append(asyncio.create_task(one("GET", "/workloads?limit=20", listed, None)))
        await asyncio.wait(tasks, timeout=30)
        unanswered = sum(not task.done() for task in tasks)
    spent = time.monotonic() - began
    return {
        "launch_ms": _latency(launched), "list_ms": _latency(listed), "answered": len(launched), "failures": failures,
        "unanswered_after_30_s": unanswered, "admissions_a_second": round(len(launched) / spent, 1),
        "target_p99_ms": 200, "client_cpu_cores": round((time.process_time() - cpu) / spent, 2),
    }  # fmt: skip


def _latency(seconds: list[float]) -> dict[str, float] | None:
    if len(seconds) < 2:
        return None
    cut = statistics.quantiles(seconds, n=100)
    return {
        "p50": round(cut[49] * 1000, 1),
        "p90": round(cut[89] * 1000, 1),
        "p99": round(cut[98] * 1000, 1),
        "max": round(max(seconds) * 1000, 1),
    }


def _tree(pid: int) -> list[psutil.Process]:
    top = psutil.Process(pid)
    return [top, *top.children(recursive=True)]


def _cpu_seconds(pid: int) -> float:
    """Of a process and its children; a backend of the database that has ended counts with the one that waited for it."""
    total = 0.0
    for process in _tree(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
        if process.pid == pid:
            total += times.children_user + times.children_system
    return total


def _memory_mib(pid: int) -> int:
    """Proportional share, so that the database's shared buffers count once."""
    total = 0
    for process in _tree(pid):
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total >> 20


def waiting(url: str, count: int) -> dict[str, Any]:
    """What one pass of the placement step costs with ``count`` workloads that wait, of twenty different needs that no node has free:
    CPU of this process, which reads the whole snapshot and all specifications in the first pass."""
    clock = SystemClock()
    database = Database(url, clock, TimeOrderedIds(clock))
    spec = parse_workload(FILE)
    with database.begin("bench") as tx:
        org_id, quote_id = tx.session.execute(select(Workload.org_id, Workload.quote_id).limit(1)).one()
        rows = [
            {
                "id": tx.ids.new("job"), "org_id": org_id, "project_id": "prj", "kind": "job", "name": "waits", "state": "pending",
                "spec": replace(spec, cpus_milli=1000 * (1 + n % 20), accelerators=(("A100", 9),)).as_dict(), "file": FILE,
                "quote_id": quote_id, "created_by": "bench", "created_at": tx.now, "attempts": 0, "restarts_left": 0,
            }
            for n in range(count)
        ]  # fmt: skip
        tx.session.execute(insert(Workload), rows)
    passes = []
    for _ in range(3):
        began, cpu = time.monotonic(), time.process_time()
        with database.begin("bench") as tx:
            launching.placeable(tx, timedelta(days=1))
        passes.append({
            "cpu_ms": round(1000 * (time.process_time() - cpu), 1), "wall_ms": round(1000 * (time.monotonic() - began), 1)
        })  # fmt: skip
    database.close()
    return {"workloads": count, "needs": 20, "passes": passes}


def progress(url: str, seconds: float) -> dict[str, Any]:
    """How far the orders came, from the tables."""
    clock = SystemClock()
    database = Database(url, clock, TimeOrderedIds(clock))
    with database.begin() as tx:
        states = dict(tx.session.execute(select(Workload.state, func.count()).group_by(Workload.state)).all())
        leases = tx.session.scalar(select(func.count()).select_from(Lease)) or 0
        silent = tx.session.scalar(select(func.count()).select_from(Site).where(Site.last_seen_at.is_(None))) or 0
    database.close()
    return {"workloads": states, "placements_a_second": round(leases / seconds, 1), "sites_never_heard": silent}


if __name__ == "__main__":
    main()
