"""The workspaces of an organisation, and starting one."""

from collections.abc import Mapping
from typing import Any

import orjson
from nicegui import App, ui
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from zhisuan.console.client import Api, ApiAway, ApiProblem, Connection
from zhisuan.console.format import ZONE, du_unit, moment, yuan
from zhisuan.console.pages import workspace
from zhisuan.console.pages.files import answer_for
from zhisuan.console.parts import (
    Column,
    Live,
    button,
    card,
    chip,
    choice,
    div,
    el,
    empty,
    field,
    form,
    ident,
    link,
    local,
    notice,
    place,
    table,
)
from zhisuan.console.reader import Reader
from zhisuan.console.show import Asked, console_page, show
from zhisuan.console.speech import Speech
from zhisuan.console.text_frame import Frame
from zhisuan.console.text_work import Work
from zhisuan.console.text_workspaces import Space
from zhisuan.console.tree import Plain
from zhisuan.console.wording import resources_text

READ = ("org:workload:read", "platform:workload:read")
LIMIT = 50
SIZES = (("name", Space.NAME, "my-workspace", ""), ("cpus", Space.CPUS, "1", ""), ("memory", Space.MEMORY, "2", ""))


def register(web: App, connection: Connection) -> None:
    @web.get("/workspaces/{workload_id}/open", include_in_schema=False)
    async def enter(workload_id: str) -> Response:
        return await answer_for(connection, lambda api: _enter(api, workload_id))

    @console_page("/workspaces")
    async def workspaces(request: Request, cursor: str = "") -> Response | None:
        return await show(
            request, connection, Asked("workspaces", Frame.WORKSPACES, READ), lambda reader: _build(reader, cursor)
        )

    @console_page("/workspaces/{workload_id}")
    async def one(request: Request, workload_id: str) -> Response | None:
        return await show(
            request, connection, Asked("workspaces", Frame.WORKSPACES, READ),
            lambda reader: workspace.build(reader, workload_id),
        )  # fmt: skip


async def _enter(api: Api, workload_id: str) -> Response:
    """To the workspace itself, by a link that is made for this browser."""
    made = await api.post(f"/workspaces{local(workload_id)}/link")
    return RedirectResponse(str(made["url"]), 303, headers={"Referrer-Policy": "no-referrer"})


def status_chip(status: str, say: Speech) -> Plain:
    return chip(say.named(Space.STATES, status), workspace.TONES.get(status, "off"))


async def _build(reader: Reader, cursor: str) -> None:
    say = reader.say
    page = await reader.api.get("/workspaces", limit=LIMIT, cursor=cursor or None)
    with div("page-head"):
        el("h1", say(Frame.WORKSPACES))
    with div("columns"):
        with div("column-main"), card(say(Space.LIST)):
            if page["items"]:
                _table(reader, page["items"])
            else:
                empty(say(Space.EMPTY), say(Space.EMPTY_TEXT), say, line="zhisuan workspace start")
        if reader.may("org:workload:write"):
            with div("column-side"):
                _start_card(reader)
    with div("pager"):
        if page["next_cursor"]:
            link(say(Frame.OLDER), f"/workspaces?cursor={page['next_cursor']}", "button plain", rel="next")


def _table(reader: Reader, items: list[Mapping[str, Any]]) -> None:
    say = reader.say
    columns = (
        Column(say(Space.NAME), wide=True), Column(say(Work.STATE)), Column(say(Work.RESOURCES)),
        Column(say(Space.HOUR), number=True), Column(say(Space.COST), number=True),
    )  # fmt: skip
    table(say(Space.LIST), columns, [_row(found, say) for found in items])


def _row(found: Mapping[str, Any], say: Speech) -> list[Any]:
    def name() -> None:
        with div("cell-stack"):
            link(found["name"], local("workspaces", found["id"]), "strong")
            el("span", f"{say.named(Space.SESSIONS, found['session'])} · {moment(found['created_at'])} ({ZONE})", "hint")
            ident(found["id"], say)

    return [
        name, lambda: status_chip(found["status"], say), resources_text(found["resources"], say),
        yuan(int(found["hour_ucny"])), du_unit(int(found["charged_udu"])),
    ]  # fmt: skip


def _start_card(reader: Reader) -> None:
    say = reader.say
    with card(say(Space.START)):
        with form(lambda sent: _quote(reader, sent, answer)):
            choice("kind", say(Space.SESSION), [(k, say(t)) for k, t in Space.SESSIONS.items()], "jupyter")
            for name, label, value, hint in SIZES:
                field(name, say(label), hint=hint, value=value, required=True, maxlength="60")
            field("gpu", say(Space.GPU), hint=say(Space.GPU_HINT), maxlength="60")
            field("max_duration", say(Space.MAX), hint=say(Space.MAX_HINT), value="8h", maxlength="20")
            el("button", say(Space.PRICE_FIRST), "button primary", type="submit")
        answer = place("start-answer", aria_live="polite")


def _file(sent: Mapping[str, str]) -> str:
    """The workload file of the form: JSON is YAML, and quotes whatever was typed."""
    resources = {"cpus": sent["cpus"].strip(), "memory": sent["memory"].strip()}
    if gpu := sent.get("gpu", "").strip():
        resources["accelerators"] = gpu
    own = {"workspace": sent["kind"]}
    if longest := sent.get("max_duration", "").strip():
        own["max_duration"] = longest
    return orjson.dumps({"name": sent["name"].strip(), "resources": resources, "zhisuan": own}).decode()


async def _quote(reader: Reader, sent: Mapping[str, str], answer: Live) -> None:
    say, file = reader.say, _file(sent)
    answer.clear()
    try:
        found = await reader.api.post("/quotes", {"file": file})
    except (ApiProblem, ApiAway) as error:
        _wrong(reader, error, answer)
        return
    with answer:
        el("p", yuan(int(found["hour_ucny"])), "quote-price")
        el("p", say(Space.PRICE_NOTE), "hint")
        if not found["candidates"]:
            notice("wait", say(Space.NO_PLACE), [say.words(found["reason"])])
        with el("p"):
            button(say(Space.START_NOW), lambda: _start(reader, file, answer), "primary")


async def _start(reader: Reader, file: str, answer: Live) -> None:
    try:
        made = await reader.api.post("/workloads", {"file": file})
    except (ApiProblem, ApiAway) as error:
        answer.clear()
        _wrong(reader, error, answer)
        return
    ui.navigate.to(local("workspaces", made["workload"]["id"]))


def _wrong(reader: Reader, error: ApiProblem | ApiAway, answer: Live) -> None:
    say = reader.say
    with answer:
        if isinstance(error, ApiProblem):
            notice("bad", error.detail, [error.remedy, *error.field_lines(say)], role="alert")
        else:
            notice("bad", say(Frame.AWAY), [say(Frame.AWAY_TEXT)], role="alert")
