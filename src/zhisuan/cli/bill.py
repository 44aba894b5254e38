"""``bill``: a month, an invoice, or single charges."""

from itertools import islice
from typing import TYPE_CHECKING, Annotated

from zhisuan.cli.errors import usage_error
from zhisuan.cli.figures import cny, cny_fen, count, du, fen, grams, kwh, moment, price_per_du, time_of_day, yuan
from zhisuan.cli.output import Screen, items, show
from zhisuan.cli.params import JsonFlag
from zhisuan.cli.session import connect
from zhisuan.cli.text import opt, say, state, t

if TYPE_CHECKING:
    from zhisuan.sdk.types import Bill, Charge, InvoiceDetail


def bill(
    month: Annotated[
        str | None,
        opt(
            "--month",
            metavar="YYYY-MM",
            en="Which month (Asia/Shanghai); the running one otherwise.",
            zh="账期（北京时间）；默认本月。",
        ),
    ] = None,
    invoice: Annotated[
        str | None, opt("--invoice", metavar="ID", en="One invoice with its lines.", zh="查看一张账单及其各行。")
    ] = None,
    charges: Annotated[
        bool,
        opt("--charges", en="Single charges: the rule and the purses that paid.", zh="查看计费明细：规则与支付来源。"),
    ] = False,
    lease: Annotated[
        str | None,
        opt("--lease", metavar="ID", en="With --charges: only of this lease.", zh="配合 --charges：只看此租约。"),
    ] = None,
    line: Annotated[
        str | None,
        opt(
            "--line", metavar="ID", en="With --charges: only of this invoice line.", zh="配合 --charges：只看此账单行。"
        ),
    ] = None,
    limit: Annotated[
        int,
        opt("--limit", metavar="N", min=1, en="With --charges: at most this many.", zh="配合 --charges：最多条数。"),
    ] = 50,
    as_json: JsonFlag = False,
) -> None:
    if sum((month is not None, invoice is not None, charges)) > 1:
        raise usage_error(
            "--month, --invoice and --charges are three views; give one.",
            "--month、--invoice、--charges 只能使用其一。",
        )
    if (lease or line) and not charges:
        raise usage_error("--lease and --line go with --charges.", "--lease 与 --line 须配合 --charges 使用。")
    with connect() as client:
        if invoice:
            one = client.invoice(invoice)
            show(as_json, one.as_json(), lambda screen: draw_invoice(screen, one))
        elif charges:
            found = list(islice(client.charges(lease_id=lease, invoice_line_id=line), limit))
            show(as_json, items(found), lambda screen: _draw_charges(screen, found))
        else:
            whole = client.bill(month)
            show(as_json, whole.as_json(), lambda screen: _draw_bill(screen, whole))


def _draw_bill(screen: Screen, found: "Bill") -> None:
    tokens = found.tokens
    screen.title(t(f"Bill of {found.month}", f"{found.month} 账单"))
    screen.facts(
        [
            (t("From", "起"), moment(found.from_at)),
            (t("To", "止"), moment(found.to_at)),
            (t("Used", "用量"), t(f"{du(found.quantity_udu)} 度 in {found.seconds} s", f"{du(found.quantity_udu)} 度，{found.seconds} 秒")),
            (
                t("Tokens", "Token"),
                t(
                    f"{tokens.input} in ({tokens.cached_input} cached), {tokens.output} out, {tokens.calls} calls",
                    f"输入 {tokens.input}（其中缓存 {tokens.cached_input}），输出 {tokens.output}，调用 {tokens.calls} 次",
                ),
            ),
            (t("Value", "价值"), cny(found.value_ucny)),
            (t("Cash", "现金"), cny(found.cash_ucny)),
            (t("Not invoiced yet", "未出账"), cny(found.unbilled_cash_ucny)),
        ]
    )  # fmt: skip
    screen.line()
    screen.table(
        "purse >quantity >value >cash",
        [
            (state(purse), du(use.quantity_udu), yuan(use.value_ucny), yuan(use.cash_ucny))
            for purse, use in found.by_purse.items()
        ],
    )
    _draw_energy(screen, found)
    if found.by_workload:
        screen.line()
        screen.table(
            "!id name >seconds >quantity >cash >carbon",
            [
                (w.workload_id, w.name, str(w.seconds), du(w.quantity_udu), yuan(w.cash_ucny), grams(w.carbon_ug))
                for w in found.by_workload
            ],
        )
    if found.invoices:
        screen.line()
        screen.table(
            "!invoice >number !issued >amount",
            [(i.id, str(i.number), time_of_day(i.issued_at), fen(i.total_fen)) for i in found.invoices],
        )


def _draw_energy(screen: Screen, found: "Bill") -> None:
    energy, carbon = found.energy, found.carbon
    if energy is None and carbon is None:
        return
    screen.line()
    facts = []
    if energy:
        facts.append(
            (
                t("Energy", "能耗"),
                t(
                    f"{kwh(energy.facility_uwh)} kWh with cooling and losses, {kwh(energy.it_uwh)} kWh of it at the devices "
                    f"({energy.basis or 'basis not given'})",
                    f"{kwh(energy.facility_uwh)} kWh（含制冷与损耗），其中设备 {kwh(energy.it_uwh)} kWh（{_basis(energy.basis)}）",
                ),
            )
        )
    if carbon:
        facts.append(
            (
                t("Carbon", "碳排放"),
                t(
                    f"{grams(carbon.location_ug)} gCO2, location-based",
                    f"{grams(carbon.location_ug)} 克CO2（基于位置）",
                ),
            )
        )
    screen.facts(facts)


def _basis(basis: object) -> str:
    return {"modelled": "按额定功率估算", "measured": "实测", "mixed": "实测与估算混合"}.get(
        str(basis), str(basis or "未说明")
    )


def draw_invoice(screen: Screen, found: "InvoiceDetail") -> None:
    screen.facts(
        [
            (t("Invoice", "账单"), t(f"{found.id}, no. {found.number}", f"{found.id}，第 {found.number} 号")),
            (t("Month", "账期"), found.month),
            (t("From", "起"), moment(found.from_at)),
            (t("To", "止"), moment(found.to_at)),
            (t("Issued", "开具"), moment(found.issued_at)),
            (t("Total", "合计"), cny_fen(found.total_fen)),
            (t("Exact sum", "精确合计"), t(f"{cny(found.total_ucny)}, rounded by {cny(found.rounding_ucny)}", f"{cny(found.total_ucny)}，舍入 {cny(found.rounding_ucny)}")),
        ]
    )  # fmt: skip
    screen.line()
    screen.table(
        "!id title >quantity >value >amount",
        [(x.id, say(x.title), du(x.quantity_udu), yuan(x.value_ucny), fen(x.shown_fen)) for x in found.lines],
    )


def _draw_charges(screen: Screen, found: "list[Charge]") -> None:
    for charge in found:
        screen.title(f"{charge.id}  {moment(charge.at)}")
        screen.facts(
            [
                (t("Rule", "计价规则"), say(charge.rule)),
                (t("Used", "用量"), t(f"{du(charge.quantity_udu)} 度 at {price_per_du(charge.price_e8_per_du)}", f"{du(charge.quantity_udu)} 度，{price_per_du(charge.price_e8_per_du)}")),
                (t("Seconds", "秒"), count(charge.seconds)),
                (t("Value", "价值"), cny(charge.value_ucny)),
                (t("Paid by", "支付来源"), "; ".join(f"{state(s.purse)} {du(s.quantity_udu)} 度 {cny(s.cash_ucny)}" for s in charge.slices)),
            ]
        )  # fmt: skip
