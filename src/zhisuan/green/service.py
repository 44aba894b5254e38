"""Carbon statements read from metered usage. Nothing is stored: the same usage and factors give the same statement."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from zhisuan.base.text import Text
from zhisuan.green.method import BASIS
from zhisuan.green.rules import footprint
from zhisuan.green.types import CarbonStatement, CarbonTotals, LeaseCarbon, WorkloadCarbon
from zhisuan.supply.grid_factors import GridFactor, UnknownGridFactor, grid_factor
from zhisuan.usage.service import LeaseUsage, lease_usage, usage_shapes

# One statement takes at most 65,535 parameters.
LEASES_PER_QUERY = 20_000


def lease_carbon(
    session: Session, lease_ids: Sequence[str], *, factor_year: int | None = None
) -> tuple[LeaseCarbon, ...]:
    """Energy and carbon of whole leases by lease id; a lease without metered time has no row.

    ``factor_year`` fixes the year of the grid factors (to repeat an older statement); None takes the latest published.
    """
    return _rows(lease_usage(session, lease_ids=lease_ids), {}, factor_year)


def statement(
    session: Session,
    *,
    org_id: str | None = None,
    workload_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    factor_year: int | None = None,
) -> CarbonStatement:
    """The statement of one organisation, one workload or everybody over ``[since, until)``.

    Statements of periods that follow each other add up exactly, row by row, to the statement of the whole.
    """
    used = lease_usage(session, org_id=org_id, workload_id=workload_id, since=since, until=until)
    before = {} if since is None else _seconds_before(session, [each.lease_id for each in used], since)
    rows = _rows(used, before, factor_year)
    return CarbonStatement(
        org_id=org_id,
        workload_id=workload_id,
        since=since,
        until=until,
        rows=rows,
        workloads=_workloads(rows),
        seconds=sum(row.seconds for row in rows),
        it_energy_uwh=sum(row.it_energy_uwh for row in rows),
        energy_uwh=sum(row.energy_uwh for row in rows),
        carbon_ug=_carbon_of(rows),
        regions_without_factor=tuple(sorted({row.region for row in rows if row.factor is None})),
    )


def totals(session: Session, *, org_id: str | None, since: datetime, until: datetime) -> CarbonTotals:
    """The totals of ``statement`` for the same period, equal to the last digit, without its rows: for overviews.

    Each lease is rounded by itself (``rules.footprint``), so that periods add up. Leases that are alike in power, PUE,
    region and seconds round alike: PostgreSQL counts them by shape, and the one formula runs once a shape. Ten thousand
    leases come as some thousands of small rows in one query, and none is turned into a record.
    """
    seconds = it_energy = energy = carbon = 0
    factors: dict[str, GridFactor | Text] = {}
    for shape in usage_shapes(session, org_id=org_id, since=since, until=until):
        if shape.region not in factors:
            factors[shape.region] = _factor_or_reason(shape.region, None)
        factor = factors[shape.region]
        each = footprint(
            power_milliwatts=shape.power_milliwatts, pue_milli=shape.pue_milli,
            g_per_mwh=factor.g_per_mwh if isinstance(factor, GridFactor) else None,
            seconds=shape.seconds, seconds_before=shape.seconds_before,
        )  # fmt: skip
        seconds += shape.seconds * shape.leases
        it_energy += each.it_energy_uwh * shape.leases
        energy += each.energy_uwh * shape.leases
        carbon += (each.carbon_ug or 0) * shape.leases
    complete = all(isinstance(factor, GridFactor) for factor in factors.values())
    return CarbonTotals(seconds, it_energy, energy, carbon if complete else None)


def _seconds_before(session: Session, lease_ids: Sequence[str], at: datetime) -> dict[str, int]:
    """How long each of these leases had run in the windows that started before ``at``."""
    found: dict[str, int] = {}
    for start in range(0, len(lease_ids), LEASES_PER_QUERY):
        some = lease_ids[start : start + LEASES_PER_QUERY]
        found |= {each.lease_id: each.seconds for each in lease_usage(session, lease_ids=some, until=at)}
    return found


def _rows(used: Iterable[LeaseUsage], before: dict[str, int], year: int | None) -> tuple[LeaseCarbon, ...]:
    found: dict[str, GridFactor | Text] = {}
    rows = []
    for each in sorted(used, key=lambda usage: usage.lease_id):
        if each.region not in found:
            found[each.region] = _factor_or_reason(each.region, year)
        rows.append(_row(each, before.get(each.lease_id, 0), found[each.region]))
    return tuple(rows)


def _factor_or_reason(region: str, year: int | None) -> GridFactor | Text:
    try:
        return grid_factor(region, year=year, basis=BASIS)
    except UnknownGridFactor as error:
        return error.what


def _row(used: LeaseUsage, seconds_before: int, factor: GridFactor | Text) -> LeaseCarbon:
    known = factor if isinstance(factor, GridFactor) else None
    result = footprint(
        power_milliwatts=used.power_milliwatts,
        pue_milli=used.pue_milli,
        g_per_mwh=None if known is None else known.g_per_mwh,
        seconds=used.seconds,
        seconds_before=seconds_before,
    )
    return LeaseCarbon(
        lease_id=used.lease_id,
        workload_id=used.workload_id,
        org_id=used.org_id,
        site_id=used.site_id,
        first_start=used.first_start,
        last_end=used.last_end,
        seconds=used.seconds,
        seconds_before=seconds_before,
        power_milliwatts=used.power_milliwatts,
        pue_milli=used.pue_milli,
        region=used.region,
        it_energy_uwh=result.it_energy_uwh,
        energy_uwh=result.energy_uwh,
        factor=known,
        carbon_ug=result.carbon_ug,
        without_factor=factor if isinstance(factor, Text) else None,
    )


def _workloads(rows: Sequence[LeaseCarbon]) -> tuple[WorkloadCarbon, ...]:
    by_workload: dict[str, list[LeaseCarbon]] = {}
    for row in rows:
        by_workload.setdefault(row.workload_id, []).append(row)
    return tuple(
        WorkloadCarbon(
            workload_id=workload_id,
            leases=len(own),
            seconds=sum(row.seconds for row in own),
            energy_uwh=sum(row.energy_uwh for row in own),
            carbon_ug=_carbon_of(own),
        )
        for workload_id, own in sorted(by_workload.items())
    )


def _carbon_of(rows: Iterable[LeaseCarbon]) -> int | None:
    """The sum of the rows' carbon, or None where one of them has none."""
    known = []
    for row in rows:
        if row.carbon_ug is None:
            return None
        known.append(row.carbon_ug)
    return sum(known)
