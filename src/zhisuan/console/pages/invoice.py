"""One invoice: its lines, the charges of a line, and the way on to the trace."""

from collections.abc import Mapping
from typing import Any

from zhisuan.console.client import ApiAway, ApiProblem
from zhisuan.console.format import ZONE, count, du, du_unit, fen, moment, yuan
from zhisuan.console.parts import (
    Column,
    Live,
    button,
    button_link,
    card,
    chip,
    div,
    el,
    growing_table,
    ident,
    link,
    live,
    live_button,
    local,
    place,
    stat,
    table,
    table_row,
    tell,
)
from zhisuan.console.reader import Reader
from zhisuan.console.show import titled
from zhisuan.console.text_money import Money

Found = Mapping[str, Any]
LIMIT = 50


async def build(reader: Reader, invoice_id: str) -> None:
    found = await reader.api.get(f"/invoices{local(invoice_id)}")
    say = reader.say
    title = say(Money.INVOICE, number=found["number"])
    titled(title, say)
    with div("page-head"):
        with div("crumbs"):
            link(say(Money.TO_BILL), f"/bill?month={found['month']}")
        with div("title-row"):
            el("h1", title)
            ident(found["id"], say)
            div("spacer")
            button_link(say(Money.TRACE), local("trace", found["id"]))
    with div("stats"):
        rounding = f"{say(Money.ROUNDING)} {yuan(int(found['rounding_ucny']))}"
        stat(say(Money.TOTAL), fen(int(found["total_fen"])), rounding)
        stat(say(Money.TOTAL_EXACT), yuan(int(found["total_ucny"])))
        stat(say(Money.MONTH), found["month"], say(Money.PERIOD, start=moment(found["from_at"]), end=moment(found["to_at"])))
        day, _, time = moment(found["issued_at"]).partition(" ")
        stat(say(Money.ISSUED), day, f"{time} ({ZONE})")
    below: list[Live] = []
    with card(say(Money.LINES)):
        columns = (
            Column(say(Money.LINE), number=True), Column(say(Money.WHAT), wide=True), Column(say(Money.KIND)),
            Column(say(Money.QUANTITY), number=True), Column(say(Money.VALUE_YUAN), number=True), Column(say(Money.AMOUNT), number=True),
            Column(""),
        )  # fmt: skip
        table(say(Money.LINES), columns, [_line_row(reader, line, below) for line in found["lines"]])
    below.append(place(aria_live="polite"))


def _line_row(reader: Reader, line: Found, below: list[Live]) -> list[Any]:
    say = reader.say

    def what() -> None:
        with div("cell-stack"):
            el("span", say.words(line["title"]), "strong")
            ident(line["id"], say, href=local("trace", line["id"]))

    def used() -> str:
        if line["kind"] == "tokens":
            return count(int(line["tokens"]))
        return f"{count(int(line['seconds']))} s" if int(line["seconds"]) else "–"

    def money() -> None:
        exact = say(Money.EXACT, amount=yuan(int(line["amount_ucny"])))
        with div("cell-stack"):
            el("span", fen(int(line["shown_fen"])), "strong", title=exact)
            el("span", yuan(int(line["amount_ucny"])), "hint")

    def kind() -> None:
        with div("cell-stack"):
            chip(say.named(Money.LINE_KINDS, line["kind"]), "off" if line["kind"] != "credit" else "wait")
            el("span", used(), "hint figure")

    def act() -> None:
        if line["kind"] != "pack":
            button(say(Money.SHOW_CHARGES), lambda: _show_charges(reader, line, below[0]), "small")

    return [
        str(line["number"]), what, kind, du(int(line["quantity_udu"])), yuan(int(line["value_ucny"])), money,
        act,
    ]  # fmt: skip


async def _show_charges(reader: Reader, line: Found, below: Live) -> None:
    say = reader.say
    below.clear()
    with below, card(say(Money.CHARGES_OF, number=line["number"], title=say.words(line["title"]))):
        columns = (
            Column(f"{say(Money.AT)} ({ZONE})", number=True), Column(say(Money.RULE), wide=True), Column(say(Money.QUANTITY), number=True),
            Column(say(Money.CASH_YUAN), number=True), Column(say(Money.PAID_BY)), Column(say(Money.TRACE)),
        )  # fmt: skip
        body = growing_table(say(Money.CHARGES), columns)
        nothing = live("p", "", "muted")
        more = live_button(say(Money.MORE), lambda: load(), "small")
    cursor: list[str | None] = [None]

    async def load() -> None:
        try:
            page = await reader.api.get("/charges", invoice_line_id=str(line["id"]), limit=LIMIT, cursor=cursor[0])
        except (ApiProblem, ApiAway) as error:
            tell(str(error), bad=True)
            return
        cursor[0] = page["next_cursor"]
        with body:
            for charge in page["items"]:
                table_row(columns, _charge_row(reader, charge))
        more.set_visibility(cursor[0] is not None)
        if not body.default_slot.children:
            nothing.set_text(say(Money.NO_CHARGES))

    await load()


def _charge_row(reader: Reader, charge: Found) -> list[Any]:
    say = reader.say

    def purses() -> None:
        with div("cell-stack"):
            for part in charge["slices"]:
                el("span", f"{say.named(Money.PURSES, part['purse'])} {du_unit(int(part['quantity_udu']))}", "hint figure")

    return [
        moment(charge["at"]), say.words(charge["rule"]), du(int(charge["quantity_udu"])), yuan(int(charge["cash_ucny"])), purses,
        lambda: ident(charge["id"], say, href=local("trace", charge["id"])),
    ]  # fmt: skip
