"""What the operator, a provider and the city see first."""

from collections.abc import Mapping, Sequence
from typing import Any

from zhisuan.console.format import (
    amount,
    bytes_text,
    count,
    du,
    du_unit,
    duration,
    energy,
    energy_exact,
    fen,
    percent,
    share_ppm,
    tflops,
    yuan,
)
from zhisuan.console.pages.overview_tenant import carbon_stat, daily, first_key
from zhisuan.console.parts import bar, button_link, card, chip, div, el, empty, facts, stat
from zhisuan.console.reader import Reader
from zhisuan.console.text_frame import Frame
from zhisuan.console.text_overview import Overview
from zhisuan.console.text_supply import Supply
from zhisuan.console.text_work import Work

Found = Mapping[str, Any]


async def operator(reader: Reader, found: Found) -> None:
    say = reader.say
    checks = (await reader.api.get("/checks"))["items"]
    _head(reader)
    with div("stats"):
        sites = found["sites"]
        dark = int(sites["total"]) - int(sites["reachable"])
        stat(say(Overview.SITES_REACHABLE), count(int(sites["reachable"])), say(Overview.SITES_NOTE, total=count(int(sites["total"]))),
             href="/sites", tone="stat-bad" if dark else "")  # fmt: skip
        stat(say(Overview.WAITING), count(int(found["waiting"])),
             say(Overview.RUNNING_ALL, running=count(int(found["workloads"]["running"]))), href="/workloads?state=pending")  # fmt: skip
        delivery = found["delivery_seconds_p50"]
        stat(say(Overview.DELIVERY), "–" if delivery is None else f"{delivery} s",
             say(Overview.NO_DELIVERY if delivery is None else Overview.DELIVERY_NOTE))  # fmt: skip
        month = found["month"]
        stat(say(Overview.INCOME), yuan(int(month["value_ucny"])), say(Overview.INCOME_NOTE, du=du(int(month["quantity_udu"]))), href="/bill")
        failing = sum(1 for c in checks if not c["ok"])
        stat(say(Overview.CHECKS), f"{len(checks) - failing}/{len(checks)}",
             say(Overview.CHECKS_BAD, count=failing) if failing else say(Overview.CHECKS_OK), href="/bill",
             tone="stat-bad" if failing else "")  # fmt: skip
    with div("columns"):
        with div("column-main"):
            _utilisation(reader, found["utilisation"])
            with card(say(Overview.DAILY), note=say(Overview.DAILY_NOTE)):
                daily(reader, found)
        with div("column-side"):
            with card(say(Overview.WORK_STATES)):
                facts([(say.named(Work.STATES, s), count(int(n))) for s, n in found["workloads"].items()])
            with card(say(Overview.ORGANISATIONS)):
                facts([(say.named(Frame.KINDS, k), count(int(n))) for k, n in sorted(found["organisations"].items())])
            checks_card(reader, checks, int(found["quarantined"]), found["swept"])


def checks_card(reader: Reader, checks: Sequence[Found], quarantined: int | None = None, swept: Found | None = None) -> None:
    """The books, added up again: each check with what it found."""
    say = reader.say
    with card(say(Overview.CHECKS)), el("ul", "", "checks"):
        for check in checks:
            with el("li"):
                chip(say(Overview.CHECK_OK if check["ok"] else Overview.CHECK_BAD), "ok" if check["ok"] else "bad")
                el("span", say.words(check["detail"]))
        if quarantined is not None:
            with el("li"):
                chip(count(quarantined), "wait" if quarantined else "ok")
                el("span", say(Overview.QUARANTINED, count=count(quarantined)) if quarantined else say(Overview.NO_QUARANTINE))
        if swept is not None:
            with el("li"):
                chip(count(int(swept["file_count"])), "ok")
                size = bytes_text(int(swept["size_bytes"]))
                el("span", say(Overview.SWEPT, count=count(int(swept["file_count"])), days=swept["days"], size=size))


