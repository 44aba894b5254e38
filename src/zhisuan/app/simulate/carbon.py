"""``zhisuan simulate carbon``: work that can wait, over regions and hours."""

import csv
import io
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from zhisuan.app.simulate.shown import progress, put_json, show_skips, write_file
from zhisuan.base.errors import InvalidInput
from zhisuan.base.text import Text
from zhisuan.cli.text import opt, t
from zhisuan.simulation.carbon.files import read_jobs, read_regions
from zhisuan.simulation.carbon.made import SHAPES, Load, made_jobs, made_regions
from zhisuan.simulation.carbon.outcome import Compared, compare, document_of, rows_of
from zhisuan.simulation.carbon.replay import span
from zhisuan.simulation.carbon.types import Case, Job, Objective, Regions
from zhisuan.simulation.rows import Skips

OBJECTIVES = ("carbon", "cost", "mix")
HISTORY_DAYS = 28
MADE_DAYS_AFTER = 10

File = Annotated[Path | None, opt("--intensity", metavar="FILE", en="Hours of regions: CSV with zone, timestamp, ci_g_per_kwh. Without it, hours are made from the seed. Bad rows are skipped and counted; up to 6 missing hours in a row take the value before.", zh="各区域的逐时数据：含 zone、timestamp、ci_g_per_kwh 的 CSV；缺省时按种子生成。坏行跳过并计数；连续缺失不超过 6 小时则取前一小时的值。")]  # fmt: skip
Tariffs = Annotated[Path | None, opt("--tariffs", metavar="FILE", en="Tariffs: CSV with zone, timestamp, cny_per_kwh.", zh="电价：含 zone、timestamp、cny_per_kwh 的 CSV。")]  # fmt: skip
Sizes = Annotated[Path | None, opt("--regions", metavar="FILE", en="Regions to use and their size: CSV with zone, cards and, if known, pue.", zh="使用的区域及规模：含 zone、cards，可含 pue 的 CSV。")]  # fmt: skip
Jobs = Annotated[Path | None, opt("--jobs", metavar="FILE", en="Jobs: CSV with job, arrival, hours, cards, deadline and, if wanted, watts, not_before, interruptible (yes/no), regions (A|B), home. A job that no region can end in time is skipped and counted.", zh="作业：含 job、arrival、hours、cards、deadline，可含 watts、not_before、interruptible（yes/no）、regions（A|B）、home 的 CSV。任何区域都无法按时完成的作业跳过并计数。")]  # fmt: skip
Shape = Annotated[str, opt("--shape", en=f"Shape of made hours: {', '.join(SHAPES)}.", zh=f"生成数据的形态：{'、'.join(SHAPES)}。")]  # fmt: skip
Cards = Annotated[int, opt("--cards", min=1, en="Cards of each region, where no file says.", zh="未由文件给出时每个区域的卡数。")]  # fmt: skip
Count = Annotated[int, opt("--count", min=1, en="How many jobs to make, without --jobs.", zh="未给出 --jobs 时生成的作业数。")]  # fmt: skip
Days = Annotated[int, opt("--days", min=1, en="Over how many days made jobs come.", zh="生成的作业在多少天内到达。")]  # fmt: skip
Slack = Annotated[int, opt("--slack", min=0, en="Mean hours that made jobs can wait.", zh="生成的作业平均可等待的小时数。")]  # fmt: skip
Watts = Annotated[int, opt("--watts", min=1, en="Watts of a card, where the job does not say.", zh="作业未说明时每卡功率（瓦）。")]  # fmt: skip
Wanted = Annotated[str, opt("--objective", en="carbon, cost, or mix: cost plus carbon at --carbon-price.", zh="carbon、cost 或 mix（费用加上按 --carbon-price 计价的碳）。")]  # fmt: skip
CarbonPrice = Annotated[int, opt("--carbon-price", min=0, en="Yuan a tonne of CO2, for the mix.", zh="mix 所用的碳价（元/吨）。")]  # fmt: skip
Seed = Annotated[int, opt("--seed", min=0, en="Seed of all that is made; the same seed gives the same bytes.", zh="生成数据的种子；相同种子得到相同结果。")]  # fmt: skip
Out = Annotated[Path | None, opt("--out", metavar="FOLDER", en="Writes result.json and, for each policy, the plan of each job as CSV.", zh="写入 result.json 以及各策略下每个作业的计划（CSV）。")]  # fmt: skip
Plot = Annotated[Path | None, opt("--plot", metavar="FILE", en="Draws a picture (png, svg, pdf).", zh="绘图（png、svg、pdf）。")]  # fmt: skip
AsJson = Annotated[bool, opt("--json", en="One JSON document instead of tables.", zh="输出 JSON 而非表格。")]


