"""What a provider has earned, invoice by invoice, without anything of the tenants it comes from."""

from collections.abc import Mapping
from typing import Any

from zhisuan.console import text_frame as F
from zhisuan.console import text_money as T
from zhisuan.console.format import ZONE, du, duration, fen, moment, yuan
from zhisuan.console.parts import Column, card, div, el, empty, ident, stat, table
from zhisuan.console.reader import Reader


async def build(reader: Reader, month: str | None) -> None:
    say = reader.say
    found = await reader.api.get("/earnings", month=month)
    with div("page-head"):
        el("h1", say(F.EARNINGS))
    with div("stats"):
        stat(say(T.EARNED), fen(int(found["payable_fen"])))
        stat(say(T.PAID), fen(int(found["paid_fen"])))
    with card(say(T.EARNINGS)):
        if not found["items"]:
            empty(say(T.NO_EARNINGS), say(T.NO_EARNINGS_TEXT), say)
            return
        columns = (
            Column(say(T.SETTLEMENT)), Column(say(T.MONTH)), Column(f"{say(T.AT)} ({ZONE})", number=True),
            Column(say(T.SECONDS), number=True), Column(say(T.QUANTITY), number=True), Column(say(T.VALUE_YUAN), number=True),
            Column(say(T.FEE), number=True), Column(say(T.YOURS), number=True),
        )  # fmt: skip
        table(say(T.EARNINGS), columns, [_row(reader, e) for e in found["items"]])


def _row(reader: Reader, found: Mapping[str, Any]) -> list[Any]:
    return [
        lambda: ident(found["settlement_id"], reader.say), str(found["month"]), moment(found["at"]),
        duration(int(found["seconds"]), reader.say.language), du(int(found["quantity_udu"])), yuan(int(found["value_ucny"])),
        fen(int(found["fee_fen"])), fen(int(found["amount_fen"])),
    ]  # fmt: skip
