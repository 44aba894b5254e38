"""A real server process, a real agent, real work: very much output, and a network that is cut in the middle."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from agent_process import AgentProcess
from sqlalchemy import func, select

from zhisuan.app.bootstrap import prepare
from zhisuan.app.installation import Secrets
from zhisuan.base.clock import SystemClock
from zhisuan.base.db import Database
from zhisuan.base.ids import TimeOrderedIds
from zhisuan.base.money import Money
from zhisuan.execution.tables import Lease, LogPiece
from zhisuan.ledger import service as ledger
from zhisuan.supply import service as supply
from zhisuan.supply.tables import Site
from zhisuan.tenancy import service as tenancy
from zhisuan.testing.city.checks import bills, books, capacity
from zhisuan.testing.database import TestServer
from zhisuan.testing.servers import FailoverProxy, ServerProcess
from zhisuan.usage.tables import Window
from zhisuan.workload.tables import Workload

pytestmark = pytest.mark.slow

LOG_BYTES = int(os.environ.get("ZHISUAN_TEST_LOG_BYTES", str(200 * 10**6)))
MIB = 1024**2


class Way:
    """What stands between agent and server, in a thread of its own; ``cut`` takes it away with all its connections."""

    def __init__(self, port: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._proxy = FailoverProxy([port])
        self.url = self._proxy.url
        self.restore()

    def restore(self) -> None:
        asyncio.run_coroutine_threadsafe(self._proxy.__aenter__(), self._loop).result(20)

    def cut(self) -> None:
        asyncio.run_coroutine_threadsafe(self._proxy.__aexit__(), self._loop).result(20)

    def close(self) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()


@dataclass
class Installation:
    database: Database
    server: ServerProcess
    agent: AgentProcess
    way: Way
    key: str

    def call(self, method: str, path: str, **more: Any) -> Any:
        headers = {"authorization": f"Bearer {self.key}", "idempotency-key": os.urandom(8).hex()}
        answer = httpx.request(method, f"{self.server.url}/api/v1{path}", headers=headers, timeout=60, **more)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def launch(self, run: str) -> str:
        file = f"name: it\nresources: {{cpus: 1, memory: 1}}\nrun: |\n  {run}\n"
        made: str = self.call("POST", "/workloads", json={"file": file})["workload"]["id"]
        return made

    def wait(self, what: str, condition: Callable[[], Any], seconds: float = 240) -> Any:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if found := condition():
                return found
            time.sleep(0.2)
        raise AssertionError(f"waited {seconds} s for {what}; the agent says: {self.agent.log[-2000:]}")

    def ended(self, job: str) -> Any:
        return self.wait("the end", lambda: (w := self.call("GET", f"/workloads/{job}"))["state"] == "succeeded" and w)


@contextmanager
def installation(postgres: TestServer, folder: Path) -> Iterator[Installation]:
    folder.chmod(0o755)
    with postgres.database() as empty:
        clock = SystemClock()
        database = Database(empty.url, clock, TimeOrderedIds(clock))
        prepare(database, Secrets("gateway", "storage", "correct horse battery"))
        with database.begin("set-up") as tx:
            people = [
                tenancy.sign_up(tx, kind=kind, org_name=kind, email=f"{kind}@example.cn", name=kind, password="correct horse battery")
                for kind in ("tenant", "provider")
            ]  # fmt: skip
            ledger.top_up(tx, people[0].org_id, Money.yuan("1000"), "test", people[0].org_id, "operator")
            made = supply.create_site(tx, provider_id=people[1].org_id, name="site", region="CN-AH", pue_milli=1300)
            site_id, token = made.site.id, made.token
        server = ServerProcess(empty.url, folder, data=folder / "data")
        server.start()
        way = Way(server.port)
        engine = {"allow_unisolated": True, "log_bytes_max": 2 * LOG_BYTES}
        agent = AgentProcess(folder, way.url, join_token=token, engine=engine).start()
        here = Installation(database, server, agent, way, people[0].key.secret)
        try:
            here.wait("the inventory", lambda: open_site(database, site_id))
            yield here
        finally:
            agent.close()
            way.close()
            server.kill()
            database.close()


def open_site(database: Database, site_id: str) -> bool:
    with database.begin("operator") as tx:
        site = tx.session.get_one(Site, site_id)
        if not site.engine:
            return False
        supply.change_state(tx, site, "verify")
        supply.change_state(tx, site, "open")
    return True


@pytest.fixture(scope="module")
def here(postgres: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(postgres, tmp_path_factory.mktemp("survival")) as made:
        yield made


def pieces_bytes(database: Database) -> int:
    with database.begin() as tx:
        return tx.session.scalar(select(func.coalesce(func.sum(func.length(LogPiece.data)), 0))) or 0


def test_very_much_output_costs_neither_memory_nor_database(here: Installation) -> None:
    """Each line has its number, so any page can be checked by itself."""
    lines = LOG_BYTES // 20
    job = here.launch(f"seq -f %019.0f 1 {lines}")
    agent, server = psutil.Process(here.agent.pid), psutil.Process(here.server.pid)
    small = server.memory_info().rss
    most = {"agent": 0, "server": 0, "database": 0}

    def look() -> Any:
        most["agent"] = max(most["agent"], agent.memory_info().rss)
        most["server"] = max(most["server"], server.memory_info().rss)
        most["database"] = max(most["database"], pieces_bytes(here.database))
        return here.call("GET", f"/workloads/{job}")["state"] == "succeeded"

    began = time.monotonic()
    here.wait("the end", look, 60 + LOG_BYTES / 10**6)
    took = time.monotonic() - began
    here.wait("the output to leave the database", lambda: pieces_bytes(here.database) == 0, 120 + LOG_BYTES / 10**6)
    print({k: f"{v / MIB:.0f} MiB" for k, v in most.items()}, f"server at rest {small / MIB:.0f} MiB", f"{took:.0f} s")
    assert most["agent"] < 150 * MIB
    assert most["server"] < small + 120 * MIB
    for place in (0, lines // 3, lines - 3000):
        page = here.call("GET", f"/workloads/{job}/logs?offset={place * 20}&limit=40000")
        assert page["text"] == "".join(f"{n:019d}\n" for n in range(place + 1, place + 2001))
    last = here.call("GET", f"/workloads/{job}/logs?offset={lines * 20}")
    assert (last["text"], last["complete"]) == ("", True)


def test_a_cut_network_costs_neither_work_nor_a_second(here: Installation) -> None:
    job = here.launch("for i in $(seq 1 40); do echo tick $i; sleep 0.5; done")
    here.wait("output", lambda: "tick 4" in here.call("GET", f"/workloads/{job}/logs")["text"])
    here.way.cut()
    time.sleep(12)
    heard = here.call("GET", f"/workloads/{job}/logs")["text"]
    assert "tick 40" not in heard and here.call("GET", f"/workloads/{job}")["state"] == "running"
    here.way.restore()
    ended = here.ended(job)
    assert ended["attempts"] == 1
    text = here.call("GET", f"/workloads/{job}/logs?limit=100000")["text"]
    assert text == "".join(f"tick {n}\n" for n in range(1, 41))
    here.wait("the bill", lambda: rated(here.database, job))
    with here.database.begin() as tx:
        lease = tx.session.scalars(select(Lease).where(Lease.workload_id == job)).one()
        assert lease.active_from is not None and lease.active_to is not None
        seconds = tx.session.scalar(select(func.sum(Window.seconds)).where(Window.lease_id == lease.id))
        assert seconds == (lease.active_to - lease.active_from).total_seconds() >= 20
        assert capacity(tx) + books(tx) + bills(tx) == []


def rated(database: Database, job: str) -> bool:
    with database.begin() as tx:
        workload = tx.session.get_one(Workload, job)
        return workload.state == "succeeded" and tx.session.scalar(select(Window.id).where(~Window.rated).limit(1)) is None
