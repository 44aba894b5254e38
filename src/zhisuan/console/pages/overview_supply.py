"""What the operator, a provider and the city see first."""

from collections.abc import Mapping, Sequence
from typing import Any

from zhisuan.console import text_frame as F
from zhisuan.console import text_overview as T
from zhisuan.console import text_supply as S
from zhisuan.console import text_work as W
from zhisuan.console.format import (
    amount,
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

Found = Mapping[str, Any]


async def operator(reader: Reader, found: Found) -> None:
    say = reader.say
    checks = (await reader.api.get("/checks"))["items"]
    _head(reader)
    with div("stats"):
        sites = found["sites"]
        dark = int(sites["total"]) - int(sites["reachable"])
        stat(say(T.SITES_REACHABLE), count(int(sites["reachable"])), say(T.SITES_NOTE, total=count(int(sites["total"]))),
             href="/sites", tone="stat-bad" if dark else "")  # fmt: skip
        stat(say(T.WAITING), count(int(found["waiting"])),
             say(T.RUNNING_ALL, running=count(int(found["workloads"]["running"]))), href="/workloads?state=pending")  # fmt: skip
        delivery = found["delivery_seconds_p50"]
        stat(say(T.DELIVERY), "–" if delivery is None else f"{delivery} s",
             say(T.NO_DELIVERY if delivery is None else T.DELIVERY_NOTE))  # fmt: skip
        month = found["month"]
        stat(say(T.INCOME), yuan(int(month["value_ucny"])), say(T.INCOME_NOTE, du=du(int(month["quantity_udu"]))), href="/bill")
        failing = sum(1 for c in checks if not c["ok"])
        stat(say(T.CHECKS), say(T.CHECKS_BAD, count=failing) if failing else say(T.CHECKS_OK), "", href="/bill",
             tone="stat-bad" if failing else "stat-word")  # fmt: skip
    with div("columns"):
        with div("column-main"):
            _utilisation(reader, found["utilisation"])
            with card(say(T.DAILY), note=say(T.DAILY_NOTE)):
                daily(reader, found)
        with div("column-side"):
            with card(say(T.WORK_STATES)):
                facts([(say.named(W.STATES, s), count(int(n))) for s, n in found["workloads"].items()])
            with card(say(T.ORGANISATIONS)):
                facts([(say.named(F.KINDS, k), count(int(n))) for k, n in sorted(found["organisations"].items())])
            checks_card(reader, checks, int(found["quarantined"]))


def checks_card(reader: Reader, checks: Sequence[Found], quarantined: int | None = None) -> None:
    """The books, added up again: each check with what it found."""
    say = reader.say
    with card(say(T.CHECKS)), el("ul", "", "checks"):
        for check in checks:
            with el("li"):
                chip(say(T.CHECK_OK if check["ok"] else T.CHECK_BAD), "ok" if check["ok"] else "bad")
                el("span", say.words(check["detail"]))
        if quarantined is not None:
            with el("li"):
                chip(count(quarantined), "wait" if quarantined else "ok")
                el("span", say(T.QUARANTINED, count=count(quarantined)) if quarantined else say(T.NO_QUARANTINE))


async def provider(reader: Reader, found: Found) -> None:
    say, month, devices = reader.say, found["month"], found["devices"]
    _head(reader)
    first_key(reader)
    with div("stats"):
        stat(say(T.SITES_REACHABLE), count(int(found["reachable"])), say(T.SITES_NOTE, total=count(int(found["sites"]))),
             href="/sites", tone="stat-bad" if int(found["reachable"]) < int(found["sites"]) else "")  # fmt: skip
        cards, cores = int(devices["accelerators"]), int(devices["cores"])
        stat(say(T.DEVICES), say(T.DEVICES_CARDS, cards=count(cards)), say(T.DEVICES_CORES, cores=count(cores)))
        stat(say(T.IN_USE), percent(int(found["used_ppm"])))
        stat(say(T.PAYABLE), fen(int(found["payable_fen"])), say(T.PAYABLE_NOTE), href="/bill")
        stat(say(T.SOLD_MONTH), du_unit(int(month["quantity_udu"])), duration(int(month["seconds"]), say.language))
    if not int(found["sites"]):
        with card(say(T.EARN_NEXT)):
            empty(say(T.EARN_NEXT), say(T.EARN_NEXT_TEXT), say, action=(say(S.NEW), "/sites"))
        return
    with card(say(T.DAILY), note=say(T.DAILY_NOTE)):
        daily(reader, found)
    with card(say(T.EARN_NEXT)):
        el("p", say(T.EARN_NEXT_TEXT), "muted")
        button_link(say(S.NEW), "/sites")


async def city(reader: Reader, found: Found) -> None:
    say, month = reader.say, found["month"]
    _head(reader)
    with div("stats"):
        sites = found["sites"]
        stat(say(T.SITES_REACHABLE), count(int(sites["reachable"])), say(T.SITES_NOTE, total=count(int(sites["total"]))))
        stat(say(T.PROVIDERS), count(int(found["providers"])))
        stat(say(T.TENANTS), count(int(found["tenants"])))
        stat(say(T.MEASURED_TOTAL), f"{tflops(int(found['measured_mflops_total']))} TFLOPS", say(T.MEASURED_NOTE))
        stat(say(T.USED_MONTH), du_unit(int(month["quantity_udu"])), duration(int(month["seconds"]), say.language))
        stat(say(T.ENERGY_MONTH), energy(int(found["energy_uwh"])), say(T.CARBON_NOTE), title=energy_exact(int(found["energy_uwh"])))
        carbon_stat(reader, found["carbon_ug"], say(T.CARBON_MONTH))
    _utilisation(reader, found["utilisation"])
    with card(say(T.DAILY), note=say(T.DAILY_NOTE)):
        daily(reader, found)
    el("p", say(T.CITY_NOTE), "hint")


def _head(reader: Reader) -> None:
    with div("page-head"):
        el("h1", reader.say(F.OVERVIEW))


def _utilisation(reader: Reader, use: Sequence[Found]) -> None:
    say = reader.say
    with card(say(T.UTILISATION), note=say(T.UTILISATION_NOTE)):
        if not use:
            empty(say(T.NO_DEVICES), say(T.NO_DEVICES_TEXT), say)
            return
        for kind in use:
            name = str(kind["kind"])
            used, whole = int(kind["allocated"]), int(kind["capacity"])
            with div("use-line"):
                el("span", say.named(T.KIND, name), "use-name")
                bar(share_ppm(used, whole), say.named(T.KIND, name))
                el("span", percent(share_ppm(used, whole)), "figure strong")
                unit = say(T.UNIT[name]) if name in T.UNIT else ""
                line = say(T.UTILISATION_LINE, used=amount(name, used), whole=amount(name, whole), unit=unit)
                el("span", line.strip(), "hint figure")