async def provider(reader: Reader, found: Found) -> None:
    say, month, devices = reader.say, found["month"], found["devices"]
    _head(reader)
    first_key(reader)
    with div("stats"):
        stat(say(Overview.SITES_REACHABLE), count(int(found["reachable"])), say(Overview.SITES_NOTE, total=count(int(found["sites"]))),
             href="/sites", tone="stat-bad" if int(found["reachable"]) < int(found["sites"]) else "")  # fmt: skip
        cards, cores = int(devices["accelerators"]), int(devices["cores"])
        words = say(Overview.DEVICES_CARDS, cards=count(cards)), say(Overview.DEVICES_CORES, cores=count(cores))
        stat(say(Overview.DEVICES), *(words if cards else words[::-1]))
        stat(say(Overview.IN_USE), percent(int(found["used_ppm"])))
        stat(say(Overview.PAYABLE), fen(int(found["payable_fen"])), say(Overview.PAYABLE_NOTE), href="/bill")
        stat(say(Overview.SOLD_MONTH), du_unit(int(month["quantity_udu"])), duration(int(month["seconds"]), say.language))
    if not int(found["sites"]):
        with card(say(Overview.EARN_NEXT)):
            empty(say(Overview.EARN_NEXT), say(Overview.EARN_NEXT_TEXT), say, action=(say(Supply.NEW), "/sites"))
        return
    with card(say(Overview.DAILY), note=say(Overview.DAILY_NOTE)):
        daily(reader, found)
    with card(say(Overview.EARN_NEXT)):
        el("p", say(Overview.EARN_NEXT_TEXT), "muted")
        button_link(say(Supply.NEW), "/sites")


async def city(reader: Reader, found: Found) -> None:
    say, month = reader.say, found["month"]
    _head(reader)
    with div("stats"):
        sites = found["sites"]
        stat(say(Overview.SITES_REACHABLE), count(int(sites["reachable"])), say(Overview.SITES_NOTE, total=count(int(sites["total"]))))
        stat(say(Overview.PROVIDERS), count(int(found["providers"])))
        stat(say(Overview.TENANTS), count(int(found["tenants"])))
        stat(say(Overview.MEASURED_TOTAL), tflops(int(found["measured_mflops_total"])), say(Overview.MEASURED_NOTE))
        stat(say(Overview.USED_MONTH), du_unit(int(month["quantity_udu"])), duration(int(month["seconds"]), say.language))
        stat(say(Overview.ENERGY_MONTH), energy(int(found["energy_uwh"])), say(Overview.CARBON_NOTE), title=energy_exact(int(found["energy_uwh"])))
        carbon_stat(reader, found["carbon_ug"], say(Overview.CARBON_MONTH))
    _utilisation(reader, found["utilisation"])
    with card(say(Overview.DAILY), note=say(Overview.DAILY_NOTE)):
        daily(reader, found)
    el("p", say(Overview.CITY_NOTE), "hint")


def _head(reader: Reader) -> None:
    with div("page-head"):
        el("h1", reader.say(Frame.OVERVIEW))


def _utilisation(reader: Reader, use: Sequence[Found]) -> None:
    say = reader.say
    with card(say(Overview.UTILISATION), note=say(Overview.UTILISATION_NOTE)):
        if not use:
            empty(say(Overview.NO_DEVICES), say(Overview.NO_DEVICES_TEXT), say)
            return
        for kind in use:
            name = str(kind["kind"])
            used, whole = int(kind["allocated"]), int(kind["capacity"])
            with div("use-line"):
                el("span", say.named(Overview.KIND, name), "use-name")
                bar(share_ppm(used, whole), say.named(Overview.KIND, name))
                el("span", percent(share_ppm(used, whole)), "figure strong")
                unit = say(Overview.UNIT[name]) if name in Overview.UNIT else ""
                line = say(Overview.UTILISATION_LINE, used=amount(name, used), whole=amount(name, whole), unit=unit)
                el("span", line.strip(), "hint figure")
