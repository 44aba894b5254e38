"""The public prices, for everyone, signed in or not."""

from collections.abc import Mapping, Sequence
from typing import Any

from nicegui import App
from starlette.requests import Request
from starlette.responses import Response

from zhisuan.base.money import cost_ucny, div_half_even
from zhisuan.console.client import Api, Connection
from zhisuan.console.format import du, du_unit, memory, moment_zoned, percent, price, tflops_of_milli, yuan
from zhisuan.console.parts import Column, card, div, el, facts, stat, table
from zhisuan.console.show import Asked, console_page, show_public
from zhisuan.console.speech import Speech
from zhisuan.console.text_frame import Frame
from zhisuan.console.text_money import Money

Found = Mapping[str, Any]


def register(web: App, connection: Connection) -> None:
    @console_page("/catalog")
    async def catalog(request: Request) -> Response | None:
        return await show_public(request, connection, Asked("catalog", Frame.CATALOG), _build)


async def _build(api: Api, say: Speech) -> None:
    found = await api.get("/catalog")
    book = found["book"]
    unit = int(book["on_demand_price_e8_per_du"])
    with div("page-head"):
        el("h1", say(Money.CATALOG))
        el("span", say(Money.CATALOG_NOTE, version=found["version"], at=moment_zoned(found["effective_from"])), "muted")
    free = book["free_quota"]
    with div("stats"):
        stat(say(Money.ON_DEMAND), price(unit), say(Money.ON_DEMAND_NOTE))
        if book.get("spot_price_e8_per_du") is not None:
            stat(say(Money.SPOT), price(int(book["spot_price_e8_per_du"])), say(Money.SPOT_NOTE))
        note = say(Money.FREE_NOTE, days=free["valid_days"]) if free["valid_days"] else say(Money.FREE_NOTE_ALWAYS)
        stat(say(Money.FREE_QUOTA), du_unit(int(free["quantity_udu"])), note)
        stat(say(Money.FEE), percent(int(book["platform_fee_ppm"])), say(Money.FEE_NOTE))
    with card(say(Money.PACKS)):
        if not book["packs"]:
            el("p", say(Money.NO_PACKS), "muted")
        with div("packs"):
            for pack in book["packs"]:
                _pack(say, pack)
    _classes(say, found["device_classes"], unit)
    with card():
        tokens = book["tokens"]["dedicated"]
        names = ("input_udu_per_million", "cached_input_udu_per_million", "output_udu_per_million")
        values = [int(tokens[name]) for name in names]
        words = say(Money.TOKENS_INCLUDED) if not any(values) else say(
            Money.TOKENS_PRICE, input=du(values[0]), cached=du(values[1]), output=du(values[2])
        )  # fmt: skip
        facts([(say(Money.TOKEN_PRICES), words)])
        if book["cpu_with_accelerator_free"]:
            el("p", say(Money.CPU_FREE), "hint")
        el("p", say(Money.DU_IS), "hint")


def _pack(say: Speech, pack: Found) -> None:
    quantity = int(pack["quantity_udu"])
    each = div_half_even(int(pack["price_ucny"]) * 10**8, quantity)
    with div("pack-card"):
        el("p", say.words(pack["name"]), "strong")
        el("p", yuan(int(pack["price_ucny"])), "pack-price")
        el("p", say(Money.PACK_EACH, price=price(each)), "hint")
        days = pack["valid_days"]
        terms = say(Money.PACK_LINE, du=du(quantity), days=days) if days else say(Money.PACK_LINE_ALWAYS, du=du(quantity))
        el("p", terms, "hint")


def _classes(say: Speech, classes: Sequence[Found], unit: int) -> None:
    columns = (
        Column(say(Money.CLASS), wide=True), Column(say(Money.VENDOR)), Column(say(Money.MEMORY), number=True),
        Column(say(Money.NOMINAL), number=True), Column(say(Money.RATE), number=True), Column(say(Money.YUAN_HOUR), number=True),
    )  # fmt: skip
    ordered = sorted(classes, key=lambda c: (c["published_rate_udu_per_hour"] is None, c["vendor"], c["class_id"]))
    with card(say(Money.CLASSES), note=say(Money.CLASSES_NOTE)):
        table(say(Money.CLASSES), columns, [_class_row(say, c, unit) for c in ordered])


def _class_row(say: Speech, found: Found, unit: int) -> list[Any]:
    rate, nominal, size = found["published_rate_udu_per_hour"], found["nominal_fp16_tflops_milli"], found["memory_mib"]

    def name() -> None:
        with div("cell-stack"):
            el("span", say.words(found["name"]), "strong")
            el("span", found["class_id"], "hint mono", title=f"{say(Money.SOURCE)}: {found['source']}")
            if found["confidence"] == "low":
                el("span", say(Money.UNCONFIRMED), "hint")

    return [
        name, "–" if found["kind"] == "cpu" else found["vendor"], "–" if size is None else memory(int(size)),
        "–" if nominal is None else tflops_of_milli(int(nominal)),
        say(Money.NOT_SOLD) if rate is None else du(int(rate)), "–" if rate is None else yuan(cost_ucny(int(rate), unit)),
    ]  # fmt: skip
