"""Quotas: one's organisation and its projects, or all tenants for the operator; and a form to set them."""

import re
from collections.abc import Mapping
from typing import Any

from nicegui import App
from starlette.requests import Request
from starlette.responses import Response

from zhisuan.base.money import decimal_text
from zhisuan.base.text import Text
from zhisuan.console.client import Connection
from zhisuan.console.format import percent
from zhisuan.console.parts import (
    Column,
    button,
    button_link,
    card,
    dialog,
    dialog_actions,
    div,
    el,
    field,
    form,
    ident,
    local,
    notice,
    table,
    tell,
)
from zhisuan.console.reader import Reader
from zhisuan.console.show import Asked, attempt, console_page, done_and_again, show
from zhisuan.console.text_frame import Frame
from zhisuan.console.text_quotas import Quotas

Found = Mapping[str, Any]
READ = ("org:quota:read", "platform:quota:read")
AMOUNT = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,3}))?")


def register(web: App, connection: Connection) -> None:
    asked = Asked("quotas", Quotas.TITLE, READ)

    @console_page("/quotas")
    async def all_quotas(request: Request, cursor: str = "") -> Response | None:
        return await show(request, connection, asked, lambda reader: _build(reader, None, cursor))

    @console_page("/quotas/{organisation}")
    async def one(request: Request, organisation: str) -> Response | None:
        return await show(request, connection, asked, lambda reader: _build(reader, organisation, ""))


async def _build(reader: Reader, organisation: str | None, cursor: str) -> None:
    say = reader.say
    page = await reader.api.get("/quotas", organisation=organisation, cursor=cursor or None)
    items = page["items"]
    names = {q["subject"]: q["name"] for q in items}
    with div("page-head"):
        el("h1", say(Quotas.OF, name=items[0]["name"]) if organisation and items else say(Quotas.TITLE))
    _say_over(reader, page)
    with card():
        el("p", say(Quotas.EXPLAINED), "hint")
        columns = (
            Column(say(Quotas.NAME), wide=True), Column(say(Quotas.CARDS), number=True), Column(say(Quotas.CORES), number=True),
            Column(say(Quotas.BORROWED), number=True), Column(say(Quotas.WEIGHT), number=True), Column(say(Quotas.SHARE), number=True),
            Column(""),
        )  # fmt: skip
        table(say(Quotas.TITLE), columns, [_row(reader, q, names, whole=organisation is None) for q in items])
    if page["next_cursor"]:
        with div("pager"):
            button_link(say(Frame.OLDER), f"/quotas?cursor={page['next_cursor']}", rel="next")


def _say_over(reader: Reader, page: Found) -> None:
    """Guarantees of all tenants shown that cannot all be kept."""
    if page["capacity_cards_milli"] is None:
        return
    cards, cores = (sum(q[f"guaranteed_{name}_milli"] for q in page["items"]) for name in ("cards", "cores"))
    if cards > page["capacity_cards_milli"] or cores > page["capacity_cores_milli"]:
        said = reader.say(
            Quotas.OVER, cards=_number(cards), cores=_number(cores), cards_there=_number(page["capacity_cards_milli"]),
            cores_there=_number(page["capacity_cores_milli"]),
        )  # fmt: skip
        notice("wait", said)


def _number(milli: int | None) -> str:
    return "" if milli is None else decimal_text(milli, 3)


def _row(reader: Reader, quota: Found, names: Mapping[str, str], *, whole: bool) -> list[Any]:
    """``whole``: the page is of all tenants, each with a way to its projects."""
    say = reader.say

    def name() -> None:
        with div("cell-stack"):
            el("span", quota["name"], "strong")
            parent = names.get(quota["parent_id"] or "")
            nested = quota["parent_id"] not in (None, quota["organisation_id"]) and parent
            plain = Quotas.ORGANISATION if quota["kind"] == "organisation" else Quotas.PROJECT
            el("span", say(Quotas.UNDER, name=parent) if nested else say(plain), "hint")
            ident(quota["subject"], say)

    def actions() -> None:
        with div("row-actions"):
            if whole and reader.kind == "operator":
                button_link(say(Quotas.SHOW), local("quotas", quota["subject"]), "small")
            if reader.may("platform:quota:write") or (quota["kind"] == "project" and reader.may("org:quota:write")):
                button(say(Quotas.SET), lambda: _ask(reader, quota, names), "small")

    borrowed = say(Quotas.BORROWED_LINE, cards=_number(quota["borrowed_cards_milli"]), cores=_number(quota["borrowed_cores_milli"]))
    return [
        name, _amounts(reader, quota, "cards"), _amounts(reader, quota, "cores"), borrowed, str(quota["weight"]),
        percent(int(quota["share_ppm"])), actions,
    ]  # fmt: skip


def _amounts(reader: Reader, quota: Found, name: str) -> str:
    most = quota[f"limit_{name}_milli"]
    shown = _number(most) if most is not None else reader.say(Quotas.NO_LIMIT)
    return f"{_number(quota[f'held_{name}_milli'])} / {_number(quota[f'guaranteed_{name}_milli'])} / {shown}"


def milli_of(text: str) -> int | None:
    """``1.5`` as 1500; None for what is no such number."""
    found = AMOUNT.fullmatch(text.strip())
    return int(found.group(1)) * 1000 + int((found.group(2) or "").ljust(3, "0")) if found else None


FIELDS: tuple[tuple[str, Text, bool], ...] = (
    ("guaranteed_cards_milli", Quotas.CARDS_GUARANTEED, True),
    ("guaranteed_cores_milli", Quotas.CORES_GUARANTEED, True),
    ("limit_cards_milli", Quotas.CARDS_MOST, False),
    ("limit_cores_milli", Quotas.CORES_MOST, False),
)


def _ask(reader: Reader, quota: Found, names: Mapping[str, str]) -> None:
    say = reader.say
    with dialog(say(Quotas.SET_TITLE, name=quota["name"])) as box:
        el("p", say(Quotas.SET_TEXT), "muted")

        async def go(sent: dict[str, str]) -> None:
            given = {name: sent[name].strip() for name, _, _ in FIELDS}
            amounts = {name: milli_of(value) if value else None for name, value in given.items()}
            wrong = any(amounts[name] is None and (needed or given[name]) for name, _, needed in FIELDS)
            if wrong or not sent["weight"].strip().isdecimal():
                tell(say(Quotas.NOT_A_NUMBER), bad=True)
                return
            body = {**amounts, "weight": int(sent["weight"]), "parent": sent.get("parent", "").strip() or None}
            if await attempt(reader.api.put(f"/quotas{local(quota['subject'])}", body), say):
                box.close()
                done_and_again(say(Quotas.SAVED))

        with form(go):
            for name, label, needed in FIELDS:
                field(name, say(label), required=needed or None, inputmode="decimal", value=_number(quota[name]))
            field("weight", say(Quotas.WEIGHT), required=True, inputmode="numeric", value=str(quota["weight"]))
            if quota["kind"] == "project":
                parent = quota["parent_id"] if quota["parent_id"] != quota["organisation_id"] else None
                field("parent", say(Quotas.PARENT), maxlength="100", value=names.get(parent or "", ""))
            with dialog_actions():
                button(say(Frame.CANCEL_DIALOG), box.close)
                el("button", say(Quotas.SAVE), "button primary", type="submit")
    box.open()
