"""Carbon statements over real usage rows."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete

from zhisuan.base.db import Database, QueryCount, Tx
from zhisuan.execution.tables import Lease
from zhisuan.green.method import METHOD
from zhisuan.green.service import lease_carbon, statement
from zhisuan.supply.grid_factors import grid_factor
from zhisuan.usage.tables import Window

START = datetime(2026, 7, 31, 15, 50, tzinfo=UTC)
MONTH = datetime(2026, 7, 31, 16, 0, tzinfo=UTC)


def add_lease(tx: Tx, lease_id: str, *, workload: str = "job_1", org: str = "org_t", region: str = "CN-AH") -> None:
    tx.session.add(
        Lease(
            id=lease_id, workload_id=workload, generation=int(lease_id[-1]), org_id=org, site_id="site_1", provider_id="org_p",
            node_ids=["node_1"], placement_id="plc_1", quote_id="quo_1", state="active", desired="run", term_seconds=7200, offer={},
            rate_udu_per_hour=1_000_000, power_milliwatts=123_457, pue_milli=1_420, region=region, offered_at=START,
            active_from=START, cpu_milliseconds=0, memory_peak_bytes=0,
        )
    )  # fmt: skip


def add_windows(tx: Tx, lease_id: str, seconds: list[int], *, org: str = "org_t", first_minute: int = 0) -> None:
    """One window a minute, each of so many seconds from the start of its minute."""
    for number, each in enumerate(seconds, start=first_minute):
        begin = START + timedelta(minutes=number)
        tx.session.add(
            Window(
                source="site_1", id=f"{lease_id}/{number}", org_id=org, lease_id=lease_id, generation=1,
                minute=int(begin.timestamp()) // 60, start_at=begin, end_at=begin + timedelta(seconds=each), seconds=each,
                quantity_udu=each, received_at=begin, rated=False,
            )
        )  # fmt: skip


def test_a_row_carries_all_it_takes_to_work_it_out_again(database: Database) -> None:
    with database.begin() as tx:
        add_lease(tx, "lea_1")
        add_windows(tx, "lea_1", [60, 60, 37])
    with database.begin() as tx:
        (row,) = lease_carbon(tx.session, ["lea_1"])
    factor = grid_factor("CN-AH")
    assert (row.seconds, row.seconds_before, row.power_milliwatts, row.pue_milli) == (157, 0, 123_457, 1_420)
    assert row.factor == factor and row.factor.basis == "average"
    assert row.it_energy_uwh == round(123_457 * 157 * 1000 / 3600)
    assert row.energy_uwh == round(123_457 * 157 * 1420 / 3600)
    assert row.carbon_ug == round(123_457 * 157 * 1420 * factor.g_per_mwh / 3600e6)
    assert (row.first_start, row.last_end) == (START, START + timedelta(minutes=2, seconds=37))


def test_no_leases_no_rows(database: Database) -> None:
    with database.begin() as tx:
        add_lease(tx, "lea_1")
        add_windows(tx, "lea_1", [60])
        assert lease_carbon(tx.session, []) == ()
        assert lease_carbon(tx.session, ["lea_9"]) == ()
        empty = statement(tx.session, org_id="org_nobody")
    assert (empty.rows, empty.seconds, empty.energy_uwh, empty.carbon_ug) == ((), 0, 0, 0)


def test_periods_add_up_to_the_whole_and_rows_to_the_total(database: Database) -> None:
    with database.begin() as tx:
        for number, windows in enumerate(([7] * 20, [60, 1, 59, 60], [13] * 15), start=1):
            add_lease(tx, f"lea_{number}", workload=f"job_{number % 2}")
            add_windows(tx, f"lea_{number}", windows)
    with database.begin() as tx:
        whole = statement(tx.session, org_id="org_t")
        july = statement(tx.session, org_id="org_t", until=MONTH)
        august = statement(tx.session, org_id="org_t", since=MONTH)
    assert august.rows and july.rows
    for field in ("seconds", "it_energy_uwh", "energy_uwh", "carbon_ug"):
        assert getattr(july, field) + getattr(august, field) == getattr(whole, field)
        assert sum(getattr(row, field) for row in whole.rows) == getattr(whole, field)
        assert sum(getattr(row, field) for row in august.rows) == getattr(august, field)
    assert sum(each.carbon_ug or 0 for each in whole.workloads) == whole.carbon_ug
    assert [each.workload_id for each in whole.workloads] == ["job_0", "job_1"]


def test_any_cut_of_time_adds_up_by_lease(database: Database) -> None:
    with database.begin() as tx:
        add_lease(tx, "lea_1")
        add_windows(tx, "lea_1", [7, 13, 60, 1, 59, 31, 2, 3, 60, 11])

    @given(st.lists(st.integers(-60, 700), max_size=6))
    def adds_up(cuts: list[int]) -> None:
        moments = [None, *(START + timedelta(seconds=cut) for cut in sorted(cuts)), None]
        with database.begin() as tx:
            parts = [statement(tx.session, org_id="org_t", since=a, until=b) for a, b in pairwise(moments)]
            whole = statement(tx.session, org_id="org_t")
        assert sum(part.carbon_ug or 0 for part in parts) == whole.carbon_ug
        assert sum(part.energy_uwh for part in parts) == whole.energy_uwh
        assert sum(part.seconds for part in parts) == whole.seconds == 247

    adds_up()


def test_how_the_time_was_cut_into_windows_does_not_matter(database: Database) -> None:
    with database.begin() as tx:
        add_lease(tx, "lea_1")
        add_windows(tx, "lea_1", [40, 40, 40])
        coarse = lease_carbon(tx.session, ["lea_1"])[0]
        tx.session.execute(delete(Window))
        add_windows(tx, "lea_1", [1] * 120)
        fine = lease_carbon(tx.session, ["lea_1"])[0]
    assert (coarse.carbon_ug, coarse.energy_uwh, coarse.it_energy_uwh) == (
        fine.carbon_ug,
        fine.energy_uwh,
        fine.it_energy_uwh,
    )


def test_a_statement_is_of_one_organisation_or_one_workload(database: Database) -> None:
    with database.begin() as tx:
        add_lease(tx, "lea_1")
        add_lease(tx, "lea_2", org="org_other", workload="svc_2")
        add_windows(tx, "lea_1", [60])
        add_windows(tx, "lea_2", [30], org="org_other")
    with database.begin() as tx:
        own = statement(tx.session, org_id="org_t")
        service = statement(tx.session, workload_id="svc_2")
        assert statement(tx.session, org_id="org_t", workload_id="svc_2").rows == ()
        assert [row.lease_id for row in statement(tx.session).rows] == ["lea_1", "lea_2"]
    assert [row.org_id for row in own.rows] == ["org_t"]
    assert service.as_dict()["workloads"][0]["sci"]["functional_unit"] == "service"


@pytest.mark.parametrize("region", ["CN-XZ", "nowhere"])
def test_where_no_factor_is_published_there_is_no_figure(database: Database, region: str) -> None:
    with database.begin() as tx:
        add_lease(tx, "lea_1")
        add_lease(tx, "lea_2", region=region, workload="job_2")
        add_windows(tx, "lea_1", [60])
        add_windows(tx, "lea_2", [60])
    with database.begin() as tx:
        found = statement(tx.session, org_id="org_t")
    known, unknown = found.rows
    assert known.carbon_ug and known.without_factor is None
    assert (unknown.factor, unknown.carbon_ug) == (None, None)
    assert unknown.energy_uwh == known.energy_uwh
    assert unknown.without_factor is not None and region in unknown.without_factor.en
    assert (found.carbon_ug, found.regions_without_factor) == (None, (region,))
    assert [each.carbon_ug for each in found.workloads] == [known.carbon_ug, None]


def test_the_year_of_the_factor_is_stated_and_can_be_fixed(database: Database) -> None:
    with database.begin() as tx:
        add_lease(tx, "lea_1")
        add_windows(tx, "lea_1", [60])
    with database.begin() as tx:
        latest = statement(tx.session, org_id="org_t").rows[0].factor
        older = statement(tx.session, org_id="org_t", factor_year=2021).rows[0].factor
        unpublished = statement(tx.session, org_id="org_t", factor_year=1999)
    assert latest is not None and older is not None
    assert (older.year, latest.year > older.year) == (2021, True)
    assert unpublished.carbon_ug is None


def test_the_statement_is_json_and_says_what_it_is(database: Database) -> None:
    with database.begin() as tx:
        add_lease(tx, "lea_1")
        add_windows(tx, "lea_1", [60])
        found = statement(tx.session, org_id="org_t").as_dict()
    again = json.loads(json.dumps(found, ensure_ascii=False))
    assert again == found
    assert (again["accounting"], again["energy_is"], again["gas"]) == ("location-based", "modelled", "CO2")
    assert again["embodied_included"] is False
    row = again["rows"][0]
    assert row["carbon_g"] == f"{row['carbon_ug'] / 1e6:.6f}".rstrip("0")
    assert row["factor"]["source"] and row["factor"]["year"] and row["factor"]["basis"] == "average"
    sci = again["workloads"][0]["sci"]
    assert sci == {
        "standard": "ISO/IEC 21031", "functional_unit": "job", "e_kwh": row["energy_kwh"], "operational_g": row["carbon_g"],
        "embodied_g": None, "complete": False,
    }  # fmt: skip
    assert set(again["method"]) == set(METHOD)
    assert all(note["en"] and note["zh"] for note in again["method"].values())


def test_a_statement_takes_two_queries_whatever_its_length(database: Database) -> None:
    with database.begin() as tx:
        for number in range(1, 9):
            add_lease(tx, f"lea_{number}", workload=f"job_{number}")
            add_windows(tx, f"lea_{number}", [60, 60], first_minute=9)
    with database.begin() as tx, QueryCount(database.engine) as count:
        assert len(statement(tx.session, org_id="org_t", since=MONTH).rows) == 8
    assert len(count.statements) <= 2
