"""Many short jobs through a real platform, and what each of them leaves behind: in the server's tables, in the agent's journal,
in the engine's folder, in memory."""

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
from psycopg import sql

from zhisuan.base.postgres import EmbeddedPostgres
from zhisuan.testing.platform import RunningPlatform

CLIENTS = 8
FILE = "name: short\nresources: {cpus: 1, memory: 1}\nrun: 'true'\n"
OPEN = ("pending", "placed", "starting", "running")
SETTLE_SECONDS = 180.0


@dataclass
class Rig:
    """A platform with one site; ``agent`` and ``data_dir`` are the site agent's process and folder, ``root`` its engine's."""

    platform: RunningPlatform
    agent: psutil.Process
    data_dir: Path
    root: Path
    raw_per_second: float | None = None
    database_url: str | None = None


@contextmanager
def local_rig(folder: Path) -> Iterator[Rig]:
    platform = RunningPlatform(folder / "data")
    platform.start()
    try:
        data = platform.folder / "site"
        yield Rig(platform, platform.processes()["site agent"], data, data / "engine")
    finally:
        platform.stop()


def site_id(rig: Rig) -> str:
    return str(rig.platform.operator("GET", "/sites")["items"][0]["id"])


def through(rig: Rig, key: str, jobs: int) -> float:
    """Order and wait for all; how long ordering took."""
    url = f"{rig.platform.runtime['server_url']}/api/v1"
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:

        def order(number: int) -> None:
            answer = client.post(
                "/workloads", json={"file": FILE}, headers={"Idempotency-Key": f"{time.monotonic_ns()}-{number}"}
            )
            answer.raise_for_status()

        began = time.monotonic()
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(order, range(jobs)))
        took = time.monotonic() - began
        while open_jobs(rig):
            time.sleep(0.3)
    return took


def open_jobs(rig: Rig) -> int:
    with connect(rig) as database:
        found = database.execute(
            "SELECT count(*) FROM workload_workload WHERE state = ANY(%s)", (list(OPEN),)
        ).fetchone()
    assert found is not None
    return int(found[0])


@contextmanager
def connect(rig: Rig) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    if rig.database_url is None:
        rig.database_url = EmbeddedPostgres(rig.platform.folder / "postgres").start()
    with psycopg.connect(rig.database_url) as database:
        yield database


def settle(rig: Rig) -> None:
    """Until the agent holds nothing any more."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while journal_rows(rig)["lease"] and time.monotonic() < deadline:
        time.sleep(0.2)


_JOURNAL = """
SELECT 'lease', count(*) FROM lease UNION ALL SELECT 'usage_window', count(*) FROM usage_window
UNION ALL SELECT 'artefact', count(*) FROM artefact UNION ALL SELECT 'account', count(*) FROM account
UNION ALL SELECT 'past', count(*) FROM past
"""


def journal_rows(rig: Rig) -> dict[str, int]:
    with closing(sqlite3.connect(rig.data_dir / "journal.db")) as journal:
        return dict(journal.execute(_JOURNAL).fetchall())


def table_rows(rig: Rig) -> dict[str, int]:
    with connect(rig) as database:
        names = [row[0] for row in database.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        counted = {}
        for name in names:
            row = database.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))).fetchone()
            counted[name] = int(row[0]) if row is not None else 0
    return counted


def cpu_seconds(rig: Rig) -> dict[str, float]:
    """Processor time so far: it does not depend on what else the machine does."""
    server, database = (rig.platform.processes()[name] for name in ("server", "database"))
    return {
        "server": spent_by(server),
        "agent": spent_by(rig.agent),
        "database": sum(map(spent_by, database.children())),
    }


def spent_by(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def memory_kib(agent: psutil.Process) -> int:
    return int(agent.memory_info().rss // 1024)


def engine_entries(rig: Rig) -> int:
    """Files and folders of runs that the engine still has."""
    return sum(1 for name in ("runs", "trash", "batches") for _ in (rig.root / name).rglob("*"))
