"""What a provider has earned, invoice by invoice, without anything of the tenants it comes from."""

from collections.abc import Mapping
from typing import Any

from zhisuan.console.format import ZONE, du, duration, fen, moment, yuan
from zhisuan.console.parts import Column, card, div, el, empty, ident, stat, table
from zhisuan.console.reader import Reader
from zhisuan.console.text_frame import Frame
from zhisuan.console.text_money import Money


async def build(reader: Reader, month: str | None) -> None:
    say = reader.say
    found = await reader.api.get("/earnings", month=month)
    with div("page-head"):
        el("h1", say(Frame.EARNINGS))
    with div("stats"):
        stat(say(Money.EARNED), fen(int(found["payable_fen"])))
        stat(say(Money.PAID), fen(int(found["paid_fen"])))
    with card(say(Money.EARNINGS)):
        if not found["items"]:
            empty(say(Money.NO_EARNINGS), say(Money.NO_EARNINGS_TEXT), say)
            return
        columns = (
            Column(say(Money.SETTLEMENT)), Column(say(Money.MONTH)), Column(f"{say(Money.AT)} ({ZONE})", number=True),
            Column(say(Money.SECONDS), number=True), Column(say(Money.QUANTITY), number=True), Column(say(Money.VALUE_YUAN), number=True),
            Column(say(Money.FEE), number=True), Column(say(Money.YOURS), number=True),
        )  # fmt: skip
        table(say(Money.EARNINGS), columns, [_row(reader, e) for e in found["items"]])


def _row(reader: Reader, found: Mapping[str, Any]) -> list[Any]:
    return [
        lambda: ident(found["settlement_id"], reader.say), str(found["month"]), moment(found["at"]),
        duration(int(found["seconds"]), reader.say.language), du(int(found["quantity_udu"])), yuan(int(found["value_ucny"])),
        fen(int(found["fee_fen"])), fen(int(found["amount_fen"])),
    ]  # fmt: skip
