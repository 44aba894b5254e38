"""Hours of regions, tariffs, sizes and jobs from CSV files; what cannot be used is named and counted (``simulation/rows.py``)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np

from zhisuan.base.errors import InvalidInput
from zhisuan.base.text import Text
from zhisuan.placement.deferral.types import Work
from zhisuan.simulation.carbon.types import Ints, Job, Regions
from zhisuan.simulation.rows import BadRow, Skips, read_csv, whole

GAP_MAX = 6
HOUR = timedelta(hours=1)
TRUE, FALSE = ("yes", "true", "1"), ("no", "false", "0", "")
Series = dict[str, dict[datetime, int]]


@dataclass(frozen=True, slots=True)
class Read:
    """``filled`` counts hours without a value, taken from the hour before, by region."""

    regions: Regions
    filled: dict[str, int]


def read_regions(intensity: Path, tariffs: Path | None, sizes: Path | None, cards: int, skips: Skips) -> Read:
    """Hours that all regions have, in the order of their names. Raises InvalidInput where there are none, or a gap is too long."""
    carbon = _series(intensity, "ci_g_per_kwh", 1000, skips, negative=False)
    price = _series(tariffs, "cny_per_kwh", 1_000_000, skips, negative=True) if tariffs else {}
    size = _sizes(sizes, skips) if sizes else {}
    names = tuple(sorted(name for name in carbon if not sizes or name in size))
    lacking = [name for name in names if tariffs and name not in price]
    if not names or lacking:
        raise _no_regions(intensity, sizes, lacking)
    rows = [carbon[name] for name in names] + [price[name] for name in names if tariffs]
    first, last = max(min(row) for row in rows), min(max(row) for row in rows)
    if last < first:
        raise InvalidInput(
            Text(f"The regions of {intensity} have no hour in common.", f"{intensity} 中的各区域没有共同的小时。"),
            Text("Give hours of the same time for all of them.", "请为所有区域提供同一时段的数据。"),
            code="no_common_hours",
        )
    hours = (last - first) // HOUR + 1
    filled = dict.fromkeys(names, 0)
    mg = np.stack([_line(carbon[name], name, first, hours, filled) for name in names])
    ucny = (
        np.stack([_line(price[name], name, first, hours, filled) for name in names]) if tariffs else np.zeros_like(mg)
    )
    pue = np.array([size[name][1] if sizes else 1000 for name in names], np.int64)[:, None]
    held = np.array([size[name][0] if sizes else cards for name in names], np.int64)
    return Read(Regions(names, first, (mg * pue + 500) // 1000, (ucny * pue + 500) // 1000, held), filled)


def _no_regions(intensity: Path, sizes: Path | None, lacking: list[str]) -> InvalidInput:
    if lacking:
        return InvalidInput(
            Text(f"No tariff is given for {', '.join(lacking)}.", f"未给出以下区域的电价：{'、'.join(lacking)}。"),
            Text(
                "Add their hours to the file of tariffs, or leave the regions out with --regions.",
                "请在电价文件中补充，或用 --regions 去掉这些区域。",
            ),
            code="tariff_missing",
        )
    among = f" that {sizes} names" if sizes else ""
    return InvalidInput(
        Text(f"{intensity} holds no usable hour of a region{among}.", f"{intensity} 中没有可用的区域数据。"),
        Text("Each row needs zone, timestamp and ci_g_per_kwh.", "每行需要 zone、timestamp 与 ci_g_per_kwh。"),
        code="no_regions",
    )


def _series(path: Path, column: str, scale: int, skips: Skips, *, negative: bool) -> Series:
    series: Series = {}

    def make(row: dict[str, str]) -> None:
        value = number(row, column, scale)
        if value < 0 and not negative:
            raise BadRow(f"{column} is negative: {row[column]}", f"{column} 为负数：{row[column]}")
        at, zone = moment(row, "timestamp"), row["zone"].strip()
        if at != at.replace(minute=0, second=0, microsecond=0):
            raise BadRow(f"timestamp is not a full hour: {row['timestamp']}", f"timestamp 不是整点：{row['timestamp']}")
        if not zone:
            raise BadRow("zone is empty", "zone 为空")
        if at in series.setdefault(zone, {}):
            raise BadRow(f"a second value for {zone} at {row['timestamp']}", f"{zone} 在 {row['timestamp']} 重复")
        series[zone][at] = value

    for _ in read_csv(path, ("zone", "timestamp", column), make, skips):
        pass
    return {zone: hours for zone, hours in series.items() if hours}


def _sizes(path: Path, skips: Skips) -> dict[str, tuple[int, int]]:
    def make(row: dict[str, str]) -> tuple[str, tuple[int, int]]:
        pue = number(row, "pue", 1000) if row.get("pue", "").strip() else 1000
        if pue < 1000:
            raise BadRow(f"pue is less than 1: {row['pue']}", f"pue 小于 1：{row['pue']}")
        return row["zone"].strip(), (whole(row, "cards", least=1), pue)

    return dict(read_csv(path, ("zone", "cards"), make, skips))


def _line(values: dict[datetime, int], name: str, first: datetime, hours: int, filled: dict[str, int]) -> Ints:
    """Hour by hour; an hour without a value has that of the hour before, so that nothing is known ahead of time."""
    line = np.empty(hours, np.int64)
    gap = 0
    for hour in range(hours):
        at = first + hour * HOUR
        value = values.get(at)
        gap = 0 if value is not None else gap + 1
        if gap > GAP_MAX:
            raise InvalidInput(
                Text(
                    f"{name} has no value for more than {GAP_MAX} hours until {at:%Y-%m-%dT%H:%MZ}.",
                    f"{name} 在 {at:%Y-%m-%dT%H:%MZ} 前连续 {GAP_MAX} 小时以上无数据。",
                ),
                Text(
                    "Fill the gap, or leave the region out with --regions.", "请补全数据，或用 --regions 去掉该区域。"
                ),
                code="hours_missing",
            )
        if value is None:
            filled[name] += 1
            line[hour] = line[hour - 1] if hour else values[min(values)]
        else:
            line[hour] = value
    return line


def read_jobs(path: Path, regions: Regions, watts_per_card: int, skips: Skips) -> Iterator[Job]:
    """The jobs that can be in time by themselves; another is skipped with the reason."""
    known: set[str] = set()

    def make(row: dict[str, str]) -> Job:
        job = _job(row, regions, watts_per_card)
        if not job.work.id or job.work.id in known:
            raise BadRow(f"job is empty or there already: {job.work.id!r}", f"job 为空或重复：{job.work.id!r}")
        known.add(job.work.id)
        return job

    return read_csv(path, ("job", "arrival", "hours", "cards", "deadline"), make, skips)


def _job(row: dict[str, str], regions: Regions, watts_per_card: int) -> Job:
    arrival = -((regions.first - moment(row, "arrival")) // HOUR)
    start = -((regions.first - moment(row, "not_before")) // HOUR) if row.get("not_before", "").strip() else arrival
    deadline = (moment(row, "deadline") - regions.first) // HOUR
    hours = -(-number(row, "hours", 1000) // 1000)
    cards = whole(row, "cards", least=1)
    watts = whole(row, "watts", least=1) if row.get("watts", "").strip() else cards * watts_per_card
    allowed = _regions(row.get("regions", ""), regions) or tuple(range(len(regions.names)))
    home = (_regions(row.get("home", ""), regions) or allowed)[0]
    stops = row.get("interruptible", "").strip().lower()
    if stops not in TRUE + FALSE:
        raise BadRow(f"interruptible is neither yes nor no: {stops!r}", f"interruptible 应为 yes 或 no：{stops!r}")
    if home not in allowed:
        raise BadRow("home is not among its regions", "home 不在允许的区域中")
    earliest = max(arrival, start)
    if hours < 1 or arrival < 0:
        raise BadRow("it has no hours, or comes before the first hour of the regions", "时长为零，或早于区域数据的开始")
    if deadline - earliest < hours or deadline > regions.hours:
        raise BadRow(
            f"its deadline cannot be kept: {hours} h from {regions.time(earliest):%Y-%m-%dT%H:%MZ} do not end before {row['deadline']}, or it is after the last hour known",
            f"无法满足截止时间：从 {regions.time(earliest):%Y-%m-%dT%H:%MZ} 起 {hours} 小时超过 {row['deadline']}，或晚于已知的最后一小时",
        )
    if cards > max(int(regions.cards[r]) for r in allowed):
        raise BadRow(f"no region it may run in has {cards} cards", f"允许的区域都没有 {cards} 张卡")
    fits = tuple(r for r in allowed if regions.cards[r] >= cards)
    work = Work(row["job"].strip(), hours, cards, watts, earliest, deadline, stops in TRUE, fits)
    return Job(work, arrival, home if home in fits else fits[0])


def _regions(names: str, regions: Regions) -> tuple[int, ...]:
    """Numbers of regions by ``A|B``."""
    wanted = [name.strip() for name in names.split("|") if name.strip()]
    unknown = [name for name in wanted if name not in regions.names]
    if unknown:
        raise BadRow(f"no such region: {', '.join(unknown)}", f"没有这些区域：{'、'.join(unknown)}")
    return tuple(dict.fromkeys(regions.names.index(name) for name in wanted))


def number(row: dict[str, str], name: str, scale: int) -> int:
    """A finite decimal number times ``scale``, rounded."""
    try:
        value = Decimal(row[name].strip())
    except InvalidOperation:
        raise BadRow(f"{name} is not a number: {row[name]!r}", f"{name} 不是数字：{row[name]!r}") from None
    if not value.is_finite() or abs(value) > 10**9:
        raise BadRow(f"{name} is not a number that can be used: {row[name]}", f"{name} 不是可用的数字：{row[name]}")
    return int((value * scale).to_integral_value())


def moment(row: dict[str, str], name: str) -> datetime:
    """A time, in UTC where it names no zone."""
    try:
        at = datetime.fromisoformat(row[name].strip())
    except ValueError:
        raise BadRow(f"{name} is not a time: {row[name]!r}", f"{name} 不是时间：{row[name]!r}") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
