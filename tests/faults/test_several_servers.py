"""Two real server processes on one PostgreSQL, agents and tenants behind a proxy; one server is killed again and again."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from fault_city import fill
from sqlalchemy import select, text

from zhisuan.base.clock import SystemClock
from zhisuan.base.db import Database
from zhisuan.base.ids import TimeOrderedIds
from zhisuan.base.secrets import digest
from zhisuan.execution.tables import Lease
from zhisuan.supply import service as supply
from zhisuan.supply.inventory import DeviceRecord, EngineRecord, NodeRecord
from zhisuan.testing.city.checks import bills, books, capacity
from zhisuan.testing.city.city import People
from zhisuan.testing.database import TestServer
from zhisuan.testing.fleet import Fleet, SiteAccess
from zhisuan.testing.servers import FailoverProxy, ServerProcess
from zhisuan.usage.tables import Window
from zhisuan.workload.tables import Workload

SITES = 6
ORDERS = 60
END_SECONDS = 120.0
FILE = "name: small\nresources: {cpus: 1, memory: 1}\nrun: 'true'\n"
NODE = NodeRecord(
    "host", "boot", {},
    (
        DeviceRecord("cpu", "cpu", "cpu-core", "CPU", 8000, None, "ok", None),
        DeviceRecord("memory", "memory", None, "memory", 65536, None, "ok", None),
    ),
)  # fmt: skip


@pytest.fixture
def served(postgres: TestServer) -> Iterator[tuple[Database, People]]:
    """A database in real time, with people in it."""
    with postgres.database() as empty:
        clock = SystemClock()
        database = Database(empty.url, clock, TimeOrderedIds(clock))
        try:
            yield database, fill(database)
        finally:
            database.close()


def open_sites(database: Database, people: People) -> list[SiteAccess]:
    access = []
    for number in range(SITES):
        with database.begin("set-up") as tx:
            made = supply.create_site(
                tx, provider_id=people.provider_org, name=f"site {number}", region="CN-AH", pue_milli=1300
            )
            site = supply.join(tx, made.token, digest(f"zsc_{number}"))
            supply.take_inventory(tx, site, EngineRecord("local", "simulated", "sandbox", False, {}, ()), [NODE])
            supply.change_state(tx, site, "verify")
            supply.change_state(tx, site, "open")
            access.append(SiteAccess(site.id, f"zsc_{number}"))
    return access


async def order(session: aiohttp.ClientSession, url: str, key: str, number: int) -> str:
    """One order, repeated with its key until it is answered: what the SDK does."""
    headers = {"authorization": f"Bearer {key}", "idempotency-key": f"order-{number}"}
    while True:
        try:
            async with session.post(f"{url}/api/v1/workloads", json={"file": FILE}, headers=headers) as answer:
                if answer.status == 201:
                    return str((await answer.json())["workload"]["id"])
                assert answer.status >= 500, await answer.text()
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass
        await asyncio.sleep(0.2)


async def live(
    database: Database, people: People, servers: list[ServerProcess], access: list[SiteAccess], seed: int
) -> list[str]:
    """Orders come in while one server after the other dies and is started again; the ids that the orders were answered with."""
    chance = random.Random(seed)
    async with (
        FailoverProxy([s.port for s in servers]) as proxy,
        Fleet(access, proxy.url, run_seconds=1.5, ramp_seconds=0.5),
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session,
    ):

        async def stream() -> list[str]:
            made = []
            for number in range(ORDERS):
                made.append(asyncio.create_task(order(session, proxy.url, people.rich_key, number)))
                await asyncio.sleep(chance.uniform(0.0, 0.4))
            return list(await asyncio.gather(*made))

        ordering = asyncio.create_task(stream())
        for round_ in range(3):
            await asyncio.sleep(chance.uniform(1.0, 4.0))
            victim = servers[round_ % len(servers)]
            await asyncio.to_thread(victim.kill)
            await asyncio.sleep(chance.uniform(0.5, 3.0))
            await asyncio.to_thread(victim.start)
        ids = await ordering
        async with asyncio.timeout(END_SECONDS):
            while await asyncio.to_thread(unfinished, database):
                await asyncio.sleep(0.5)
        return ids


def unfinished(database: Database) -> int:
    """Open workloads, open leases and windows that are not rated yet."""
    with database.begin() as tx:
        return int(
            tx.session.scalar(
                text(
                    "SELECT (SELECT count(*) FROM workload_workload WHERE state NOT IN ('succeeded','failed','cancelled'))"
                    " + (SELECT count(*) FROM execution_lease WHERE state <> 'closed')"
                    " + (SELECT count(*) FROM usage_window WHERE NOT rated)"
                )
            )
            or 0
        )


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_server_is_noticed_by_nobody(served: tuple[Database, People], tmp_path: Path, seed: int) -> None:
    database, people = served
    access = open_sites(database, people)
    servers = [ServerProcess(database.url, tmp_path, data=tmp_path / "data") for _ in range(2)]
    try:
        for server in servers:
            server.start()
        ids = asyncio.run(live(database, people, servers, access, seed))
    finally:
        for server in servers:
            server.kill()
    with database.begin() as tx:
        known = {w.id: w for w in tx.session.scalars(select(Workload))}
        assert sorted(ids) == sorted(known), "an order was lost, or made twice"
        assert {(w.state, w.attempts) for w in known.values()} == {("succeeded", 1)}
        leases = {x.id: x for x in tx.session.scalars(select(Lease))}
        metered = dict.fromkeys(leases, 0)
        for window in tx.session.scalars(select(Window)):
            metered[window.lease_id] += window.seconds
        for lease in leases.values():
            assert lease.active_from is not None and lease.active_to is not None
            assert metered[lease.id] == int((lease.active_to - lease.active_from).total_seconds())
        assert capacity(tx) + books(tx) + bills(tx) == []
