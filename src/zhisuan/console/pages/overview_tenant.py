"""What a tenant sees first: work, what can be spent, the month, and what to do next."""

from collections.abc import Mapping
from typing import Any

from zhisuan.base.text import Text
from zhisuan.console.chartparts import daily_du
from zhisuan.console.format import (
    carbon,
    carbon_exact,
    count,
    du_unit,
    duration,
    moment,
    percent,
    price,
    short_moment,
    yuan,
)
from zhisuan.console.parts import (
    bar,
    button_link,
    card,
    command,
    copy_button,
    div,
    el,
    empty,
    link,
    local,
    notice,
    stat,
)
from zhisuan.console.reader import Reader
from zhisuan.console.session import Session
from zhisuan.console.text_frame import Frame
from zhisuan.console.text_overview import Overview
from zhisuan.console.text_work import Work
from zhisuan.console.wording import OPEN_STATES, grant_line, resources_text, workload_chip

Found = Mapping[str, Any]


async def build(reader: Reader, found: Found) -> None:
    say = reader.say
    with div("page-head"):
        el("h1", say(Frame.OVERVIEW))
        div("spacer")
        if reader.may("org:workload:write"):
            button_link(say(Work.LAUNCH), "/workloads/new", "primary")
    first_key(reader)
    if int(found["wallet"]["arrears_ucny"]):
        notice("bad", say(Overview.ARREARS), [say(Overview.ARREARS_TEXT, amount=yuan(int(found["wallet"]["arrears_ucny"])))])
    _figures(reader, found)
    with div("columns"):
        with div("column-main"):
            _recent(reader, found["recent"])
            with card(say(Overview.DAILY), note=say(Overview.DAILY_NOTE)):
                daily(reader, found)
        with div("column-side"):
            _purses(reader, found["wallet"])
            _next(reader, found)


def first_key(reader: Reader) -> None:
    """The key made at sign-up, once."""
    kept = Session().once("key")
    if not kept:
        return
    secret = str(kept["secret"])
    with notice("run", reader.say(Frame.KEY_ONCE_TITLE), [reader.say(Frame.KEY_ONCE)]):
        with div("command"):
            el("code", secret, "secret")
            copy_button(secret, reader.say(Frame.COPY))
        command("zhisuan login", reader.say)


def daily(reader: Reader, found: Found) -> None:
    if any(int(d["quantity_udu"]) for d in found["daily"]):
        daily_du(found["daily"], reader.say)
    else:
        el("p", reader.say(Overview.NO_USE), "muted")


def _figures(reader: Reader, found: Found) -> None:
    say, month, wallet, states = reader.say, found["month"], found["wallet"], found["workloads"]
    running = int(states["running"]) + int(states["starting"])
    waiting = int(states["pending"]) + int(states["placed"])
    with div("stats"):
        stat(say(Overview.RUNNING), count(running), say(Overview.RUNNING_NOTE, waiting=count(waiting)), href="/workloads?state=running")
        stat(say(Overview.SPENDABLE), du_unit(int(wallet["spendable_udu"])),
             say(Overview.SPENDABLE_NOTE, price=price(int(wallet["price_e8_per_du"]))))  # fmt: skip
        stat(say(Overview.USED_MONTH), du_unit(int(month["quantity_udu"])), duration(int(month["seconds"]), say.language))
        stat(say(Overview.CASH_MONTH), yuan(int(month["cash_ucny"])),
             say(Overview.VALUE_NOTE, value=yuan(int(month.get("value_ucny", 0)))), href="/bill")  # fmt: skip
        carbon_stat(reader, month["carbon_ug"], say(Overview.CARBON_MONTH))


def carbon_stat(reader: Reader, ug: int | None, label: str) -> None:
    if ug is None:
        stat(label, "–", reader.say(Overview.CARBON_UNKNOWN))
    else:
        stat(label, carbon(int(ug)), reader.say(Overview.CARBON_NOTE), title=carbon_exact(int(ug)))


def _recent(reader: Reader, recent: list[Found]) -> None:
    say = reader.say
    with card(say(Overview.RECENT)) as head:
        with head:
            div("spacer")
            link(say(Overview.ALL), "/workloads")
        if not recent:
            empty(say(Overview.NO_WORK), say(Overview.NO_WORK_TEXT), say, line="zhisuan launch job.yaml")
            return
        with el("ul", "", "work-list"):
            for workload in recent:
                with el("li"), link("", local("workloads", workload["id"]), "work-line"):
                    with div("work-what"):
                        el("span", workload["name"], "work-name")
                        el("span", resources_text(workload["resources"], say), "hint")
                    if workload["state"] in OPEN_STATES and workload["progress_ppm"] is not None:
                        with div("work-progress"):
                            bar(int(workload["progress_ppm"]), workload["name"])
                            el("span", percent(int(workload["progress_ppm"]), 0), "figure")
                    workload_chip(workload["state"], say)
                    el("span", short_moment(workload["created_at"]), "hint figure", title=moment(workload["created_at"]))


def _purses(reader: Reader, wallet: Found) -> None:
    say = reader.say
    with card(say(Overview.PURSES)):
        with div("purse-line"):
            el("span", say(Overview.WALLET))
            el("span", yuan(int(wallet["wallet_ucny"])), "figure strong")
        for grant in wallet["grants"]:
            grant_line(grant, say)


def _next(reader: Reader, found: Found) -> None:
    """The steps that fit where the tenant stands, most useful first."""
    states, grants = found["workloads"], found["wallet"]["grants"]
    whole = sum(int(g["quantity_udu"]) for g in grants)
    left = sum(int(g["left_udu"]) for g in grants)
    steps: list[tuple[Text, Text, str]] = []
    if not found["recent"]:
        steps.append((Overview.NEXT_LAUNCH, Overview.NEXT_LAUNCH_TEXT, "/workloads/new"))
    if 2 * left < whole or not grants:
        steps.append((Overview.NEXT_TOP_UP, Overview.NEXT_TOP_UP_TEXT, "/bill#wallet"))
    if int(states["succeeded"]) and not int(found["deployments"]):
        steps.append((Overview.NEXT_DEPLOY, Overview.NEXT_DEPLOY_TEXT, "/models"))
    if int(found["month"]["quantity_udu"]):
        steps.append((Overview.NEXT_BILL, Overview.NEXT_BILL_TEXT, "/bill"))
    if not steps:
        return
    with card(reader.say(Overview.NEXT)), el("ol", "", "steps"):
        for title, text, href in steps[:3]:
            with el("li"), link("", href, "step"):
                el("span", reader.say(title), "step-title")
                el("span", reader.say(text), "hint")
