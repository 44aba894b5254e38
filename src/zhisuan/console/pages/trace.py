"""The whole chain that a record stands in, station by station."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from nicegui import App
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from zhisuan.console.client import Connection
from zhisuan.console.factwords import fact_text, shown_facts
from zhisuan.console.format import count
from zhisuan.console.parts import card, chip, div, el, field, ident, local
from zhisuan.console.reader import Reader
from zhisuan.console.show import Asked, console_page, show
from zhisuan.console.text_trace import Trace

READ = ("org:trace:read", "platform:trace:read")
SHOWN = 6
# Ids of these kinds can be traced themselves; others name a machine, a person or an organisation.
TRACED = ("job_", "svc_", "wsp_", "lea_", "plc_", "quo_", "art_", "chg_", "inl_", "inv_", "stl_", "ord_", "grt_", "top_", "txn_",
          "mdl_", "mdv_", "dep_")  # fmt: skip


def register(web: App, connection: Connection) -> None:
    @console_page("/trace")
    async def ask(request: Request, id: str = "") -> Response | None:
        if id.strip():
            return RedirectResponse(f"/trace/{quote(id.strip()[:100], safe='')}", 303)
        return await show(request, connection, Asked("trace", Trace.TITLE, READ), _ask)

    @console_page("/trace/{ident}")
    async def trace(request: Request, ident: str) -> Response | None:
        return await show(request, connection, Asked("trace", Trace.TITLE, READ), lambda reader: _build(reader, ident))


async def _ask(reader: Reader) -> None:
    say = reader.say
    with div("page-head"):
        el("h1", say(Trace.ASK_TITLE))
        el("p", say(Trace.ASK_TEXT), "muted")
    with card(), el("form", "", "inline-form", method="get", action="/trace"):
        field("id", say(Trace.ID), required=True, maxlength="80", placeholder="job_… / chg_… / inl_…")
        el("button", say(Trace.GO), "button primary", type="submit")


async def _build(reader: Reader, asked: str) -> None:
    say = reader.say
    found = await reader.api.get(f"/trace{local(asked)}")
    with div("page-head"):
        with div("title-row"):
            el("h1", say(Trace.TITLE))
            ident(str(found["id"]), say)
        el("p", say(Trace.LEAD), "muted")
    with el("ol", "", "chain"):
        for station in found["stations"]:
            _station(reader, station, str(found["id"]))


def _station(reader: Reader, station: Mapping[str, Any], asked: str) -> None:
    say, name, records = reader.say, str(station["station"]), station["records"]
    with el("li", "", f"station {'' if records else 'station-empty'}"):
        with div("station-head"):
            el("h2", say.named(Trace.STATIONS, name))
            el("span", say(Trace.QUESTIONS[name]) if name in Trace.QUESTIONS else "", "hint")
        with div("station-body"):
            if not records:
                el("p", say(Trace.NOTHING), "hint")
            for record in records[:SHOWN]:
                _record(reader, record, asked)
            if len(records) > SHOWN:
                with el("details", "", "more"):
                    el("summary", say(Trace.MORE, count=count(len(records) - SHOWN)))
                    for record in records[SHOWN:]:
                        _record(reader, record, asked)


def _record(reader: Reader, record: Mapping[str, Any], asked: str) -> None:
    say, own = reader.say, str(record["id"])
    here = own == asked
    with div("record record-here" if here else "record"):
        with div("title-row"):
            el("span", say.words(record["title"]), "strong")
            ident(own, say, href=_href(reader, own))
            if here:
                chip(say(Trace.HERE), "run")
        with el("dl", "", "record-facts"):
            for name, value in shown_facts(record["facts"]).items():
                with div("fact"):
                    el("dt", say.named(Trace.FACTS, name))
                    with el("dd"):
                        _value(reader, name, value)


def _href(reader: Reader, value: str) -> str | None:
    if value.startswith("site_"):
        return local("sites", value) if reader.may("platform:site:read", "provider:site:read") else None
    return local("trace", value) if value.startswith(TRACED) else None


def _value(reader: Reader, name: str, value: Any) -> None:
    say = reader.say
    if isinstance(value, str) and (name.endswith("_id") or name == "subject") and name != "class_id":
        ident(value, say, href=_href(reader, value))
    elif name == "sha256":
        ident(str(value), say)
    else:
        el("span", fact_text(name, value, say), "figure")
