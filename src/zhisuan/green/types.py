"""A carbon statement: rows by lease, workloads, totals. ``as_dict`` gives JSON values: whole numbers in the unit of their
name, and the same as exact decimal text in kWh and g for people."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from zhisuan.base.ids import prefix_of
from zhisuan.base.money import decimal_text
from zhisuan.base.text import Text
from zhisuan.green.method import ACCOUNTING, METHOD
from zhisuan.supply.grid_factors import GridFactor

FUNCTIONAL_UNITS = {"svc": "service", "wsp": "workspace"}


@dataclass(frozen=True, slots=True)
class LeaseCarbon:
    """One lease's time, energy and carbon; ``seconds_before`` is what it had run before the statement begins.

    ``factor`` and ``carbon_ug`` are None, and ``without_factor`` says why, where no grid factor is published.
    """

    lease_id: str
    workload_id: str
    org_id: str
    site_id: str
    first_start: datetime
    last_end: datetime
    seconds: int
    seconds_before: int
    power_milliwatts: int
    pue_milli: int
    region: str
    it_energy_uwh: int
    energy_uwh: int
    factor: GridFactor | None
    carbon_ug: int | None
    without_factor: Text | None

    def as_dict(self) -> dict[str, Any]:
        return {
            "lease_id": self.lease_id,
            "workload_id": self.workload_id,
            "org_id": self.org_id,
            "site_id": self.site_id,
            "first_start": self.first_start.isoformat(),
            "last_end": self.last_end.isoformat(),
            "seconds": self.seconds,
            "seconds_before": self.seconds_before,
            "power_milliwatts": self.power_milliwatts,
            "pue_milli": self.pue_milli,
            "pue": decimal_text(self.pue_milli, 3, at_least=2),
            "region": self.region,
            "it_energy_uwh": self.it_energy_uwh,
            "it_energy_kwh": kwh_text(self.it_energy_uwh),
            **_energy_and_carbon(self.energy_uwh, self.carbon_ug),
            "factor": None if self.factor is None else factor_dict(self.factor),
            "without_factor": None if self.without_factor is None else self.without_factor.as_dict(),
        }


@dataclass(frozen=True, slots=True)
class WorkloadCarbon:
    """SCI's operational part (E × I) of one functional unit: a job (or a service), over all its leases."""

    workload_id: str
    leases: int
    seconds: int
    energy_uwh: int
    carbon_ug: int | None

    def as_dict(self) -> dict[str, Any]:
        return {
            "workload_id": self.workload_id,
            "leases": self.leases,
            "seconds": self.seconds,
            **_energy_and_carbon(self.energy_uwh, self.carbon_ug),
            "sci": {
                "standard": "ISO/IEC 21031",
                "functional_unit": FUNCTIONAL_UNITS.get(prefix_of(self.workload_id), "job"),
                "e_kwh": kwh_text(self.energy_uwh),
                "operational_g": _grams_text(self.carbon_ug),
                "embodied_g": None,
                "complete": False,
            },
        }


@dataclass(frozen=True, slots=True)
class CarbonTotals:
    """The sums of a statement: seconds, 10⁻⁶ Wh, and 10⁻⁶ g CO2 (None where a region has no factor)."""

    seconds: int
    it_energy_uwh: int
    energy_uwh: int
    carbon_ug: int | None


@dataclass(frozen=True, slots=True)
class CarbonStatement:
    """What leases used in ``[since, until)`` and the carbon of it. Totals are the sums of the rows; ``carbon_ug`` is None
    where a row has none, for a part must not pass for the whole."""

    org_id: str | None
    workload_id: str | None
    since: datetime | None
    until: datetime | None
    rows: tuple[LeaseCarbon, ...]
    workloads: tuple[WorkloadCarbon, ...]
    seconds: int
    it_energy_uwh: int
    energy_uwh: int
    carbon_ug: int | None
    regions_without_factor: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "accounting": ACCOUNTING,
            "energy_is": "modelled",
            "gas": "CO2",
            "embodied_included": False,
            "org_id": self.org_id,
            "workload_id": self.workload_id,
            "since": None if self.since is None else self.since.isoformat(),
            "until": None if self.until is None else self.until.isoformat(),
            "rows": [row.as_dict() for row in self.rows],
            "workloads": [each.as_dict() for each in self.workloads],
            "totals": {
                "seconds": self.seconds,
                "it_energy_uwh": self.it_energy_uwh,
                "it_energy_kwh": kwh_text(self.it_energy_uwh),
                **_energy_and_carbon(self.energy_uwh, self.carbon_ug),
            },
            "regions_without_factor": list(self.regions_without_factor),
            "method": {name: note.as_dict() for name, note in METHOD.items()},
        }


def factor_dict(factor: GridFactor) -> dict[str, Any]:
    """A grid factor as JSON, with where it comes from."""
    return {
        "region": factor.region,
        "name": factor.name.as_dict(),
        "year": factor.year,
        "basis": factor.basis,
        "g_per_mwh": factor.g_per_mwh,
        "kg_per_kwh": decimal_text(factor.g_per_mwh, 6),
        "source": factor.source,
        "source_url": factor.source_url,
        "confidence": factor.confidence,
    }


def kwh_text(energy_uwh: int) -> str:
    """10⁻⁶ Wh as exact kWh."""
    return decimal_text(energy_uwh, 9)


def _grams_text(carbon_ug: int | None) -> str | None:
    return None if carbon_ug is None else decimal_text(carbon_ug, 6)


def _energy_and_carbon(energy_uwh: int, carbon_ug: int | None) -> dict[str, Any]:
    return {
        "energy_uwh": energy_uwh,
        "energy_kwh": kwh_text(energy_uwh),
        "carbon_ug": carbon_ug,
        "carbon_g": _grams_text(carbon_ug),
    }