def carbon(
    intensity: File = None,
    tariffs: Tariffs = None,
    regions: Sizes = None,
    jobs: Jobs = None,
    shape: Shape = "mixed",
    cards: Cards = 64,
    count: Count = 300,
    days: Days = 14,
    slack: Slack = 24,
    watts: Watts = 400,
    objective: Wanted = "carbon",
    carbon_price: CarbonPrice = 100,
    seed: Seed = 0,
    out: Out = None,
    plot: Plot = None,
    json: AsJson = False,
) -> None:
    """Work that can wait: what moving it in time and place saves.

    Compares starting at once, our policy with forecasts, the same with perfect foresight, and the optimum of a linear program
    that knows the future. Each hour only what was measured before it is known.
    """
    wanted = _objective(objective, carbon_price, priced=intensity is None or tariffs is not None)
    skips = Skips()
    filled: dict[str, int] = {}
    if intensity is None:
        there = _made(shape, cards, days, seed)
    else:
        read = read_regions(intensity, tariffs, regions, cards, skips)
        there, filled = read.regions, read.filled
    work = list(read_jobs(jobs, there, watts, skips)) if jobs else _made_jobs(there, count, days, slack, watts, seed)
    if not work:
        show_skips(skips)
        raise InvalidInput(
            Text("There is no job that can be replayed.", "没有可回放的作业。"),
            Text("Give jobs whose hours are within the hours of the regions.", "请给出时间在区域数据范围内的作业。"),
            code="no_jobs",
        )
    case = Case(there, tuple(work), wanted)
    with progress(t("replaying", "回放"), len(span(case)), quiet=json) as advance:
        first = span(case)[0]
        compared = compare(case, lambda hour: advance(hour - first))
    result = {"seed": seed, **document_of(case, compared), "skipped": skips.as_dict(), "filled_hours": filled}
    if out:
        _write(out, case, compared, result)
    if plot:
        from zhisuan.simulation.carbon.plot import draw

        draw(case, compared, plot)
    if json:
        put_json(result)
        return
    show_skips(skips)
    _show(result, compared)


def _objective(name: str, price: int, *, priced: bool) -> Objective:
    if name not in OBJECTIVES:
        raise InvalidInput(
            Text(f"There is no objective {name!r}.", f"没有目标 {name!r}。"),
            Text(f"Choose one of: {', '.join(OBJECTIVES)}.", f"可选：{'、'.join(OBJECTIVES)}。"),
            code="objective_unknown",
        )
    if name != "carbon" and not priced:
        raise InvalidInput(
            Text("Costs cannot be compared without tariffs.", "没有电价，无法比较费用。"),
            Text(
                "Give --tariffs FILE, or choose --objective carbon.",
                "请给出 --tariffs 文件，或选择 --objective carbon。",
            ),
            code="tariff_missing",
        )
    return Objective(name, price * 100)


def _made(shape: str, cards: int, days: int, seed: int) -> Regions:
    if shape not in SHAPES:
        raise InvalidInput(
            Text(f"There is no shape {shape!r}.", f"没有形态 {shape!r}。"),
            Text(f"Choose one of: {', '.join(SHAPES)}.", f"可选：{'、'.join(SHAPES)}。"),
            code="shape_unknown",
        )
    return made_regions(shape, 3, (HISTORY_DAYS + days + MADE_DAYS_AFTER) * 24, cards, seed)


def _made_jobs(regions: Regions, count: int, days: int, slack: int, watts: int, seed: int) -> list[Job]:
    """After some weeks of history where there are any, and not beyond the hours known."""
    first = min(HISTORY_DAYS * 24, regions.hours // 2)
    hours = max(min(days * 24, regions.hours - first - 1), 1)
    largest = int(np.min(regions.cards))
    load = Load(count, first, hours, slack, cards_max=min(8, largest), watts_per_card=watts)
    return made_jobs(regions, load, seed)


def _write(folder: Path, case: Case, compared: Compared, result: dict[str, Any]) -> None:
    from zhisuan.app.simulate.shown import document

    write_file(folder / "result.json", document(result))
    for name, outcome in compared.outcomes.items():
        rows = rows_of(case, outcome.done)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_file(folder / f"plan-{name}.csv", text.getvalue().encode())


def _show(result: dict[str, Any], compared: Compared) -> None:
    console = Console(highlight=False)
    table = Table(title=t("Simulated, hour by hour", "逐时模拟"))
    heads = (t("policy", "策略"), "kg CO2", t("yuan", "元"), t("saved of what could be", "可节省部分中已节省"), t("late", "误期"), t("mean delay h", "平均延迟（小时）"), t("stops", "中断"), t("moves", "迁移"))  # fmt: skip
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left")
    names = {
        "agnostic": t("at once", "立即运行"),
        "forecast": t("ours, forecast", "本策略（预测）"),
        "perfect": t("ours, future known", "本策略（已知未来）"),
    }
    for name, one in result["policies"].items():
        saved = result["share_saved"].get(name)
        table.add_row(names[name], f"{one['kg_co2']:,.3f}", f"{one['cost_cny']:,.2f}", "" if saved is None else f"{saved:.1%}", str(one["deadlines_missed"]), f"{one['delay_hours_mean']:.1f}", str(one["stops"]), str(one["moves"]))  # fmt: skip
    if "kg_co2" in result["lp"] and compared.bound.feasible:
        table.add_row(t("LP bound", "线性规划下界"), f"{result['lp']['kg_co2']:,.3f}", "", "100.0%", "", "", "", "")
    console.print(table)
    if not compared.bound.feasible:
        console.print(t("Even with the future known and jobs split, not all deadlines can be kept: there are too few cards.", "即使已知未来并拆分作业，也无法满足全部截止时间：卡数不足。"), style="yellow")  # fmt: skip
    for name, count in result["filled_hours"].items():
        if count:
            console.print(
                t(
                    f"{name}: {count} missing hours took the value before.",
                    f"{name}：{count} 个缺失小时取前一小时的值。",
                )
            )
    for ahead, error in result["forecast_error_g_per_kwh"].items():
        console.print(t(f"Forecast {ahead} ahead: mean error {error['ours']} g/kWh (same hour yesterday: {error['same_hour_yesterday']}).", f"提前 {ahead} 预测：平均误差 {error['ours']} g/kWh（取昨日同时刻：{error['same_hour_yesterday']}）。"))  # fmt: skip
