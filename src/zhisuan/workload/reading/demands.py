"""The fields that say what a workload demands of its place and time."""

import re
from typing import Any

from zhisuan.workload.demands import Demands, Late
from zhisuan.workload.reading.reader import Reader, read_amount, read_names, read_time, scalar, shown
from zhisuan.workload.reading.where import read_regions

DEMANDS = {
    "avoid_regions", "providers", "avoid_providers", "green_only", "latency", "device_memory", "price_max", "carbon_max",
    "carbon_per_card_max", "start_after", "deadline", "when_late",
}  # fmt: skip
PLACES_MAX = 20
PLACE_LENGTH_MAX = 60
ROUND_TRIP_US_MAX = 10_000_000
WORDS_LATE: dict[str, Late] = {"fail": "fail", "go_on": "go_on"}
E6, E3 = 10**6, 10**3
_NUMBER = r"(?P<whole>[0-9]{1,9})(?:\.(?P<part>[0-9]{1,6}))?"
_PRICE = re.compile(rf"¥?\s*{_NUMBER}\s*(?P<unit>yuan|元|du|度)?(?:\s*/\s*(?:h|hour|小时))?")
_GRAMS = re.compile(rf"{_NUMBER}\s*(?:g|gCO2e?)?(?:\s*/\s*(?:h|hour|小时))?")
_PERCENT = re.compile(rf"{_NUMBER}\s*%")
_MS = re.compile(rf"{_NUMBER}\s*(?:ms|毫秒)?")


def read_demands(
    reader: Reader, own: dict[str, Any], *, kind: str, cards: bool, max_seconds: int | None, regions: tuple[str, ...]
) -> Demands:
    """``kind``: job, service or workspace; ``cards``: whether any alternative has an accelerator; ``regions``: those of zhisuan.region."""
    yuan, rate = _read_price(reader, own.get("price_max"))
    found = Demands(
        avoid_regions=read_regions(reader, own, "avoid_regions"),
        providers=read_names(reader, own, "providers"),
        avoid_providers=read_names(reader, own, "avoid_providers"),
        green_ppm_min=_read_green(reader, own.get("green_only")),
        latency_us=_read_latency(reader, own.get("latency")),
        device_memory_mib=read_amount(reader, "zhisuan.device_memory", own.get("device_memory"), 1024, 0),
        price_max_ucny=yuan,
        rate_max_udu=rate,
        carbon_max_mg=_read_grams(reader, "carbon_max", own.get("carbon_max")),
        carbon_card_max_mg=_read_grams(reader, "carbon_per_card_max", own.get("carbon_per_card_max")),
        start_after=read_time(reader, "zhisuan.start_after", own.get("start_after")),
        deadline=read_time(reader, "zhisuan.deadline", own.get("deadline")),
        late=_read_late(reader, own),
    )
    _check_lists(reader, found, regions)
    _check_cards(reader, own, cards)
    _check_times(reader, found, kind, max_seconds)
    return found


def _check_lists(reader: Reader, found: Demands, regions: tuple[str, ...]) -> None:
    pairs = (("avoid_regions", found.avoid_regions, regions), ("avoid_providers", found.avoid_providers, found.providers))
    for field, avoided, wanted in pairs:
        for name in avoided:
            if name in wanted:
                reader.wrong(f"zhisuan.{field}", f"{name} is also one to run on", f"{name} 同时又是指定的运行范围")


def _check_cards(reader: Reader, own: dict[str, Any], cards: bool) -> None:
    for field in ("device_memory", "carbon_per_card_max"):
        if own.get(field) is not None and not cards:
            reader.wrong(f"zhisuan.{field}", "needs resources.accelerators: it is about each card", "需同时填写 resources.accelerators：它针对每张卡")


