"""The operator's accounts: organisations, money that came in and goes out, invoices, settlements, the books."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

from zhisuan.console.client import Json
from zhisuan.console.format import ZONE, fen, moment, yuan
from zhisuan.console.pages.overview_supply import checks_card
from zhisuan.console.parts import (
    Column,
    button,
    button_link,
    card,
    chip,
    choice,
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
from zhisuan.console.show import attempt, done_and_again
from zhisuan.console.text_frame import Frame
from zhisuan.console.text_money import Money

Found = Mapping[str, Any]
LIMIT = 100
YUAN = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,2}))?")


async def build(reader: Reader, cursor: str) -> None:
    api, say = reader.api, reader.say
    orgs, invoices, settlements, checks = await asyncio.gather(
        api.get("/organisations", limit=200), api.get("/invoices", limit=LIMIT, cursor=cursor or None),
        api.get("/settlements", limit=LIMIT), api.get("/checks"),
    )  # fmt: skip
    names = {o["id"]: o["name"] for o in orgs["items"]}
    settled = {s["invoice_id"] for s in settlements["items"]}
    with div("page-head"):
        el("h1", say(Frame.ACCOUNTS))
    _organisations(reader, orgs["items"])
    _invoices(reader, invoices, names, settled)
    _settlements(reader, settlements["items"], names)
    checks_card(reader, checks["items"])


def _organisations(reader: Reader, items: Sequence[Found]) -> None:
    say = reader.say
    columns = (
        Column(say(Money.ORG_NAME), wide=True), Column(say(Money.ORG_KIND)), Column(f"{say(Money.CREATED)} ({ZONE})", number=True), Column(""),
    )  # fmt: skip
    with card(say(Money.ORGANISATIONS)):
        table(say(Money.ORGANISATIONS), columns, [_organisation_row(reader, o) for o in items])


def _organisation_row(reader: Reader, org: Found) -> list[Any]:
    say = reader.say

    def name() -> None:
        with div("cell-stack"):
            el("span", org["name"], "strong")
            ident(org["id"], say)

    def actions() -> None:
        with div("row-actions"):
            if org["kind"] == "tenant":
                button(say(Money.TOP_UP), lambda: _ask_top_up(reader, org), "small")
                button(say(Money.ISSUE), lambda: _issue(reader, org), "small")
            elif org["kind"] == "provider":
                button(say(Money.PAYOUT), lambda: _ask_payout(reader, org), "small")

    return [name, say.named(Frame.KINDS, org["kind"]), moment(org["created_at"]), actions]


def fen_of(text: str) -> int | None:
    """``120.5`` as 12050; None for what is not an amount of yuan with at most two decimals."""
    found = YUAN.fullmatch(text.strip())
    return int(found.group(1)) * 100 + int((found.group(2) or "0").ljust(2, "0")) if found else None


def _ask_top_up(reader: Reader, org: Found) -> None:
    say = reader.say

    async def go(sent: dict[str, str]) -> Json:
        body = {"amount_yuan": sent["amount"].strip(), "channel": sent["channel"], "reference": sent["reference"].strip()}
        return await reader.api.post(f"/organisations{local(org['id'])}/top-ups", body)

    def fields() -> None:
        field("amount", say(Money.AMOUNT_YUAN), required=True, inputmode="decimal", pattern=r"\d{1,9}(\.\d{1,2})?")
        choice("channel", say(Money.CHANNEL), [(name, say(text)) for name, text in Money.CHANNELS.items()], "bank_transfer")
        field("reference", say(Money.REFERENCE), required=True, maxlength="100")

    _ask_money(reader, say(Money.TOP_UP_TITLE, name=org["name"]), say(Money.TOP_UP_TEXT), fields, go)


def _ask_payout(reader: Reader, org: Found) -> None:
    say = reader.say

    async def go(sent: dict[str, str]) -> Json:
        body = {"amount_fen": fen_of(sent["amount"]), "reference": sent["reference"].strip()}
        return await reader.api.post(f"/providers{local(org['id'])}/payouts", body)

    def fields() -> None:
        field("amount", say(Money.AMOUNT_YUAN), required=True, inputmode="decimal", pattern=r"\d{1,9}(\.\d{1,2})?")
        field("reference", say(Money.REFERENCE), required=True, maxlength="100")

    _ask_money(reader, say(Money.PAYOUT_TITLE, name=org["name"]), say(Money.PAYOUT_TEXT), fields, go)


def _ask_money(reader: Reader, title: str, text: str, fields: Any, send: Any) -> None:
    """A box that records money; what was recorded is said exactly as the platform answers."""
    say = reader.say
    with dialog(title) as box:
        el("p", text, "muted")

        async def go(sent: dict[str, str]) -> None:
            made: list[Json] = []

            async def work() -> None:
                made.append(await send(sent))

            if await attempt(work(), say):
                box.close()
                answer = made[0]
                amount = yuan(int(answer["amount_ucny"])) if "amount_ucny" in answer else fen(int(answer["amount_fen"]))
                tell(say(Money.RECORDED, amount=amount))

        with form(go):
            fields()
            with dialog_actions():
                button(say(Frame.CANCEL_DIALOG), box.close)
                el("button", say(Money.RECORD), "button primary", type="submit")
    box.open()


async def _issue(reader: Reader, org: Found) -> None:
    say = reader.say
    made: list[Json] = []

    async def work() -> None:
        made.append(await reader.api.post(f"/organisations{local(org['id'])}/invoices", {}))

    if await attempt(work(), say):
        number = len(made[0]["items"])
        if number:
            done_and_again(say(Money.ISSUED_COUNT, count=number))
        else:
            tell(say(Money.ISSUED_NONE))


def _invoices(reader: Reader, page: Found, names: Mapping[str, str], settled: set[str]) -> None:
    say = reader.say
    with card(say(Money.ALL_INVOICES)):
        if not page["items"]:
            empty(say(Money.NO_INVOICES_YET), say(Money.NO_INVOICES_YET_TEXT), say, line="zhisuan invoice issue ORG_ID")
            return
        columns = (
            Column(say(Money.INVOICES)), Column(say(Money.TENANT), wide=True), Column(say(Money.MONTH)),
            Column(f"{say(Money.ISSUED)} ({ZONE})", number=True), Column(say(Money.TOTAL), number=True), Column(say(Money.SETTLE)),
        )  # fmt: skip
        table(say(Money.ALL_INVOICES), columns, [_invoice_row(reader, i, names, settled) for i in page["items"]])
        if page["next_cursor"]:
            button_link(say(Frame.OLDER), f"/bill?cursor={page['next_cursor']}", rel="next")


def _invoice_row(reader: Reader, found: Found, names: Mapping[str, str], settled: set[str]) -> list[Any]:
    say = reader.say

    def settlement() -> None:
        if found["id"] in settled:
            chip(say(Money.SETTLED), "ok")
        else:
            button(say(Money.SETTLE), lambda: _settle(reader, found), "small")

    return [
        lambda: link(say(Money.INVOICE, number=found["number"]), local("bill", "invoices", found["id"]), "strong"),
        names.get(found["org_id"], found["org_id"]), found["month"], moment(found["issued_at"]), fen(int(found["total_fen"])),
        settlement,
    ]  # fmt: skip


async def _settle(reader: Reader, found: Found) -> None:
    if await attempt(reader.api.post(f"/invoices{local(found['id'])}/settlement"), reader.say):
        done_and_again(reader.say(Money.SETTLED))


def _settlements(reader: Reader, items: Sequence[Found], names: Mapping[str, str]) -> None:
    say = reader.say
    with card(say(Money.SETTLEMENTS)):
        if not items:
            el("p", say(Money.NO_SETTLEMENTS), "muted")
            return
        columns = (
            Column(say(Money.SETTLEMENT)), Column(f"{say(Money.AT)} ({ZONE})", number=True), Column(say(Money.SHARES), wide=True),
            Column(say(Money.VALUE_YUAN), number=True), Column(say(Money.TOTAL), number=True),
        )  # fmt: skip
        table(say(Money.SETTLEMENTS), columns, [_settlement_row(reader, s, names) for s in items])


def _settlement_row(reader: Reader, found: Found, names: Mapping[str, str]) -> list[Any]:
    say = reader.say

    def shares() -> None:
        with div("cell-stack"):
            for share in found["shares"]:
                party = names.get(share["party"], say.named(Money.SHARE_ROLES, share["role"]))
                el("span", f"{party} {fen(int(share['amount_fen']))}", "figure")

    return [
        lambda: ident(found["id"], say, href=local("trace", found["id"])), moment(found["at"]), shares,
        yuan(int(found["value_ucny"])), fen(int(found["total_fen"])),
    ]  # fmt: skip
