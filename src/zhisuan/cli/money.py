"""``catalog``, ``wallet``, ``buy``."""

from typing import TYPE_CHECKING, Annotated

from zhisuan.cli.figures import NONE, cny, du, milli, moment, price_per_du, time_of_day, yuan
from zhisuan.cli.output import Screen, show
from zhisuan.cli.params import JsonFlag
from zhisuan.cli.session import connect, connect_public
from zhisuan.cli.text import arg, opt, say, state, t

if TYPE_CHECKING:
    from zhisuan.sdk.types import Catalog, Wallet


def catalog(as_json: JsonFlag = False) -> None:
    with connect_public() as client:
        found = client.catalog()
    show(as_json, found.as_json(), lambda screen: _draw_catalog(screen, found))


CONFIDENCE = {"high": ("high", "高"), "medium": ("medium", "中"), "low": ("? low", "? 低")}


def _draw_catalog(screen: Screen, found: "Catalog") -> None:
    book = found.book
    facts = [
        (t("Price book", "价目表版本"), t(f"{found.version}, from {moment(found.effective_from)}", f"{found.version}，{moment(found.effective_from)} 起生效")),
        (t("On demand", "按需价格"), t(f"{price_per_du(book.on_demand_price_e8_per_du)}, by the second", f"{price_per_du(book.on_demand_price_e8_per_du)}，按秒计费")),
    ]  # fmt: skip
    if book.spot_price_e8_per_du is not None:
        facts.append((t("Spot", "竞价价格"), t(f"{price_per_du(book.spot_price_e8_per_du)}, makes way for work on demand", f"{price_per_du(book.spot_price_e8_per_du)}，为按需作业让位")))
    if book.free_quota:
        facts.append(
            (
                t("Free quota", "免费额度"),
                f"{du(book.free_quota.quantity_udu)} 度{t(', ', '，')}{_days(book.free_quota.valid_days)}",
            )
        )
    screen.facts(facts)
    screen.line()
    screen.table(
        "!product title >quantity >amount detail",
        [(p.product, say(p.name), du(p.quantity_udu), yuan(p.price_ucny), _days(p.valid_days)) for p in book.packs],
    )
    screen.line()
    screen.table(
        "!class name >rate >nominal_tflops confidence",
        [
            (
                c.class_id,
                say(c.name),
                du(c.published_rate_udu_per_hour),
                milli(c.nominal_fp16_tflops_milli),
                t(*CONFIDENCE.get(c.confidence or "", (NONE, NONE))),
            )
            for c in found.device_classes
        ],
    )
    if any(c.confidence == "low" for c in found.device_classes):
        screen.note(
            t(
                "? marks figures that are not confirmed: such a class is not sold until the operator sets a rate.",
                "带 ? 的数据尚未证实：运营方设定费率前不出售该型号。",
            )
        )


def _days(days: int | None) -> str:
    return t("no expiry", "不过期") if days is None else t(f"valid {days} days", f"{days} 天有效")


def wallet(as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = client.wallet()
    show(as_json, found.as_json(), lambda screen: draw_wallet(screen, found))


def draw_wallet(screen: Screen, found: "Wallet") -> None:
    screen.facts(
        [
            (t("Wallet", "钱包余额"), cny(found.wallet_ucny)),
            (t("Arrears", "欠费"), cny(found.arrears_ucny)),
            (t("Can spend", "可用算力"), f"{du(found.spendable_udu)} 度"),
            (t("Price", "按需价格"), price_per_du(found.price_e8_per_du)),
        ]
    )
    if found.grants:
        screen.line()
        screen.table(
            "!id product >quantity >left !expires",
            [
                (g.id, g.product or state(g.kind), du(g.quantity_udu), du(g.left_udu), time_of_day(g.expires_at))
                for g in found.grants
            ],
        )


def buy(
    product: Annotated[str, arg("A product of 'zhisuan catalog'.", "zhisuan catalog 中的产品。", metavar="PRODUCT")],
    quantity: Annotated[int, opt("--quantity", metavar="N", min=1, en="How many.", zh="数量。")] = 1,
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        made = client.buy(product, quantity=quantity)

    def draw(screen: Screen) -> None:
        screen.line(
            t(
                f"Bought {made.quantity} × {made.product}: {du(made.quantity_udu)} 度 for {cny(made.amount_ucny)}.",
                f"已购买 {made.quantity} × {made.product}：{du(made.quantity_udu)} 度，{cny(made.amount_ucny)}。",
            )
        )
        screen.facts([(t("Order", "订单"), made.id), (t("Grant", "额度"), made.grant_id or NONE)])

    show(as_json, made.as_json(), draw)
