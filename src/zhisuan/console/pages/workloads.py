"""The list of workloads, and the routes of the pages about one."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from nicegui import App
from starlette.requests import Request
from starlette.responses import Response

from zhisuan.console.client import Connection
from zhisuan.console.format import ZONE, du, moment, percent
from zhisuan.console.pages import launch, workload
from zhisuan.console.parts import Column, bar, button_link, card, div, el, empty, ident, link, local, table
from zhisuan.console.reader import Reader
from zhisuan.console.show import Asked, console_page, show
from zhisuan.console.text_frame import Frame
from zhisuan.console.text_work import Work
from zhisuan.console.wording import OPEN_STATES, resources_text, workload_chip

READ = ("org:workload:read", "platform:workload:read")
LIMIT = 50


def register(web: App, connection: Connection) -> None:
    @console_page("/workloads")
    async def workloads(request: Request, state: str = "", kind: str = "", cursor: str = "") -> Response | None:
        async def build(reader: Reader) -> None:
            await _build(reader, state if state in Work.STATES else "", kind if kind in Work.KINDS else "", cursor)

        return await show(request, connection, Asked("workloads", Frame.WORKLOADS, READ), build)

    @console_page("/workloads/new")
    async def new(request: Request) -> Response | None:
        return await show(request, connection, Asked("workloads", Work.NEW, ("org:workload:write",)), launch.build)

    @console_page("/workloads/{workload_id}")
    async def one(request: Request, workload_id: str) -> Response | None:
        return await show(
            request, connection, Asked("workloads", Frame.WORKLOADS, READ), lambda reader: workload.build(reader, workload_id)
        )


async def _build(reader: Reader, state: str, kind: str, cursor: str) -> None:
    say = reader.say
    page = await reader.api.get("/workloads", state=state or None, kind=kind or None, cursor=cursor or None, limit=LIMIT)
    with div("page-head"):
        el("h1", say(Frame.WORKLOADS))
        div("spacer")
        if reader.may("org:workload:write"):
            button_link(say(Work.LAUNCH), "/workloads/new", "primary")
    with div("filters"):
        with el("nav", "", "tabs", aria_label=say(Work.FILTER_STATE)):
            _tab(say(Work.ALL), _address("", kind), state == "")
            for name, text in Work.STATES.items():
                _tab(say(text), _address(name, kind), state == name)
        with el("nav", "", "tabs", aria_label=say(Work.FILTER_KIND)):
            _tab(say(Work.ALL_KINDS), _address(state, ""), kind == "")
            for name, text in Work.KINDS.items():
                _tab(say(text), _address(state, name), kind == name)
    with card():
        if not page["items"]:
            filtered = bool(state or kind or cursor)
            empty(say(Work.LIST_EMPTY), say(Work.LIST_FILTERED_TEXT if filtered else Work.LIST_EMPTY_TEXT), say,
                  line="" if filtered else "zhisuan launch job.yaml")  # fmt: skip
        else:
            _table(reader, page["items"])
    with div("pager"):
        if cursor:
            button_link(say(Frame.NEWEST), _address(state, kind))
        if page["next_cursor"]:
            button_link(say(Frame.OLDER), _address(state, kind, str(page["next_cursor"])), rel="next")


def _tab(text: str, href: str, chosen: bool) -> None:
    link(text, href, "tab", aria_current="true" if chosen else None)


def _address(state: str, kind: str, cursor: str = "") -> str:
    given = {k: v for k, v in (("state", state), ("kind", kind), ("cursor", cursor)) if v}
    return f"/workloads?{urlencode(given)}" if given else "/workloads"


def _table(reader: Reader, items: list[Mapping[str, Any]]) -> None:
    say = reader.say
    columns = (
        Column(say(Work.NAME), wide=True), Column(say(Work.STATE)), Column(say(Work.KIND)), Column(say(Work.RESOURCES)),
        Column(say(Work.RATE), number=True), Column(f"{say(Work.CREATED)} ({ZONE})", number=True),
    )  # fmt: skip
    table(say(Frame.WORKLOADS), columns, [_row(reader, w) for w in items])


def _row(reader: Reader, found: Mapping[str, Any]) -> list[Any]:
    say = reader.say

    def name() -> None:
        with div("cell-stack"):
            link(found["name"], local("workloads", found["id"]), "strong")
            ident(found["id"], say)

    def state() -> None:
        with div("cell-stack"):
            workload_chip(found["state"], say)
            if found["state"] in OPEN_STATES and found["progress_ppm"] is not None:
                with div("mini-progress"):
                    bar(int(found["progress_ppm"]), say(Work.PROGRESS))
                    el("span", percent(int(found["progress_ppm"]), 0), "hint figure")

    return [
        name, state, say.named(Work.KINDS, found["kind"]), resources_text(found["resources"], say),
        du(int(found["rate_udu_per_hour"])), moment(found["created_at"]),
    ]  # fmt: skip
