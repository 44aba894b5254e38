"""The list of models, and the routes of the pages about one."""

from collections.abc import Mapping
from typing import Any

from nicegui import App
from starlette.requests import Request
from starlette.responses import Response

from zhisuan.console.client import Connection
from zhisuan.console.format import ZONE, moment
from zhisuan.console.pages import model
from zhisuan.console.parts import Column, button_link, card, chip, div, el, empty, link, local, table
from zhisuan.console.reader import Reader
from zhisuan.console.show import Asked, console_page, show
from zhisuan.console.text_frame import Frame
from zhisuan.console.text_models import Model

READ = ("org:model:read",)
LIMIT = 50


def register(web: App, connection: Connection) -> None:
    @console_page("/models")
    async def models(request: Request, cursor: str = "") -> Response | None:
        return await show(request, connection, Asked("models", Frame.MODELS, READ), lambda reader: _build(reader, cursor))

    @console_page("/models/{name}")
    async def one(request: Request, name: str) -> Response | None:
        return await show(request, connection, Asked("models", Frame.MODELS, READ), lambda reader: model.build(reader, name))


async def _build(reader: Reader, cursor: str) -> None:
    say = reader.say
    page = await reader.api.get("/models", limit=LIMIT, cursor=cursor or None)
    with div("page-head"):
        el("h1", say(Frame.MODELS))
    with card():
        if page["items"]:
            columns = (
                Column(say(Model.NAME), wide=True), Column(say(Model.LATEST)), Column(say(Model.EVALUATION), wide=True),
                Column(say(Model.SERVED)), Column(f"{say(Model.CREATED)} ({ZONE})", number=True),
            )  # fmt: skip
            table(say(Frame.MODELS), columns, [_row(reader, m) for m in page["items"]])
        else:
            empty(say(Model.EMPTY), say(Model.EMPTY_TEXT), say, line="zhisuan models register guide --job JOB_ID")
    if page["next_cursor"]:
        with div("pager"):
            button_link(say(Frame.OLDER), f"/models?cursor={page['next_cursor']}", rel="next")


def _row(reader: Reader, found: Mapping[str, Any]) -> list[Any]:
    say, latest = reader.say, found["latest"]

    def name() -> None:
        with div("cell-stack"):
            link(found["name"], local("models", found["name"]), "strong")
            if found["description"]:
                el("span", found["description"], "hint")

    return [
        name,
        say(Model.VERSION, number=latest["number"]) if latest else "–",
        lambda: model.evaluation_figures(reader, latest["evaluation"] if latest else None, 2),
        lambda: chip(say(Model.SERVED if found["deployed"] else Model.NOT_SERVED), "ok" if found["deployed"] else "off"),
        moment(found["created_at"]),
    ]
