"""Server time of the overview with 10,000 workloads, their leases, windows and charges in the database.

The bound is a ``SELECT 1`` through the same route machinery (GET /health) in the same run.
"""

import json
import statistics
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from fastapi.testclient import TestClient
from sqlalchemy import text

from zhisuan.app.bootstrap import prepare
from zhisuan.app.installation import Secrets
from zhisuan.app.server import ServerConfig, build_server
from zhisuan.base.clock import SystemClock
from zhisuan.base.db import Database
from zhisuan.base.ids import TimeOrderedIds
from zhisuan.base.settings import Settings
from zhisuan.testing.database import TestServer

WORKLOADS = 10_000
ROUNDS = 15
PASSWORD = "bench bench bench"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="zhisuan-bench-") as folder:
        Path(folder).chmod(0o755)
        server = TestServer(Path(folder) / "pg")
        try:
            with server.database() as fresh:
                print(json.dumps(measure(fresh.url, Path(folder))))
        finally:
            server.stop()


def measure(url: str, folder: Path) -> dict[str, object]:
    clock = SystemClock()
    database = Database(url, clock, TimeOrderedIds(clock))
    prepare(database, Secrets("g", "s", PASSWORD))
    config = ServerConfig(
        settings=Settings(data_dir=folder, console=False), database_url=url, server_url="http://s", gateway_url="http://g",
        storage_secret="s", reconcile=False,
    )  # fmt: skip
    with TestClient(build_server(config)) as client:
        body = {"organisation": "bench", "name": "b", "email": "b@example.cn", "password": PASSWORD}
        made = client.post("/api/v1/sign-up", json=body, headers={"Idempotency-Key": "1"}).json()
        operator = client.post("/api/v1/sessions", json={"email": "operator@localhost", "password": PASSWORD}).json()
        fill(database, made["organisation_id"], made["project_id"], made["user_id"])
        tenant = _times(client, "/api/v1/overview", made["key"]["secret"])
        whole = _times(client, "/api/v1/overview", operator["secret"])
        bound = _times(client, "/api/v1/health", None)
    database.close()
    return {
        "what": f"GET /overview with {WORKLOADS} workloads, server time, milliseconds",
        "tenant_p50_ms": tenant,
        "operator_p50_ms": whole,
        "health_p50_ms": bound,
        "target_ms": 300,
    }


def _times(client: TestClient, path: str, key: str | None) -> float:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        assert client.get(path, headers=headers).status_code == 200
        times.append((time.perf_counter() - began) * 1000)
    return round(statistics.median(times), 1)


def fill(database: Database, org_id: str, project_id: str, user_id: str) -> None:
    """Finished jobs over the last two weeks, each with a lease of five minutes, its windows and its charges."""
    with database.begin() as tx:
        now = tx.now
        start = now - timedelta(days=14)
        args = {
            "org": org_id,
            "prj": project_id,
            "usr": user_id,
            "n": WORKLOADS,
            "start": start,
            "step": timedelta(days=14) / WORKLOADS,
        }
        for statement in FILL:
            tx.session.execute(text(statement), args)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


FILL = (
    "INSERT INTO catalog_quote VALUES ('quo_bench', :org, 1, :start, '{}', 25000, 1800000000, 100000)",
    """INSERT INTO supply_site (id, provider_id, name, state, region, pue_milli, engine, created_at)
       VALUES ('site_bench', :org, 'bench', 'open', 'CN-AH', 1400, '{}', :start)""",
    """INSERT INTO workload_workload (id, org_id, project_id, kind, name, state, spec, file, quote_id, created_by, created_at,
         started_at, ended_at, attempts, restarts_left, exit_code, reason)
       SELECT 'job_' || lpad(i::text, 26, '0'), :org, :prj, 'job', 'job ' || i, 'succeeded',
         '{"cpus_milli": 1000, "memory_mib": 1024, "accelerators": []}', '', 'quo_bench', :usr, :start + i * CAST(:step AS interval),
         :start + i * CAST(:step AS interval), :start + i * CAST(:step AS interval) + interval '5 minutes', 1, 3, 0, 'completed'
       FROM generate_series(1, :n) i""",
    """INSERT INTO execution_lease (id, workload_id, generation, org_id, site_id, provider_id, node_ids, placement_id, quote_id,
         state, desired, term_seconds, offer, rate_udu_per_hour, power_milliwatts, pue_milli, region, offered_at, active_from, active_to,
         closed_at, exit_code, cpu_milliseconds, memory_peak_bytes)
       SELECT 'lea_' || lpad(i::text, 26, '0'), 'job_' || lpad(i::text, 26, '0'), 1, :org, 'site_bench', :org, '["node_bench"]',
         'plc_bench', 'quo_bench', 'closed', 'run', 7200, '{}', 25000, 5000, 1400, 'CN-AH', at, at, at + interval '5 minutes',
         at + interval '5 minutes', 0, 0, 0
       FROM (SELECT i, date_trunc('minute', :start + i * CAST(:step AS interval)) AS at FROM generate_series(1, :n) i) x""",
    """INSERT INTO usage_window (source, id, org_id, lease_id, generation, minute, start_at, end_at, seconds, quantity_udu,
         received_at, rated)
       SELECT 'site_bench', l.id || ':1:' || m, l.org_id, l.id, 1, extract(epoch FROM l.active_from)::bigint / 60 + m,
         l.active_from + m * interval '1 minute', l.active_from + (m + 1) * interval '1 minute', 60, 416, l.active_to, true
       FROM execution_lease l, generate_series(0, 4) m""",
    """INSERT INTO ledger_charge (id, org_id, source, event_id, kind, lease_id, provider_id, subject, at, seconds, tokens,
         quantity_udu, value_ucny, cash_ucny, platform_fee_ppm, price_book_version, price_e8_per_du, transaction_id)
       SELECT 'chg_' || w.id, w.org_id, w.source, w.id, 'time', w.lease_id, :org, w.lease_id, w.start_at, 60, 0, 416, 7488, 7488,
         100000, 1, 1800000000, 'txn_bench' FROM usage_window w""",
)
