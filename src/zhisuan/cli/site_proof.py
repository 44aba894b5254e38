"""``site evidence``, ``verify``, ``price``, ``tokens``, ``revoke``, ``earnings``: what is known, and who may act."""

from itertools import islice
from typing import TYPE_CHECKING, Annotated

from zhisuan.cli.errors import usage_error
from zhisuan.cli.figures import cny, cny_fen, count, du, fen, milli, percent, time_of_day, yuan
from zhisuan.cli.output import Screen, items, show
from zhisuan.cli.params import JsonFlag, Limit
from zhisuan.cli.session import connect
from zhisuan.cli.sites import SiteId, show_state
from zhisuan.cli.text import arg, opt, say, state, t

if TYPE_CHECKING:
    from zhisuan.sdk.types.supply import Evidence

PPM = 1_000_000
Reason = Annotated[str, opt("--reason", metavar="TEXT", en="For the record.", zh="备注原因。")]


def evidence(site_id: SiteId, as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = client.site_evidence(site_id)
    show(as_json, found.as_json(), lambda screen: draw_evidence(screen, found))


def draw_evidence(screen: Screen, found: "Evidence") -> None:
    if not found.items:
        screen.note(t("The site has not reported any device yet.", "站点尚未上报任何设备。"))
        return
    screen.table(
        "class >claimed >found >nominal >published >measured >share",
        [
            (
                e.class_id or say(e.name),
                count(e.claimed_count),
                str(e.found_count),
                milli(e.nominal_tflops_milli),
                milli(e.published_tflops_milli),
                milli(e.measured_tflops_milli),
                percent(e.measured_share_ppm),
            )
            for e in found.items
        ],
    )
    for e in found.items:
        for flag in e.flags:
            screen.line(f"! {e.class_id or say(e.name)}: {say(flag.text)}", "yellow")
        if e.rate_factor_ppm != PPM:
            told = t("sold at {} of the published rate", "按公布费率的 {} 出售").format(percent(e.rate_factor_ppm))
            screen.line(f"  {e.class_id}: {told}")
    screen.note(t("Speeds in TFLOPS of one device, FP16/BF16 dense.", "性能为单个设备的 TFLOPS（FP16/BF16 稠密）。"))


def verify(
    site_id: SiteId,
    accept: Annotated[
        bool, opt("--accept", en="Although devices are missing, failed or slow.", zh="即使设备缺失、故障或性能不足。")
    ] = False,
    note: Annotated[str, opt("--note", metavar="TEXT", en="What you looked at.", zh="核验说明。")] = "",
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        if not as_json:
            draw_evidence(Screen(), client.site_evidence(site_id))
        show_state(client.verify_site(site_id, accept=accept, note=note), as_json)


def price(
    site_id: SiteId,
    class_id: Annotated[str, arg("Device class.", "设备型号编号。", metavar="CLASS")],
    by: Annotated[
        str, opt("--by", metavar="BASIS", en="measured, or published for the whole rate again.", zh="measured 按实测；published 恢复公布费率。")
    ],
    reason: Annotated[str, opt("--reason", metavar="TEXT", en="Why; it is kept.", zh="原因，会留档。")],
    as_json: JsonFlag = False,
) -> None:  # fmt: skip
    if by not in ("measured", "published"):
        raise usage_error(f"--by {by}: measured or published.", f"--by {by}：可选 measured 或 published。")
    with connect() as client:
        client.price_site(site_id, class_id, by, reason)
        found = client.site_evidence(site_id)
    show(as_json, found.as_json(), lambda screen: draw_evidence(screen, found))


def tokens(site_id: SiteId, limit: Limit = 50, as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = list(islice(client.join_tokens(site_id), limit))
    show(
        as_json,
        items(found),
        lambda screen: screen.table(
            "!id hint !state !created !expires",
            [(k.id, f"…{k.hint}", state(k.state), time_of_day(k.created_at), time_of_day(k.expires_at)) for k in found],
        ),
    )


def revoke_token(
    site_id: SiteId,
    token_id: Annotated[str, arg("Id of the token (jtk_…).", "令牌编号（jtk_…）。", metavar="TOKEN")],
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        client.revoke_join_token(site_id, token_id)
    show(
        as_json,
        {"id": token_id, "state": "revoked"},
        lambda screen: screen.line(t(f"{token_id} is revoked.", f"{token_id} 已撤销。")),
    )


def revoke(site_id: SiteId, reason: Reason = "", as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = client.revoke_site(site_id, reason)

    def draw(screen: Screen) -> None:
        screen.line(t(f"The agent of {found.name} is shut out.", f"站点 {found.name} 的代理已被拒绝接入。"))
        screen.note(
            t(
                f"To let one in again: zhisuan site token {site_id}",
                f"如需恢复，请重新获取令牌：zhisuan site token {site_id}",
            )
        )

    show(as_json, found.as_json(), draw)


def earnings(site_id: SiteId, as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = client.site_earnings(site_id)

    def draw(screen: Screen) -> None:
        screen.facts(
            [
                (t("Earned", "收益"), cny_fen(found.amount_fen)),
                (t("Platform's fee", "平台费"), cny_fen(found.fee_fen)),
                (t("Not settled yet (value of use)", "待结算（用量价值）"), cny(found.unsettled_value_ucny)),
            ]
        )
        if found.items:
            screen.line()
            screen.table(
                "!invoice !month >quantity >value >fee >amount",
                [
                    (e.invoice_id, e.month, du(e.quantity_udu), yuan(e.value_ucny), fen(e.fee_fen), fen(e.amount_fen))
                    for e in found.items
                ],
            )

    show(as_json, found.as_json(), draw)
