"""``site`` and ``earnings``: the provider's side."""

from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import TYPE_CHECKING, Annotated

from zhisuan.base.money import decimal_text
from zhisuan.cli.errors import usage_error
from zhisuan.cli.figures import NONE, cny_fen, du, fen, milli, moment, percent, tflops, yuan
from zhisuan.cli.output import Screen, items, print_json, show, style_of
from zhisuan.cli.params import JsonFlag, Limit
from zhisuan.cli.session import access_now, connect
from zhisuan.cli.text import arg, opt, say, state, t, yes_no

if TYPE_CHECKING:
    from zhisuan.sdk.types import Device, JoinToken, Site

SiteId = Annotated[str, arg("Id of the site (site_…).", "站点编号（site_…）。", metavar="ID")]
HEALTH = {
    "ok": ("ok", "正常"),
    "degraded": ("degraded", "降级"),
    "failed": ("failed", "故障"),
    "unknown": ("unknown", "未知"),
    "occupied": ("in use by others", "被外部占用"),
}
WORKSPACES = {
    True: ("JupyterLab and shells", "JupyterLab 与终端"),
    False: ("shells; work finds no JupyterLab there", "终端；作业环境中没有 JupyterLab"),
    None: ("shells; whether JupyterLab is there is not known", "终端；尚不清楚是否有 JupyterLab"),
}
CLOCK_SHOWN_MS = 2000
UNITS = {"cpu": ("cores", "核"), "accelerator": ("cards", "卡")}


