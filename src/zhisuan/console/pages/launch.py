"""Launching from a pasted file: first the quote, then the launch."""

from collections.abc import Mapping
from typing import Any

from nicegui import ui

from zhisuan.base.money import decimal_text
from zhisuan.console.client import ApiAway, ApiProblem
from zhisuan.console.format import du, price, yuan
from zhisuan.console.pages.explained import sites_table
from zhisuan.console.pages.placement import candidates_table, rejected_list
from zhisuan.console.parts import (
    Live,
    button,
    card,
    chip,
    command,
    div,
    el,
    facts,
    field,
    form,
    link,
    local,
    notice,
    place,
)
from zhisuan.console.reader import Reader
from zhisuan.console.text_frame import Frame
from zhisuan.console.text_work import Work


async def build(reader: Reader) -> None:
    say = reader.say
    templates = (await reader.api.get("/templates"))["items"]
    with div("page-head"):
        with div("crumbs"):
            link(say(Work.TO_LIST), "/workloads")
        el("h1", say(Work.NEW))
    with div("columns even"):
        with div("column-main"), card(), form(lambda sent: _quote(reader, sent["file"], answer)):
            with div("examples"):
                el("span", say(Work.EXAMPLES), "muted")
                for template in templates:
                    el("button", say.words(template["title"]), "button small", type="button", title=say.words(template["about"]),
                       data_fill=template["file"], data_fill_into="file")  # fmt: skip
            field("file", say(Work.YAML), hint=say(Work.YAML_HINT), tag="textarea", text=templates[0]["file"], rows="18", spellcheck="false",
                  required=True, maxlength="300000")  # fmt: skip
            el("button", say(Work.QUOTE), "button primary", type="submit")
        answer = place("column-side", aria_live="polite")
    with answer, card(say(Work.QUOTE_TITLE)):
        el("p", say(Work.QUOTE_FIRST), "muted")
        command("zhisuan launch job.yaml", say)


async def _quote(reader: Reader, file: str, answer: Live) -> None:
    try:
        found = await reader.api.post("/quotes", {"file": file})
    except ApiProblem as problem:
        _wrong(reader, problem, answer)
        return
    except ApiAway:
        answer.clear()
        with answer:
            notice("bad", reader.say(Frame.AWAY), [reader.say(Frame.AWAY_TEXT)], role="alert")
        return
    answer.clear()
    with answer:
        _quoted(reader, file, found, answer)


def _wrong(reader: Reader, problem: ApiProblem, answer: Live) -> None:
    answer.clear()
    with answer, notice("bad", problem.detail, [problem.remedy], role="alert"), el("ul", "", "problems"):
        for line in problem.field_lines(reader.say):
            el("li", line)


def _quoted(reader: Reader, file: str, found: Mapping[str, Any], answer: Live) -> None:
    say = reader.say
    with card(say(Work.QUOTE_TITLE), note=say(Work.QUOTE_BOOK, version=found["price_book_version"])):
        fits = bool(found["candidates"])
        with div("quote"):
            chip(say(Work.QUOTE_NOW if fits else Work.QUOTE_WAIT), "ok" if fits else "wait")
            el("p", yuan(int(found["hour_ucny"])), "quote-price")
            el("p", f"{say(Work.QUOTE_HOUR)} · {say(Work.QUOTE_HOUR_NOTE)}", "hint")
        grams = found["carbon_g_per_hour_milli"]
        carbon = "–" if grams is None else say(Work.QUOTE_CARBON_G, grams=decimal_text(int(grams), 3))
        dearer = int(found["hour_ucny_max"]) > int(found["hour_ucny"])
        facts([
            *([(say(Work.QUOTE_MOST), yuan(int(found["hour_ucny_max"])))] if dearer else []),
            (say(Work.RATE), du(int(found["rate_udu_per_hour"]))),
            (say(Work.PRICE), say(Work.PER_DU, price=price(int(found["price_e8_per_du"])))),
            (say(Work.QUOTE_CARBON), carbon),
        ])  # fmt: skip
        el("p", say.words(found["reason"]), "reason")
        sites_table(reader, found["sites"], int(found["sites_counted"]))
        candidates_table(reader, found["candidates"][:5])
        rejected_list(reader, found["rejected"])
        button(say(Work.LAUNCH_NOW), lambda: _launch(reader, file, answer), "primary")


async def _launch(reader: Reader, file: str, answer: Live) -> None:
    try:
        made = await reader.api.post("/workloads", {"file": file})
    except ApiProblem as problem:
        _wrong(reader, problem, answer)
        return
    except ApiAway:
        ui.notify(reader.say(Frame.AWAY), type="negative")
        return
    ui.navigate.to(local("workloads", made["workload"]["id"]))
