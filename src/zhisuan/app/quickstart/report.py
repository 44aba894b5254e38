"""The report of a run: ``report.json`` (its form is ``Report``) and a page for people."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
from jinja2 import Environment, StrictUndefined
from pydantic import BaseModel, ConfigDict, Field

from zhisuan import __version__
from zhisuan.app.installation import write_private
from zhisuan.base.money import decimal_text


class Report(BaseModel):
    """One order, all the way through; a key for each station. Amounts are whole numbers: ``_ucny`` 10⁻⁶ yuan, ``_fen``
    0.01 yuan, ``_udu`` 10⁻⁶ 度, ``_uwh`` 10⁻⁶ Wh, ``_ug`` 10⁻⁶ g. Times are RFC 3339."""

    model_config = ConfigDict(extra="forbid")

    zhisuan: str = Field(description="version of the platform")
    run: str = Field(description="id of this run of the quickstart")
    at: str = Field(description="when the report was made")
    tenant: str
    duration_seconds: int = Field(description="from the start of this invocation to the report")
    supply: dict[str, Any] = Field(
        description="the site: nodes, devices, nominal / published / measured performance, isolation"
    )
    catalogue: dict[str, Any] = Field(
        description="price book, top-up, pack order, wallet with its grants before the work"
    )
    workload: dict[str, Any] = Field(description="the training job and the model service as launched")
    placement: dict[str, Any] = Field(description="what was compared for each and why it was placed where it is")
    lease: list[dict[str, Any]] = Field(description="the leases with their active times in whole seconds")
    execution: dict[str, Any] = Field(description="artefacts, model version, evaluation, conversation, events")
    usage: dict[str, Any] = Field(description="device-seconds, 度, tokens")
    charge: dict[str, Any] = Field(
        description="what paid: free quota, pack, wallet; and each charge with its slices and rule"
    )
    invoice: list[dict[str, Any]] = Field(description="invoices with their lines")
    settlement: list[dict[str, Any]] = Field(description="shares of provider and platform")
    carbon: dict[str, Any] = Field(
        description="energy and carbon with factors, sources and method; modelled from rated power"
    )
    trace: dict[str, Any] = Field(description="the chain around one invoice line")
    checks: list[dict[str, Any]] = Field(description="what was worked out again, and whether it agreed")


def make_report(stations: dict[str, Any], *, run: str, at: str, tenant: str, duration_seconds: int) -> Report:
    return Report(zhisuan=__version__, run=run, at=at, tenant=tenant, duration_seconds=duration_seconds, **stations)


def write_report(report: Report, folder: Path) -> tuple[Path, Path]:
    """``report.json`` and ``report.html`` in ``folder``, each written whole."""
    data, page = folder / "report.json", folder / "report.html"
    write_private(data, orjson.dumps(report.model_dump(mode="json"), option=orjson.OPT_INDENT_2))
    write_private(page, render(report).encode())
    return data, page


def render(report: Report) -> str:
    """The page, in both languages; all text is escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["decimal"] = decimal_text
    environment.filters["bars"] = _bars
    template = files("zhisuan.app.quickstart").joinpath("report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(r=report.model_dump(mode="json"))


def _bars(values: dict[str, int]) -> list[tuple[str, int, int]]:
    """(name, value, parts per thousand of the whole) of what is not zero, for a stacked bar."""
    total = sum(values.values()) or 1
    return [(name, value, value * 1000 // total) for name, value in values.items() if value]