def list_sites(limit: Limit = 50, as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = list(islice(client.sites(), limit))

    def draw(screen: Screen) -> None:
        if not found:
            screen.note(
                t("No sites yet; 'zhisuan site create' registers one.", "还没有站点；用 zhisuan site create 登记。")
            )
            return
        screen.table(
            "!id name !state reachable region",
            [(s.id, s.name, state(s.state), yes_no(s.reachable), s.region) for s in found],
            [style_of(s.state) for s in found],
        )

    show(as_json, items(found), draw)


def show_site(site_id: SiteId, as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = client.site(site_id)
    show(as_json, found.as_json(), lambda screen: _draw_site(screen, found))


def _draw_site(screen: Screen, found: "Site") -> None:
    engine = found.engine
    facts = [
        (t("Site", "站点"), f"{found.name} ({found.id})"),
        (t("Provider", "提供方"), f"{found.provider.name} ({found.provider.id})"),
        (t("State", "状态"), t(f"{state(found.state)}, reachable: {yes_no(found.reachable)}", f"{state(found.state)}，可达：{yes_no(found.reachable)}")),
        (t("Region", "地区"), f"{say(found.region_name)} {found.region}".strip()),
        ("PUE", milli(found.pue_milli)),
        (t("Place", "位置"), place_text(found)),
        (t("Electricity", "电价"), tariff_text(found)),
        (t("Green share", "绿电占比"), percent(found.green_ppm)),
        (t("Last seen", "最近联络"), moment(found.last_seen_at)),
        (t("Running leases", "运行中的租约"), str(found.leases_running)),
    ]  # fmt: skip
    if engine and engine.engine:
        facts.append((t("Engine", "引擎"), f"{engine.engine} {engine.version or ''}".strip()))
        facts.append((t("Isolation", "隔离"), engine.isolation))
        facts.append((t("Workspaces", "工作空间"), t(*WORKSPACES[engine.jupyterlab])))
    if found.round_trip_us is not None:
        facts.append((t("Round trip", "往返时延"), f"{decimal_text(found.round_trip_us // 100, 1)} ms"))
    if found.clock_offset_ms is not None and abs(found.clock_offset_ms) > CLOCK_SHOWN_MS:
        facts.append((t("Clock off by", "时钟偏差"), f"{decimal_text(found.clock_offset_ms // 100, 1)} s"))
    if found.revoked_at is not None:
        facts.append((t("Agent shut out", "已拒绝代理"), moment(found.revoked_at)))
    screen.facts(facts)
    if found.offer is not None and (found.offer.windows or not found.offer.offered or found.recall):
        from zhisuan.cli.site_terms import draw_offer

        draw_offer(screen, found)
    _draw_use(screen, found)
    for problem in engine.problems if engine else ():
        screen.line(
            t(f"! {problem.message_en} {problem.remedy_en}", f"! {problem.message_zh}{problem.remedy_zh}"), "yellow"
        )
    for node in found.nodes:
        screen.line()
        screen.title(f"{node.hostname}  {node.os or ''} {node.architecture or ''}".rstrip())
        screen.table(
            "device used health >nominal >published >measured",
            [
                (
                    d.name,
                    _use(d),
                    t(*HEALTH.get(d.health, (d.health, d.health))),
                    milli(d.nominal_tflops_milli),
                    du(d.published_rate_udu_per_hour),
                    "\n".join(f"{m.precision} {tflops(m.mflops)}" for m in d.measured) or NONE,
                )
                for d in node.devices
            ],
        )
        for d in node.devices:
            if d.note:
                screen.line(f"! {d.name}: {d.note}", "yellow")
        for told in node.facts.get("problems", ()):
            screen.line(f"! {t(**told['what'])} {t(**told['remedy'])}", "yellow")
    if found.nodes:
        screen.note(
            t(
                "Nominal (data sheet) and measured here in TFLOPS; published in 度 an hour: bills use that.",
                "标称（厂商数据）与实测单位为 TFLOPS；公布单位为 度/小时，计费以公布值为准。",
            )
        )


def _draw_use(screen: Screen, found: "Site") -> None:
    """Held, idle and out of use by class, where there is more than one device of it."""
    rows = [u for u in found.use if u.devices > 1]
    if rows:
        screen.line()
        screen.table(
            "class >capacity >used >idle >out",
            [
                (u.class_id or say(u.name), milli(u.total), milli(u.allocated), milli(u.idle), milli(u.out))
                for u in rows
            ],
        )


def place_text(found: "Site") -> str:
    """City and coordinates, or a dash."""
    words = [found.city or ""]
    if found.latitude_e6 is not None and found.longitude_e6 is not None:
        words.append(f"{decimal_text(found.latitude_e6, 6)}, {decimal_text(found.longitude_e6, 6)}")
    return " ".join(w for w in words if w) or NONE


def tariff_text(found: "Site") -> str:
    tariff = found.tariff_ucny_per_kwh
    return NONE if tariff is None else f"{decimal_text(tariff, 6, at_least=2)} ¥/kWh"


def _use(device: "Device") -> str:
    if device.kind == "memory":
        used, whole, unit = str(device.allocated), str(device.capacity), "MiB"
    else:
        used, whole = milli(device.allocated), milli(device.capacity)
        unit = t(*UNITS[device.kind]) if device.kind in UNITS else ""
    return t(f"{used} of {whole} {unit}", f"{used} / {whole} {unit}").rstrip()


def create(
    name: Annotated[str, arg("Name of the site.", "站点名称。", metavar="NAME")],
    region: Annotated[
        str,
        opt(
            "--region",
            metavar="CN-XX",
            en="Province, ISO 3166-2, such as CN-AH.",
            zh="省份代码（ISO 3166-2），例如 CN-AH。",
        ),
    ],
    pue: Annotated[
        str,
        opt("--pue", metavar="X", en="Power usage effectiveness, such as 1.25.", zh="电能使用效率 PUE，例如 1.25。"),
    ],
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        made = client.create_site(name, region, _pue_milli(pue))
    if as_json:
        print_json(made.as_json())
        return
    screen = Screen()
    screen.line(f"{made.site.id}  {made.site.name}")
    _draw_token(screen, made.site.id, made)


def token(
    site_id: SiteId,
    hours: Annotated[int, opt("--hours", metavar="N", min=1, max=720, en="How long it may be used.", zh="有效时长（小时）。")] = 24,
    as_json: JsonFlag = False,
) -> None:  # fmt: skip
    with connect() as client:
        made = client.new_join_token(site_id, hours=hours)
    show(as_json, made.as_json(), lambda screen: _draw_token(screen, site_id, made))


def _draw_token(screen: Screen, site_id: str, made: "JoinToken") -> None:
    if made.lost:
        screen.line(
            t(
                f"The answer with the join token was lost on the way; 'zhisuan site token {site_id}' gives a new one.",
                f"包含加入令牌的应答在途中丢失；请用 zhisuan site token {site_id} 重新获取。",
            )
        )
        return
    url = access_now().url
    screen.line(t("On the machine that joins, run:", "请在要加入的机器上运行："))
    screen.line(f"zhisuan site join {url} --token {made.join_token}")
    screen.note(
        t(
            f"The token works once, until {moment(made.expires_at)}, and is not shown again.",
            f"令牌只能使用一次，{moment(made.expires_at)} 前有效，不会再次显示。",
        )
    )


def _pue_milli(text: str) -> int:
    try:
        scaled = Decimal(text) * 1000
    except InvalidOperation:
        scaled = Decimal("0.5")
    if scaled != scaled.to_integral_value():
        raise usage_error(
            f"--pue {text}: a number with at most three decimals, such as 1.25.",
            f"--pue {text}：须为最多三位小数的数字，例如 1.25。",
        )
    return int(scaled)


def open_site(site_id: SiteId, as_json: JsonFlag = False) -> None:
    with connect() as client:
        show_state(client.open_site(site_id), as_json)


def drain(site_id: SiteId, as_json: JsonFlag = False) -> None:
    with connect() as client:
        show_state(client.drain_site(site_id), as_json)


def close(site_id: SiteId, as_json: JsonFlag = False) -> None:
    with connect() as client:
        show_state(client.close_site(site_id), as_json)


def show_state(found: "Site", as_json: bool) -> None:
    show(as_json, found.as_json(), lambda screen: screen.line(f"{found.id} {found.name} {state(found.state)}"))


def earnings(
    month: Annotated[
        str | None, opt("--month", metavar="YYYY-MM", en="Only this bill month.", zh="只看此账期。")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        found = client.earnings(month)

    def draw(screen: Screen) -> None:
        screen.facts([(t("Payable", "应付"), cny_fen(found.payable_fen)), (t("Paid", "已付"), cny_fen(found.paid_fen))])
        if found.items:
            screen.line()
            screen.table(
                "!invoice !month >quantity >value >fee >amount",
                [
                    (
                        e.invoice_id,
                        e.month or "",
                        du(e.quantity_udu),
                        yuan(e.value_ucny),
                        fen(e.fee_fen),
                        fen(e.amount_fen),
                    )
                    for e in found.items
                ],
            )

    show(as_json, found.as_json(), draw)
