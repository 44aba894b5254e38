"""A tenant's bill of one month: what was used, what paid for it, energy and carbon, invoices, the wallet."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from zhisuan.console.format import (
    ZONE,
    carbon,
    carbon_exact,
    count,
    du,
    du_unit,
    duration,
    energy,
    energy_exact,
    fen,
    moment,
    percent,
    share_ppm,
    yuan,
)
from zhisuan.console.pages.months import month_picker
from zhisuan.console.pages.overview_supply import checks_card
from zhisuan.console.pages.purse import wallet_card
from zhisuan.console.parts import Column, card, div, el, empty, facts, link, local, stat, table, width
from zhisuan.console.reader import Reader
from zhisuan.console.speech import Speech
from zhisuan.console.text_frame import Frame
from zhisuan.console.text_money import Money

Found = Mapping[str, Any]
PURSES = ("free", "pack", "wallet", "arrears")
SHOWN = 20


async def build(reader: Reader, month: str | None) -> None:
    api = reader.api
    bill, wallet, catalog, checks = await asyncio.gather(
        api.get("/bill", month=month), api.get("/wallet"), api.get("/catalog"), api.get("/bill/checks")
    )
    say = reader.say
    with div("page-head"):
        el("h1", say(Frame.BILL))
        div("spacer")
        month_picker(reader, str(bill["month"]))
    _figures(reader, bill)
    with div("columns"):
        with div("column-main"):
            _purses(say, bill)
            _workloads(reader, bill["by_workload"])
            invoices_card(reader, bill["invoices"])
        with div("column-side"):
            wallet_card(reader, wallet, catalog["book"]["packs"])
            _energy(say, bill)
            checks_card(reader, checks["items"])


def _figures(reader: Reader, bill: Found) -> None:
    say, tokens = reader.say, bill["tokens"]
    with div("stats"):
        stat(say(Money.USED), du_unit(int(bill["quantity_udu"])), duration(int(bill["seconds"]), say.language))
        stat(say(Money.CASH), yuan(int(bill["cash_ucny"])), say(Money.CASH_NOTE, unbilled=yuan(int(bill["unbilled_cash_ucny"]))))
        stat(say(Money.VALUE), yuan(int(bill["value_ucny"])), say(Money.VALUE_NOTE))
        note = say(Money.TOKENS_NOTE, input=count(int(tokens["input"])), cached=count(int(tokens["cached_input"])),
                   output=count(int(tokens["output"])))  # fmt: skip
        stat(say(Money.TOKENS), say(Money.CALLS, calls=count(int(tokens["calls"]))), note)


def _purses(say: Speech, bill: Found) -> None:
    """Which purse paid which part: one bar over all of it, and the figures."""
    purses = bill["by_purse"]
    whole = sum(int(p["quantity_udu"]) for p in purses.values())
    with card(say(Money.BY_PURSE), note=say(Money.BY_PURSE_NOTE)):
        if whole <= 0:
            empty(say(Money.NOTHING_USED), say(Money.NOTHING_USED_TEXT), say, line="zhisuan launch job.yaml")
            return
        with div("stacked", aria_hidden="true"):
            for name in PURSES:
                ppm = share_ppm(int(purses[name]["quantity_udu"]), whole)
                if ppm:
                    div(f"stacked-part purse-{name}", style=width(ppm))
        columns = (
            Column(say(Money.PAID_BY)), Column(say(Money.QUANTITY), number=True), Column("%", number=True),
            Column(say(Money.CASH_YUAN), number=True), Column(say(Money.VALUE_YUAN), number=True),
        )  # fmt: skip
        table(say(Money.BY_PURSE), columns, [_purse_row(say, n, purses[n], whole) for n in PURSES])


def _purse_row(say: Speech, name: str, found: Found, whole: int) -> list[Any]:
    quantity = int(found["quantity_udu"])
    return [
        lambda: el("span", say(Money.PURSES[name]), f"legend purse-{name}"),
        du(quantity), percent(share_ppm(quantity, whole)), yuan(int(found["cash_ucny"])), yuan(int(found["value_ucny"])),
    ]  # fmt: skip


def _workloads(reader: Reader, items: Sequence[Found]) -> None:
    if not items:
        return
    say = reader.say
    columns = (
        Column(say(Money.WORKLOAD), wide=True), Column(say(Money.SECONDS), number=True), Column(say(Money.QUANTITY), number=True),
        Column(say(Money.CASH_YUAN), number=True), Column(say(Money.CARBON), number=True),
    )  # fmt: skip
    with card(say(Money.BY_WORKLOAD), note=say(Money.BY_WORKLOAD_NOTE) if len(items) >= 200 else ""):
        table(say(Money.BY_WORKLOAD), columns, [_workload_row(reader, w) for w in items[:SHOWN]])
        if len(items) > SHOWN:
            with el("details", "", "more"):
                el("summary", say(Money.MORE))
                table(say(Money.BY_WORKLOAD), columns, [_workload_row(reader, w) for w in items[SHOWN:]])


def _workload_row(reader: Reader, found: Found) -> list[Any]:
    ug = found["carbon_ug"]
    return [
        lambda: link(found["name"], local("workloads", found["workload_id"])),
        duration(int(found["seconds"]), reader.say.language), du(int(found["quantity_udu"])), yuan(int(found["cash_ucny"])),
        "–" if ug is None else lambda: el("span", carbon(int(ug)), title=carbon_exact(int(ug))),
    ]  # fmt: skip


def invoices_card(reader: Reader, items: Sequence[Found]) -> None:
    say = reader.say
    with card(say(Money.INVOICES)):
        if not items:
            el("p", say(Money.NO_INVOICES), "muted")
            return
        columns = (
            Column(say(Money.INVOICES)), Column(say(Money.MONTH)), Column(f"{say(Money.ISSUED)} ({ZONE})", number=True),
            Column(say(Money.TOTAL), number=True),
        )  # fmt: skip
        table(say(Money.INVOICES), columns, [_invoice_row(say, i) for i in items])


def _invoice_row(say: Speech, found: Found) -> list[Any]:
    return [
        lambda: link(say(Money.INVOICE, number=found["number"]), local("bill", "invoices", found["id"]), "strong"),
        found["month"], moment(found["issued_at"]), fen(int(found["total_fen"])),
    ]  # fmt: skip


def _energy(say: Speech, bill: Found) -> None:
    """Energy and carbon with what they rest on beside them."""
    used, air = bill["energy"], bill["carbon"]
    with card(say(Money.ENERGY_AND_CARBON)):
        facts([
            (say(Money.IT_ENERGY), lambda: el("span", energy(int(used["it_uwh"])), title=energy_exact(int(used["it_uwh"])))),
            (say(Money.FACILITY_ENERGY),
             lambda: el("span", energy(int(used["facility_uwh"])), title=energy_exact(int(used["facility_uwh"])))),
            (say(Money.CARBON_LOCATION), lambda: _carbon(say, air)),
            (say(Money.BASIS), say(Money.MODELLED) if used["basis"] == "modelled" else str(used["basis"])),
        ])  # fmt: skip
        el("p", say(Money.BASIS_MODELLED), "hint")
        factors_and_method(say, air["factors"], used.get("method") or {})


def _carbon(say: Speech, air: Found) -> None:
    if air["location_ug"] is None:
        el("span", say(Money.CARBON_UNKNOWN, regions=", ".join(air.get("regions_without_factor") or ["–"])))
    else:
        el("span", carbon(int(air["location_ug"])), title=carbon_exact(int(air["location_ug"])))


def factors_and_method(say: Speech, factors: Sequence[Found], method: Found) -> None:
    """The grid factors with year and source, and how the figures come about."""
    for factor in factors:
        line = say(Money.FACTOR, region=say.words(factor["name"]), year=factor["year"], kg=factor["kg_per_kwh"], source=factor["source"])
        el("p", line, "hint")
    if method:
        with el("details", "", "more"):
            el("summary", say(Money.HOW))
            for note in method.values():
                el("p", say.words(note), "hint")
