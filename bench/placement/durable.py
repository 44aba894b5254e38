"""Decisions and committed placements of the server's own code over a city of 1,000 sites and 100,000 devices, without HTTP and agents.

    python -m bench.placement durable

In memory: one snapshot, orders of many shapes, ``plan_wish`` for each and nothing kept. Durable: orders in batches as a server
takes them that come at the same time (``launching.launch_all``): each is priced, its purse asked, devices locked, and workload,
quote, placement record, lease and allocations committed on PostgreSQL; ``synchronous_commit`` as it is by default (on). CPU
seconds of this process and of the database are read apart. The bound beside it: as many rows of the same tables, copied with ``COPY`` in the
same batches, with nothing decided.
"""

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from bench.scale import FILE, _cpu_seconds, fill, postgres_pid
from zhisuan.api import launching
from zhisuan.app.migrate import migrate
from zhisuan.base.clock import SystemClock
from zhisuan.base.db import Database
from zhisuan.base.ids import TimeOrderedIds
from zhisuan.base.postgres import EmbeddedPostgres
from zhisuan.placement.alternatives import plan_wish
from zhisuan.tenancy.tables import Organisation, Project, User
from zhisuan.workload.reading.file import parse_workload
from zhisuan.workload.spec import WorkloadSpec

SITES, DEVICES = 1000, 100
TTL = timedelta(days=1)
BATCHES = (1, 10, 50)
DURABLE_SECONDS = 15
DECISIONS = 2000


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="zhisuan-durable-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        postgres = EmbeddedPostgres(folder / "postgres")
        url = postgres.start()
        try:
            migrate(url)
            fill(url, SITES, DEVICES)
            clock = SystemClock()
            database = Database(url, clock, TimeOrderedIds(clock))
            _open(database)
            found = {"sites": SITES, "devices": SITES * DEVICES, "in_memory": in_memory(database)}
            pid = postgres_pid(folder / "postgres")
            found["durable"] = [durable(database, pid, size) for size in BATCHES]
            database.close()
        finally:
            postgres.stop()
    print(json.dumps(found))


def _open(database: Database) -> None:
    """Every site has been heard of just now."""
    with database.begin("bench") as tx:
        tx.session.execute(text("UPDATE supply_site SET last_seen_at = :now"), {"now": tx.now})


def shapes() -> list[WorkloadSpec]:
    """Twenty different ones: cores alone, and one to eight cards."""
    spec = parse_workload(FILE)
    cores = [replace(spec, cpus_milli=1000 * n, memory_mib=1024 * n) for n in range(1, 13)]
    cards = [replace(spec, cpus_milli=4000 * n, memory_mib=8192, accelerators=(("A100", n),)) for n in range(1, 9)]
    return cores + cards


def in_memory(database: Database) -> dict[str, Any]:
    wishes = [launching.wish_of(spec) for spec in shapes()]
    with database.begin("bench") as tx:
        snapshot = launching.snapshot_of(tx, launching.market_of(tx), TTL)
        for wish in wishes:
            plan_wish(snapshot, wish)
        began, spans = time.process_time(), []
        for number in range(DECISIONS):
            at = time.process_time()
            chosen = plan_wish(snapshot, wishes[number % len(wishes)]).chosen
            spans.append(time.process_time() - at)
            if chosen is None:
                raise RuntimeError("there was no place")
        took = time.process_time() - began
    spans.sort()
    return {
        "decisions_a_second_of_one_core": round(DECISIONS / took), "cpu_ms_p50": round(1000 * spans[DECISIONS // 2], 2),
        "cpu_ms_p99": round(1000 * spans[DECISIONS * 99 // 100], 2),
    }  # fmt: skip


def durable(database: Database, database_pid: int, size: int) -> dict[str, Any]:
    with database.begin() as tx:
        org = tx.session.query(Organisation).filter_by(name="t").one()
        project = tx.session.query(Project).filter_by(org_id=org.id).first()
        user = tx.session.query(User).first()
        asked = [launching.Asked(org.id, project.id, spec, FILE, user.id) for spec in shapes()]
    _batch(database, asked[:size])
    before, own = _cpu_seconds(database_pid), time.process_time()
    began, placed, again, turn, crowded = time.monotonic(), 0, 0, 0, list[launching.Asked]()
    while time.monotonic() - began < DURABLE_SECONDS:
        new = size - len(crowded)
        orders = [*crowded, *(asked[(turn + n) % len(asked)] for n in range(new))]
        crowded = _batch(database, orders)
        placed, again, turn = placed + len(orders) - len(crowded), again + len(crowded), turn + new
    took = time.monotonic() - began
    return {
        "batch": size, "placed_a_second": round(placed / took, 1), "placed": placed, "asked_again": again,
        "own_cpu_ms_each": round(1000 * (time.process_time() - own) / placed, 2),
        "database_cpu_ms_each": round(1000 * (_cpu_seconds(database_pid) - before) / placed, 2),
    }  # fmt: skip


def _batch(database: Database, orders: Sequence[launching.Asked]) -> list[launching.Asked]:
    """Launch them in one transaction; those whose best places others of the batch have taken, to be asked again."""
    with database.begin("bench") as tx:
        made = launching.launch_all(tx, orders, TTL)
        wrong = [one for one in made if not isinstance(one, launching.Crowded) and getattr(getattr(one, "placed", None), "lease", None) is None]
        if wrong:
            raise RuntimeError(f"an order was not placed: {wrong[0]}")
    return [order for order, one in zip(orders, made, strict=True) if isinstance(one, launching.Crowded)]


if __name__ == "__main__":
    main()
