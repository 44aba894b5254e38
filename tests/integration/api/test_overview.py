"""The first page at size: ten thousand workloads and forty thousand charges, in a fixed number of queries."""

import random
import time
from datetime import timedelta

import pytest
from api_city import City
from api_world import OPERATOR_EMAIL, PASSWORD, Person, SiteAgentTwin, World
from sqlalchemy import text

from zhisuan.base.clock import bill_month, bill_month_bounds
from zhisuan.base.db import QueryCount, Tx
from zhisuan.green import service as green

WORKLOADS = 10_000
WINDOWS = 4


def fill(tx: Tx, org_id: str, seed: int = 1) -> None:
    """Rows as work of the month leaves them: jobs of a few minutes, from before the month began until now."""
    rng = random.Random(seed)
    month, _ = bill_month_bounds(bill_month(tx.now))
    span = int((tx.now - month).total_seconds()) + 1800
    jobs, leases, windows, charges, slices = [], [], [], [], []
    for n in range(WORKLOADS):
        ident = f"{n:026d}"
        begin = tx.now - timedelta(seconds=rng.randrange(300, span)) if n >= 20 else month - timedelta(seconds=90)
        last = rng.randrange(1, 60)
        end = begin.replace(second=0) + timedelta(minutes=WINDOWS - 1, seconds=last)
        start = begin.replace(second=0)
        state = rng.choice(("succeeded", "failed", "running"))
        jobs.append({"id": f"job_{ident}", "o": org_id, "s": state, "at": begin})
        leases.append({
            "id": f"lea_{ident}", "w": f"job_{ident}", "o": org_id, "p": rng.choice((5_000, 400_000, 405_123)),
            "r": rng.choice(("CN-AH", "CN-BJ")), "a": start, "e": end,
        })  # fmt: skip
        for m in range(WINDOWS):
            at = start + timedelta(minutes=m)
            seconds = last if m == WINDOWS - 1 else 60
            windows.append({
                "id": f"{ident}/{m}", "o": org_id, "l": f"lea_{ident}", "m": int(at.timestamp()) // 60, "a": at,
                "e": at + timedelta(seconds=seconds), "s": seconds,
            })  # fmt: skip
            charges.append(
                {"id": f"chg_{ident}{m}", "o": org_id, "e": f"{ident}/{m}", "l": f"lea_{ident}", "a": at, "s": seconds}
            )
            slices.append({"c": f"chg_{ident}{m}"})
    many = tx.session.execute
    many(text(
        "INSERT INTO workload_workload (id, org_id, project_id, kind, name, state, spec, file, quote_id, created_by, created_at,"
        " started_at, attempts, restarts_left) SELECT :id, :o, 'p', 'job', 'n', :s,"
        " '{\"cpus_milli\": 1000, \"memory_mib\": 1, \"accelerators\": []}', '', (SELECT min(id) FROM catalog_quote), 'u', :at, :at, 1, 0"
    ), jobs)  # fmt: skip
    many(text(
        "INSERT INTO execution_lease (id, workload_id, generation, org_id, site_id, provider_id, node_ids, placement_id, quote_id,"
        " state, desired, term_seconds, offer, rate_udu_per_hour, power_milliwatts, pue_milli, region, offered_at, active_from, active_to,"
        " cpu_milliseconds, memory_peak_bytes) VALUES (:id, :w, 1, :o, 's', 'p', '[\"n\"]', 'p', 'q', 'closed', 'run', 7200, '{}', 25000, :p,"
        " 1420, :r, :a, :a, :e, 0, 0)"
    ), leases)  # fmt: skip
    many(text(
        "INSERT INTO usage_window (source, id, org_id, lease_id, generation, minute, start_at, end_at, seconds, quantity_udu,"
        " received_at, rated) VALUES ('s', :id, :o, :l, 1, :m, :a, :e, :s, 400, :e, true)"
    ), windows)  # fmt: skip
    many(text(
        "INSERT INTO ledger_charge (id, org_id, source, event_id, kind, lease_id, provider_id, subject, at, seconds, tokens,"
        " quantity_udu, value_ucny, cash_ucny, platform_fee_ppm, price_book_version, price_e8_per_du, transaction_id) VALUES"
        " (:id, :o, 's', :e, 'time', :l, 'p', :l, :a, :s, 0, 400, 1600, 1600, 150000, 1, 400000000, 't')"
    ), charges)  # fmt: skip
    many(text("INSERT INTO ledger_slice VALUES (:c, 1, 'wallet', NULL, 400, 1600, 1600)"), slices)


@pytest.mark.slow
def test_the_overview_of_ten_thousand_workloads(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    owner, viewer = world.tenant(), world.sign_up("city")
    SiteAgentTwin(world)
    owner.post("/workloads", {"file": "run: x\n"})  # its quote stands for all
    world.pass_time(20 * 86400)
    made = world.anyone().post("/sessions", {"email": OPERATOR_EMAIL, "password": PASSWORD})
    operator = Person(world.client, made["secret"])  # the first session has run out
    with world.database.begin() as tx:
        fill(tx, owner.org_id)
    with world.database.begin() as tx:
        for table in ("workload_workload", "execution_lease", "usage_window", "ledger_charge"):
            tx.session.execute(text(f"ANALYZE {table}"))
    for kind, person, most in (("tenant", owner, 14), ("operator", operator, 12), ("city", viewer, 14)):
        person.get("/overview")
        with QueryCount(world.database.engine) as count:
            began = time.perf_counter()
            shown = person.get("/overview")
            took = time.perf_counter() - began
        with capsys.disabled():
            print(f"\n  overview of {kind}: {took * 1000:.0f} ms, {len(count.statements)} queries, ", end="")
        assert len(count.statements) <= most, (kind, len(count.statements))
        if kind == "tenant":
            assert sum(shown["workloads"].values()) == WORKLOADS + 1 and shown["month"]["carbon_ug"] > 0
    with world.database.begin() as tx:
        since, until = bill_month_bounds(bill_month(tx.now))
        whole = green.statement(tx.session, org_id=owner.org_id, since=since, until=until)
        short = green.totals(tx.session, org_id=owner.org_id, since=since, until=until)
    assert (short.seconds, short.it_energy_uwh, short.energy_uwh, short.carbon_ug) == (
        whole.seconds, whole.it_energy_uwh, whole.energy_uwh, whole.carbon_ug,
    )  # fmt: skip
    assert any(row.seconds_before for row in whole.rows), "some had begun in the month before"


def test_each_kind_of_reader_gets_the_page_of_its_kind(city: City) -> None:
    assert city.one.owner.get("/overview")["kind"] == city.member.get("/overview")["kind"] == "tenant"
    assert city.site.provider.get("/overview")["kind"] == "provider"
    operator = city.world.operator.get("/overview")
    assert operator["kind"] == "operator" and operator["organisations"]["tenant"] >= 2 and len(operator["daily"]) == 14
    seen = city.viewer.get("/overview")
    assert seen["kind"] == "city" and seen["measured_mflops_total"] >= 67_000 and seen["carbon_ug"] > 0
    assert sum(d["quantity_udu"] for d in operator["daily"]) == operator["month"]["quantity_udu"] > 0
