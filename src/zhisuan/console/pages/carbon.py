"""The carbon statement for those who look at the whole city."""

from collections.abc import Mapping
from typing import Any

from zhisuan.base.money import decimal_text
from zhisuan.console.format import carbon, carbon_exact, count, duration, energy, energy_exact
from zhisuan.console.pages.bill import factors_and_method
from zhisuan.console.pages.months import month_picker
from zhisuan.console.parts import Column, card, div, el, empty, ident, stat, table
from zhisuan.console.reader import Reader
from zhisuan.console.text_frame import Frame
from zhisuan.console.text_money import Money

SHOWN = 100


async def build(reader: Reader, month: str | None) -> None:
    say = reader.say
    wanted = month
    if wanted is None:
        daily = (await reader.api.get("/overview"))["daily"]
        wanted = str(daily[-1]["date"])[:7]
    found = await reader.api.get("/carbon", month=wanted)
    totals = found["totals"]
    with div("page-head"):
        el("h1", say(Frame.CARBON))
        div("spacer")
        month_picker(reader, wanted)
    with div("stats"):
        stat(say(Money.TIME), duration(int(totals["seconds"]), say.language))
        stat(say(Money.IT_ENERGY), energy(int(totals["it_energy_uwh"])), title=energy_exact(int(totals["it_energy_uwh"])))
        stat(say(Money.FACILITY_ENERGY), energy(int(totals["energy_uwh"])), title=energy_exact(int(totals["energy_uwh"])))
        ug = totals["carbon_ug"]
        if ug is None:
            stat(say(Money.CARBON_LOCATION), "–", say(Money.CARBON_UNKNOWN, regions=", ".join(found["regions_without_factor"])))
        else:
            stat(say(Money.CARBON_LOCATION), carbon(int(ug)), title=carbon_exact(int(ug)))
    rows = found["rows"]
    with card(say(Money.ROWS), note=say(Money.ROWS_NOTE, count=SHOWN) if len(rows) > SHOWN else ""):
        if not rows:
            empty(say(Money.NOTHING_RAN), say(Money.NOTHING_RAN_TEXT), say)
        else:
            columns = (
                Column(say(Money.LEASE)), Column(say(Money.REGION)), Column(say(Money.SECONDS), number=True),
                Column(say(Money.POWER), number=True), Column(say(Money.PUE), number=True),
                Column(say(Money.FACILITY_ENERGY), number=True), Column(say(Money.CARBON), number=True),
            )  # fmt: skip
            table(say(Money.ROWS), columns, [_row(reader, r) for r in rows[-SHOWN:][::-1]])
    with card(say(Money.HOW)):
        factors = {r["region"]: r["factor"] for r in rows if r["factor"]}
        factors_and_method(say, list(factors.values()), {})
        for note in found["method"].values():
            el("p", say.words(note), "hint")


def _row(reader: Reader, found: Mapping[str, Any]) -> list[Any]:
    ug = found["carbon_ug"]
    return [
        lambda: ident(found["lease_id"], reader.say), found["region"], count(int(found["seconds"])),
        decimal_text(int(found["power_milliwatts"]), 3), found["pue"], energy(int(found["energy_uwh"])),
        "–" if ug is None else carbon(int(ug)),
    ]  # fmt: skip
