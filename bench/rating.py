"""How fast usage is taken in and rated, beside a bare COPY of the same rows in the same run.

One organisation with free quota, a pack and a wallet; windows of 70 leases, sent in batches as agents send them and rated
in batches. ``python bench/rating.py`` prints one JSON object: medians over rounds, each with a fresh database.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from zhisuan.base.clock import ManualClock
from zhisuan.base.db import Database
from zhisuan.base.money import Money
from zhisuan.catalog import service as catalog
from zhisuan.catalog.price_file import default_price_book
from zhisuan.catalog.rules import ShapeItem
from zhisuan.execution.tables import Lease
from zhisuan.ledger import service as ledger
from zhisuan.tenancy.tables import Organisation
from zhisuan.testing.database import START, TestServer
from zhisuan.usage import service as usage
from zhisuan.usage.bulk import copy_rows, driver_connection
from zhisuan.usage.intake import WINDOW_COLUMNS
from zhisuan.wire.site import UsageWindow

WINDOWS = 100_000
ROUNDS = 3
LEASES = 70
WIRE_BATCH = 10_000
RATING_BATCH = 5_000
ORG, SITE = "org_00000000000000000000000001", "site_00000000000000000000000001"
MINUTE = timedelta(minutes=1)


def make_order(database: Database) -> list[str]:
    """An organisation with all three purses, and its leases."""
    with database.begin("bench") as tx:
        catalog.publish_price_book(tx, default_price_book(), tx.now)
        tx.session.add(Organisation(id=ORG, kind="tenant", name="bench", region=None, created_at=tx.now))
        tx.session.flush()
        ledger.open_account(tx, ORG)
        ledger.top_up(tx, ORG, Money.yuan(1_000_000), "bank", "1", "bench")
        ledger.buy_pack(tx, ORG, "pack-100", 3, "bench")
        leases = [tx.ids.new("lea") for _ in range(LEASES)]
        for lease_id in leases:
            quote = catalog.make_quote(tx, ORG, [ShapeItem("nvidia-a100-sxm4-80g", "accelerator", 1000)])
            tx.session.add(
                Lease(
                    id=lease_id, workload_id=lease_id, generation=1, org_id=ORG, site_id=SITE, provider_id=ORG, node_ids=["node"],
                    placement_id="plc", quote_id=quote.id, state="active", desired="run", term_seconds=7200, offer={}, region="cn",
                    rate_udu_per_hour=quote.rate_udu_per_hour, power_milliwatts=1, pue_milli=1000, offered_at=START,
                    active_from=START, cpu_milliseconds=0, memory_peak_bytes=0,
                )
            )  # fmt: skip
    return leases


def make_windows(leases: Sequence[str], count: int) -> list[UsageWindow]:
    """Full minutes, minute by minute over all leases."""
    made = []
    for number in range(count):
        minute, lease_id = number // len(leases), leases[number % len(leases)]
        start = START + minute * MINUTE
        ident = f"{lease_id}:1:{int(start.timestamp())}"
        made.append(UsageWindow(lease_id=lease_id, generation=1, id=ident, start=start, end=start + MINUTE))
    return made


def bare_copy(database: Database) -> float:
    """Seconds to COPY the rows that were taken in into a table without indexes or checks."""
    with database.begin("bench") as tx:
        connection = driver_connection(tx.session)
        rows = connection.execute(f"SELECT {', '.join(WINDOW_COLUMNS)} FROM usage_window").fetchall()
        connection.execute("CREATE TABLE bare (LIKE usage_window)")
    began = time.perf_counter()
    with database.begin("bench") as tx:
        copy_rows(tx.session, "bare", WINDOW_COLUMNS, rows)
    return time.perf_counter() - began


def accept(database: Database, windows: Sequence[UsageWindow]) -> float:
    began = time.perf_counter()
    for first in range(0, len(windows), WIRE_BATCH):
        with database.begin("bench") as tx:
            answer = usage.accept_windows(tx, SITE, windows[first : first + WIRE_BATCH])
        assert answer.accepted == len(windows[first : first + WIRE_BATCH])
    return time.perf_counter() - began


def rate(database: Database, count: int) -> float:
    began = time.perf_counter()
    done, after, more = 0, "", True
    while more:
        with database.begin("bench") as tx:
            result = ledger.rate_pending(tx, RATING_BATCH, after=after)
        done, after, more = done + result.charges, result.after, result.more
    took = time.perf_counter() - began
    assert done == count
    return took


def one_round(server: TestServer, count: int) -> tuple[float, float, float]:
    """Seconds of accepting, of rating, and of the bare COPY."""
    clock = ManualClock(START)
    with server.database(clock=clock) as database:
        leases = make_order(database)
        clock.advance((count // len(leases) + 2) * MINUTE)
        windows = make_windows(leases, count)
        accepted = accept(database, windows)
        rated = rate(database, count)
        with database.begin("bench") as tx:
            assert ledger.trial_balance(tx.session).is_zero
            assert not ledger.check_charges(tx.session)
        return accepted, rated, bare_copy(database)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=WINDOWS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = TestServer(Path(folder))
        try:
            rounds = [one_round(server, arguments.windows) for _ in range(arguments.rounds)]
        finally:
            server.stop()
    accepted, rated, copied = (statistics.median(column) for column in zip(*rounds, strict=True))
    count = arguments.windows
    print(
        json.dumps(
            {
                "windows": count,
                "rounds": arguments.rounds,
                "accept_windows_per_second": round(count / accepted),
                "rate_windows_per_second": round(count / rated),
                "accept_and_rate_windows_per_second": round(count / (accepted + rated)),
                "bare_copy_rows_per_second": round(count / copied),
                "ratio_to_bare_copy": round(statistics.median((a + r) / c for a, r, c in rounds), 2),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
