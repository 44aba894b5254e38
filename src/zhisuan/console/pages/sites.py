"""The list of sites with registering a new one, and the route of the page about one."""

import re
from collections.abc import Mapping
from typing import Any

from nicegui import App, ui
from starlette.requests import Request
from starlette.responses import Response

from zhisuan.console.client import Connection, Json
from zhisuan.console.format import count, moment_zoned
from zhisuan.console.pages import site
from zhisuan.console.parts import (
    Column,
    button,
    button_link,
    card,
    chip,
    choice,
    command,
    dialog,
    dialog_actions,
    div,
    el,
    empty,
    field,
    form,
    ident,
    link,
    local,
    table,
    tell,
)
from zhisuan.console.reader import Reader
from zhisuan.console.show import Asked, attempt, console_page, show
from zhisuan.console.text_frame import Frame
from zhisuan.console.text_supply import Supply
from zhisuan.console.text_terms import Terms
from zhisuan.console.wording import reach_chip, site_chip

READ = ("platform:site:read", "provider:site:read")
LIMIT = 50
PUE = re.compile(r"(\d)(?:\.(\d{1,3}))?")


def register(web: App, connection: Connection) -> None:
    @console_page("/sites")
    async def sites(request: Request, cursor: str = "") -> Response | None:
        return await show(request, connection, Asked("sites", Frame.SITES, READ), lambda reader: _build(reader, cursor))

    @console_page("/sites/{site_id}")
    async def one(request: Request, site_id: str) -> Response | None:
        return await show(request, connection, Asked("sites", Frame.SITES, READ), lambda reader: site.build(reader, site_id))


async def _build(reader: Reader, cursor: str) -> None:
    say = reader.say
    page = await reader.api.get("/sites", limit=LIMIT, cursor=cursor or None)
    with div("page-head"):
        el("h1", say(Frame.SITES))
        div("spacer")
        if reader.may("provider:site:write"):
            button(say(Supply.NEW), lambda: _ask_new(reader), "primary")
    with card():
        if page["items"]:
            columns = (
                Column(say(Supply.SITE), wide=True), Column(say(Supply.STATE)), Column(say(Supply.HEARD)), Column(say(Supply.REGION)),
                Column(say(Supply.DEVICES)), Column(say(Supply.ISOLATION)), Column(say(Supply.RUNNING), number=True),
            )  # fmt: skip
            table(say(Frame.SITES), columns, [_row(reader, s) for s in page["items"]])
        else:
            mine = reader.may("provider:site:write")
            empty(say(Supply.EMPTY), say(Supply.EMPTY_PROVIDER if mine else Supply.EMPTY_OPERATOR), say,
                  line="zhisuan site create NAME --region CN-AH" if mine else "")  # fmt: skip
    if page["next_cursor"]:
        with div("pager"):
            button_link(say(Frame.OLDER), f"/sites?cursor={page['next_cursor']}", rel="next")


def _row(reader: Reader, found: Mapping[str, Any]) -> list[Any]:
    say = reader.say
    kinds: dict[str, int] = {}
    for node in found["nodes"]:
        for device in node["devices"]:
            if device["kind"] != "memory":
                kinds[device["kind"]] = kinds.get(device["kind"], 0) + int(device["capacity"]) // 1000
    devices = " · ".join(f"{say.named(Supply.KINDS, kind)} {count(number)}" for kind, number in sorted(kinds.items()))

    def name() -> None:
        with div("cell-stack"):
            link(found["name"], local("sites", found["id"]), "strong")
            if reader.kind == "operator":
                el("span", found["provider"]["name"], "hint")
            ident(found["id"], say)

    return [
        name, lambda: _state(reader, found), lambda: reach_chip(found, say), say.words(found["region_name"]),
        devices or "–", lambda: site.isolation_chip(reader, found), count(int(found["leases_running"])),
    ]  # fmt: skip


def _state(reader: Reader, found: Mapping[str, Any]) -> None:
    """The state, and that an open site offers nothing now."""
    with div("cell-stack"):
        site_chip(found["state"], reader.say)
        if found["state"] == "open" and found["offer"] and not found["offer"]["offered"]:
            chip(reader.say(Terms.NOT_OFFERED), "wait")


def pue_milli(text: str) -> int | None:
    """``1.42`` as 1420; None for what is not a PUE from 1 to 3."""
    found = PUE.fullmatch(text.strip())
    if found is None:
        return None
    milli = int(found.group(1)) * 1000 + int((found.group(2) or "0").ljust(3, "0"))
    return milli if 1000 <= milli <= 3000 else None


def _ask_new(reader: Reader) -> None:
    say = reader.say
    with dialog(say(Supply.NEW)) as box:

        async def go(sent: dict[str, str]) -> None:
            milli = pue_milli(sent["pue"])
            if milli is None:
                tell(say(Supply.PUE_WRONG), bad=True)
                return
            made: list[Json] = []

            async def work() -> None:
                body: Json = {"name": sent["name"].strip(), "region": sent["region"], "pue_milli": milli}
                if sent["city"].strip():
                    body["city"] = sent["city"].strip()
                made.append(await reader.api.post("/sites", body))

            if await attempt(work(), say):
                box.close()
                await show_join(reader, made[0], local("sites", made[0]["site"]["id"]))

        with form(go):
            field("name", say(Supply.NAME), required=True, maxlength="60")
            regions = sorted(Supply.REGIONS.items(), key=lambda r: say(r[1]))
            choice("region", say(Supply.REGION), [(code, f"{say(text)} ({code})") for code, text in regions], "CN-AH")
            field("pue", say(Supply.PUE), hint=say(Supply.PUE_HINT), required=True, value="1.42", inputmode="decimal")
            field("city", say(Terms.CITY), maxlength="60")
            with dialog_actions():
                button(say(Frame.CANCEL_DIALOG), box.close)
                el("button", say(Supply.CREATE), "button primary", type="submit")
    box.open()


async def show_join(reader: Reader, made: Json, then: str) -> None:
    """The command that makes a machine join, once."""
    say = reader.say
    url = str((await reader.api.get("/platform"))["console_url"])
    with dialog(say(Supply.JOIN_TITLE)) as box:
        el("p", say(Supply.JOIN_TEXT, at=moment_zoned(made["expires_at"])))
        command(f"zhisuan site join {url} --token {made['join_token']}", say)
        with dialog_actions():
            button(say(Frame.CANCEL_DIALOG), lambda: ui.navigate.to(then), "primary")
    box.props("persistent")
    box.open()
