"""``site windows``, ``take-back``, ``offer-again``, ``set``, ``conditions``, ``claim``: the terms of a provider."""

import re
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any

from zhisuan.base.money import decimal_text
from zhisuan.cli.errors import usage_error
from zhisuan.cli.figures import moment, time_of_day
from zhisuan.cli.output import Screen, items, show
from zhisuan.cli.params import JsonFlag, time_of
from zhisuan.cli.session import connect
from zhisuan.cli.sites import SiteId
from zhisuan.cli.text import arg, opt, say, state, t

if TYPE_CHECKING:
    from zhisuan.sdk.types import Site

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAYS_ZH = dict(zip(DAYS, ("周一", "周二", "周三", "周四", "周五", "周六", "周日"), strict=True))
_WINDOW = re.compile(r"(?:(?P<days>[a-z,-]+)\s+)?(?P<start>\d{2}:\d{2})-(?P<end>\d{2}:\d{2})")
_SPAN = re.compile(r"(\d+)([smh]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
_CLAIM = re.compile(r"(?P<class_id>[a-z0-9][a-z0-9._-]*):(?P<count>\d{1,6})(?:@(?P<tflops>\d+(?:\.\d{1,3})?))?")
CONDITIONS = {
    "pue_milli": ("PUE", "PUE", 3, ""),
    "tariff_ucny_per_kwh": ("tariff", "电价", 6, " ¥/kWh"),
    "green_ppm": ("green share", "绿电占比", 4, " %"),
}
Tariff = Annotated[
    str | None, opt("--tariff", metavar="YUAN", en="Price of electricity, yuan a kWh.", zh="电价（元/千瓦时）。")
]


def windows(
    site_id: SiteId,
    add: Annotated[
        list[str] | None,
        opt(
            "--set",
            metavar="WINDOW",
            en="Such as 'mon-fri 22:00-08:00'; repeatable.",
            zh="例如“mon-fri 22:00-08:00”；可重复。",
        ),
    ] = None,
    zone: Annotated[
        str, opt("--zone", metavar="ZONE", en="Time zone of the windows.", zh="时段所用时区。")
    ] = "Asia/Shanghai",
    always: Annotated[bool, opt("--always", en="Offer the devices at all times.", zh="全天开放。")] = False,
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        if add or always:
            parsed = [] if always else [parse_window(text) for text in add or ()]
            found = client.set_site_windows(site_id, parsed, zone)
        else:
            found = client.site(site_id)
    show(as_json, found.as_json(), lambda screen: draw_offer(screen, found))


def parse_window(text: str) -> dict[str, Any]:
    """``mon-fri 22:00-08:00``; without days every day. Raises ``InvalidInput``."""
    found = _WINDOW.fullmatch(text.strip().lower())
    days = None if found is None or not found["days"] else _days(found["days"])
    if found is None or days == []:
        raise usage_error(
            f"--set {text}: write it like 'mon-fri 22:00-08:00' or 'sat,sun 00:00-24:00'.",
            f"--set {text}：请写成“mon-fri 22:00-08:00”或“sat,sun 00:00-24:00”。",
        )
    return {"days": days, "from": found["start"], "to": found["end"]}


def _days(text: str) -> list[str]:
    """Names and spans of names; empty when one is no day."""
    chosen: set[str] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            return []
        start, end = DAYS.index(first), DAYS.index(last or first)
        span = range(start, end + 1) if start <= end else [*range(start, 7), *range(end + 1)]
        chosen |= {DAYS[d] for d in span}
    return [d for d in DAYS if d in chosen]


def draw_offer(screen: Screen, found: "Site") -> None:
    """Windows, recall, and whether the devices are offered now."""
    offer = found.offer
    if offer is None:
        return
    for window in offer.windows:
        days = t(", ", "、").join(t(d, DAYS_ZH.get(d, d)) for d in window["days"])
        screen.line(f"{days}  {window['from']}-{window['to']}  ({offer.zone})")
    if not offer.windows:
        screen.line(t("offered at all times", "全天开放"))
    if offer.offered:
        until = t(f", until {moment(offer.until)}", f"，至 {moment(offer.until)}") if offer.until else ""
        screen.line(t(f"Offered now{until}.", f"当前开放{until}。"), "green")
    else:
        screen.line(t(f"Not offered now: {say(offer.reason)}.", f"当前未开放：{say(offer.reason)}。"), "yellow")
        if offer.next_open:
            screen.line(t(f"Again at {moment(offer.next_open)}.", f"{moment(offer.next_open)} 恢复开放。"))
    if found.recall is not None:
        draw_recall(screen, found)


def draw_recall(screen: Screen, found: "Site") -> None:
    recall = found.recall
    if recall is None:
        return
    facts = [
        (t("Taken back", "收回"), f"{state(recall.state)} ({recall.id})"),
        (t("Work is told at", "通知作业时间"), moment(recall.stop_at)),
        (t("Empty by", "清空时间"), moment(recall.back_at)),
        (t("Offered again", "恢复开放"), moment(recall.until) if recall.until else t("when you say so", "由您决定")),
    ]
    if recall.reason:
        facts.append((t("Reason", "原因"), recall.reason))
    screen.facts(facts)


def take_back(
    site_id: SiteId,
    notice: Annotated[
        str, opt("--notice", metavar="SPAN", en="Time the work gets to end, such as 600, 30m, 2h.", zh="给作业的收尾时间，例如 600、30m、2h。")
    ] = "10m",
    at: Annotated[
        str | None, opt("--at", metavar="TIME", en="When the site is to be empty; not given: once the notice has passed.", zh="何时清空站点；不填则在通知期满时。")
    ] = None,
    until: Annotated[
        str | None, opt("--until", metavar="TIME", en="Offer the devices again by themselves then.", zh="到时自动恢复开放。")
    ] = None,
    reason: Annotated[str, opt("--reason", metavar="TEXT", en="For the record.", zh="备注原因。")] = "",
    as_json: JsonFlag = False,
) -> None:  # fmt: skip
    with connect() as client:
        found = client.take_back(
            site_id, notice_seconds=int(span_of(notice).total_seconds()), back_at=time_of(at, "--at"),
            until=time_of(until, "--until"), reason=reason,
        )  # fmt: skip
    show(as_json, found.as_json(), lambda screen: draw_recall(screen, found))


def span_of(text: str) -> timedelta:
    """``90``, ``90s``, ``30m`` or ``2h``. Raises ``InvalidInput``."""
    found = _SPAN.fullmatch(text.strip().lower())
    if found is None:
        raise usage_error(
            f"--notice {text}: write seconds, or a number with s, m or h.",
            f"--notice {text}：请填写秒数，或带 s、m、h 的数字。",
        )
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def offer_again(site_id: SiteId, as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = client.offer_again(site_id)
    show(as_json, found.as_json(), lambda screen: draw_offer(screen, found))


def set_terms(
    site_id: SiteId,
    pue: Annotated[str | None, opt("--pue", metavar="X", en="Power usage effectiveness, such as 1.25.", zh="电能使用效率 PUE，例如 1.25。")] = None,
    tariff: Tariff = None,
    green: Annotated[str | None, opt("--green", metavar="PERCENT", en="Share of the electricity that is green, by contract or on the spot, such as 80.", zh="绿电占比（合同或自发），例如 80。")] = None,
    valid_from: Annotated[str | None, opt("--from", metavar="TIME", en="When PUE, tariff and green share begin to hold; not given: now.", zh="PUE、电价与绿电占比的生效时间；不填为立即生效。")] = None,
    city: Annotated[str | None, opt("--city", metavar="NAME", en="City the machines stand in.", zh="机器所在城市。")] = None,
    latitude: Annotated[str | None, opt("--latitude", metavar="DEG", en="Latitude in degrees.", zh="纬度（度）。")] = None,
    longitude: Annotated[str | None, opt("--longitude", metavar="DEG", en="Longitude in degrees.", zh="经度（度）。")] = None,
    echo_address: Annotated[str | None, opt("--echo-address", metavar="HOST:PORT", en="What other sites measure their distance to; empty: nothing.", zh="供其他站点测量时延的地址；留空表示取消。")] = None,
    as_json: JsonFlag = False,
) -> None:  # fmt: skip
    figures: dict[str, Any] = {}
    for option, name, text, places in (
        ("--pue", "pue_milli", pue, 3),
        ("--tariff", "tariff_ucny_per_kwh", tariff, 6),
        ("--green", "green_ppm", green, 4),
        ("--latitude", "latitude_e6", latitude, 6),
        ("--longitude", "longitude_e6", longitude, 6),
    ):
        if text is not None:
            figures[name] = scaled(option, text, places)
    figures |= {n: v for n, v in (("city", city), ("echo_address", echo_address)) if v is not None}
    if not figures:
        raise usage_error("Nothing to set was given.", "没有给出要设置的内容。", "See --help.", "参见 --help。")
    with connect() as client:
        found = client.set_site_conditions(site_id, valid_from=time_of(valid_from, "--from"), **figures)
        rows = client.site_conditions(site_id)
    show(as_json, found.as_json(), lambda screen: _draw_conditions(screen, rows))


def conditions(site_id: SiteId, as_json: JsonFlag = False) -> None:
    with connect() as client:
        rows = client.site_conditions(site_id)
    show(as_json, items(rows), lambda screen: _draw_conditions(screen, rows))


def _draw_conditions(screen: Screen, rows: Any) -> None:
    table = []
    for row in rows:
        en, zh, places, unit = CONDITIONS.get(row.name, (row.name, row.name, 0, ""))
        table.append((t(en, zh), decimal_text(row.value, places) + unit, time_of_day(row.valid_from)))
    screen.table("name >figure !effective", table)


def claim(
    site_id: SiteId,
    claims: Annotated[
        list[str], arg("Such as nvidia-l40s-48g:8, or …:8@362 with TFLOPS.", "例如 nvidia-l40s-48g:8，或带 TFLOPS 的 …:8@362。", metavar="CLASS:N")
    ],
    as_json: JsonFlag = False,
) -> None:  # fmt: skip
    parsed = []
    for text in claims:
        found = _CLAIM.fullmatch(text.strip().lower())
        if found is None:
            raise usage_error(
                f"{text}: write CLASS:COUNT or CLASS:COUNT@TFLOPS.", f"{text}：请写成 型号:数量 或 型号:数量@TFLOPS。"
            )
        tflops = scaled("@", found["tflops"], 3) if found["tflops"] else None
        parsed.append({"class_id": found["class_id"], "count": int(found["count"]), "tflops_milli": tflops})
    with connect() as client:
        site = client.set_site_claims(site_id, parsed)
    show(as_json, site.as_json(), lambda screen: screen.line(t("The claim is kept.", "已记录声明。")))


def scaled(option: str, text: str, places: int) -> int:
    """Decimal text as a whole number of its smallest step. Raises ``InvalidInput``."""
    try:
        value = Decimal(text).scaleb(places)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value != value.to_integral_value():
        raise usage_error(
            f"{option} {text}: a number with at most {places} decimals.",
            f"{option} {text}：须为最多 {places} 位小数的数字。",
        )
    return int(value)