def _check_times(reader: Reader, found: Demands, kind: str, max_seconds: int | None) -> None:
    if found.deadline is not None and kind != "job":
        what = {"service": "服务", "workspace": "工作空间"}[kind]
        reader.wrong("zhisuan.deadline", f"does not go with a {kind}, which has no end", f"不能与{what}同时使用：{what}不会自行结束")
    start, by = found.start_time, found.start_by(max_seconds)
    if start is not None and by is not None and start >= by:
        reader.wrong(
            "zhisuan.deadline",
            "cannot be kept: started at zhisuan.start_after it would not end before it (with zhisuan.max_duration, if given)",
            "无法按时完成：从 zhisuan.start_after 开始（计入 zhisuan.max_duration）将晚于该时间",
        )


def _scaled(found: re.Match[str], scale: int) -> int | None:
    """The number times ``scale`` where that is whole."""
    value = int(found["whole"]) * E6 + int((found["part"] or "").ljust(6, "0"))
    return value * scale // E6 if value * scale % E6 == 0 else None


def _read_number(reader: Reader, field: str, value: Any, form: re.Pattern[str], scale: int, example: str) -> int | None:
    if value is None:
        return None
    found = form.fullmatch(scalar(value).strip())
    number = None if found is None else _scaled(found, scale)
    if number is None or number <= 0:
        text = shown(value)
        reader.wrong(f"zhisuan.{field}", f"{text} is not such a limit; write {example}", f"{text} 不是有效的上限；请写 {example}")
        return None
    return number


def _read_price(reader: Reader, value: Any) -> tuple[int | None, int | None]:
    """Yuan or 度 an hour, in 10⁻⁶."""
    number = _read_number(reader, "price_max", value, _PRICE, E6, "4.20 (yuan/h) or '2 度'")
    found = _PRICE.fullmatch(scalar(value).strip())
    if number is None or found is None:
        return None, None
    return (None, number) if found["unit"] in ("du", "度") else (number, None)


def _read_grams(reader: Reader, field: str, value: Any) -> int | None:
    return _read_number(reader, field, value, _GRAMS, E3, "250 (gCO2e/h)")


def _read_green(reader: Reader, value: Any) -> int:
    """Parts per million; ``true`` is all of it."""
    if value is None or value is False:
        return 0
    if value is True:
        return E6
    found = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    share = _scaled(found, 10_000) if found is not None else None
    if share is None or not 0 < share <= E6:
        reader.wrong("zhisuan.green_only", "is true, or the least share, such as 80%", "须为 true，或最低占比，例如 80%")
        return 0
    return share


def _read_latency(reader: Reader, value: Any) -> tuple[tuple[str, int], ...]:
    data = reader.mapping("zhisuan.latency", value)
    if len(data) > PLACES_MAX:
        reader.wrong("zhisuan.latency", f"takes at most {PLACES_MAX} places", f"最多 {PLACES_MAX} 个地点")
        return ()
    found = []
    for place, most in data.items():
        us = None if (match := _MS.fullmatch(scalar(most).strip())) is None else _scaled(match, E3)
        if us is None or not 0 < us <= ROUND_TRIP_US_MAX or not 0 < len(place) <= PLACE_LENGTH_MAX:
            reader.wrong(
                f"zhisuan.latency.{place[:PLACE_LENGTH_MAX]}",
                "takes the longest round trip to a demand place, such as 20ms",
                "须为到需求地点的最长往返时延，例如 20ms",
            )
        else:
            found.append((place, us))
    return tuple(sorted(found))


def _read_late(reader: Reader, own: dict[str, Any]) -> Late:
    value = own.get("when_late", "fail")
    if not isinstance(value, str) or value not in WORDS_LATE:
        reader.wrong("zhisuan.when_late", "is fail or go_on", "须为 fail 或 go_on")
        return "fail"
    if "when_late" in own and own.get("deadline") is None:
        reader.wrong("zhisuan.when_late", "needs zhisuan.deadline", "需同时填写 zhisuan.deadline")
    return WORDS_LATE[value]
