"""``zhisuan simulate city``: a city and its work through the placement code, and what would be otherwise."""

import sys
import time
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from rich.table import Table

from zhisuan.app.simulate.shown import document, progress, put_json, show_skips, write_file
from zhisuan.base.errors import InvalidInput
from zhisuan.base.money import decimal_text
from zhisuan.base.text import Text
from zhisuan.catalog.device_classes import load_device_classes
from zhisuan.cli.errors import usage_error
from zhisuan.cli.text import arg, opt, t
from zhisuan.simulation.city.making import Size, make_city, make_jobs
from zhisuan.simulation.city.policies import POLICIES
from zhisuan.simulation.city.reading import read_city
from zhisuan.simulation.city.replay import Replay, Rules
from zhisuan.simulation.city.results import jobs_table, summary, timing
from zhisuan.simulation.city.saving import files_of
from zhisuan.simulation.city.types import HOUR, City
from zhisuan.simulation.city.variants import differences, main_figures, read_variants, with_settings
from zhisuan.simulation.city.work import TraceTerms, read_trace
from zhisuan.simulation.rows import Skips

BASE = "base"
USUAL = Size()


def city(
    folder: Annotated[Path | None, arg("Folder with the tables of a city.", "城市各表所在的目录。")] = None,
    made: Annotated[bool, opt("--made", en="Make a city and its work from the seed.", zh="由种子生成城市与作业。")] = False,
    seed: Annotated[int, opt("--seed", min=0, en="Seed of what is made.", zh="生成所用的种子。")] = 1,
    sites: Annotated[int, opt("--sites", min=1, max=10_000, en="Sites that are made.", zh="生成的站点数。")] = USUAL.sites,
    devices: Annotated[int, opt("--devices", min=1, max=1_000_000, en="Cards that are made.", zh="生成的加速卡数。")] = USUAL.devices,
    orgs: Annotated[int, opt("--orgs", min=1, max=1000, en="Organisations that are made.", zh="生成的组织数。")] = USUAL.orgs,
    jobs: Annotated[int, opt("--jobs", min=1, max=2_000_000, en="Jobs that are made.", zh="生成的作业数。")] = USUAL.jobs,
    hours: Annotated[int, opt("--hours", min=1, max=8760, en="Hours in which made jobs arrive.", zh="生成的作业在多少小时内到达。")] = USUAL.hours,
    load: Annotated[int, opt("--load", min=1, max=1000, metavar="PERCENT", en="Card time that made jobs ask for, of all there is.", zh="生成的作业所需卡时占全部卡时的百分比。")] = USUAL.load_percent,
    save: Annotated[Path | None, opt("--save", metavar="DIR", en="Write the city's tables there, to be edited, and stop.", zh="把城市各表写入该目录以便修改，不回放。")] = None,
    trace: Annotated[Path | None, opt("--trace", metavar="FILE", en="Jobs of a trace instead (timestamp,duration,num_gpus,cluster); bad rows are counted and left out.", zh="改用作业轨迹（timestamp,duration,num_gpus,cluster）；坏行计数并跳过。")] = None,
    trace_class: Annotated[str, opt("--trace-class", metavar="CLASS", en="Class of the trace's cards.", zh="轨迹中卡的型号。")] = "nvidia-a100-sxm4-80g",
    limit: Annotated[int | None, opt("--limit", min=1, en="Only the first jobs of the trace.", zh="只取轨迹的前若干作业。")] = None,
    policy: Annotated[str, opt("--policy", en=f"Order of waiting work: {', '.join(POLICIES)}.", zh=f"等待作业的次序：{'、'.join(POLICIES)}。")] = "fifo",
    until: Annotated[int | None, opt("--until", min=1, metavar="HOUR", en="Stop the clock at this hour.", zh="在第几小时停止时钟。")] = None,
    settings: Annotated[list[str] | None, opt("--set", metavar="SETTING", en="A what-if: capacity:SITE=1.5, without=SITE, hours:PROFILE=0.8, prices=FILE, outage:SITE=FROM+HOURS, policy=NAME. Repeatable; together one variant.", zh="假设：capacity:站点=1.5、without=站点、hours:曲线=0.8、prices=文件、outage:站点=起始+小时、policy=策略。可重复，合为一个方案。")] = None,
    what_if: Annotated[Path | None, opt("--what-if", metavar="FILE", en="YAML file of several variants: name to list of settings.", zh="多个方案的 YAML 文件：方案名到设置列表。")] = None,
    out: Annotated[Path | None, opt("--out", metavar="DIR", en="Write result.json, a CSV of the jobs of each variant, and timing.json there.", zh="在该目录写入 result.json、各方案的作业 CSV 和 timing.json。")] = None,
    plot: Annotated[Path | None, opt("--plot", metavar="DIR", en="Write city.svg there.", zh="在该目录写入 city.svg。")] = None,
    as_json: Annotated[bool, opt("--json", en="Print the result as one JSON document.", zh="以一个 JSON 文档输出结果。")] = False,
) -> None:  # fmt: skip
    """Replay a city and its work; with --set or --what-if, beside what would be otherwise."""
    skips = Skips()
    here = _city(folder, made, Size(sites, devices, orgs, jobs, hours, load), seed)
    if trace is not None:
        here = _with_trace(here, trace, trace_class, limit, skips)
    if save is not None:
        for name, text in files_of(here).items():
            write_file(save / name, text.encode())
        Console(stderr=True, highlight=False).print(t(f"The city is in {save}.", f"城市已写入 {save}。"), soft_wrap=True)
        return
    if not here.jobs:
        raise InvalidInput(
            Text("The city has no work to replay.", "城市没有可回放的作业。"),
            Text("Give it a jobs.csv, or name a --trace.", "请提供 jobs.csv，或用 --trace 指定轨迹。"), code="no_jobs",
        )  # fmt: skip
    runs = _variants(here, policy, settings, what_if)
    replays = {name: _run(name, city, Rules(POLICIES[by], until=until * HOUR if until else None), as_json) for name, (city, by) in runs.items()}
    results = {name: summary(replay) for name, replay in replays.items()}
    told = _told(results, skips, seed if made else None)
    _write(out, plot, replays, results, told)
    show_skips(skips)
    if as_json:
        put_json(told)
    else:
        _show(results, {name: timing(replay) for name, replay in replays.items()})


def _city(folder: Path | None, made: bool, size: Size, seed: int) -> City:
    if made == (folder is not None):
        raise usage_error("Name a folder, or ask for --made: one of the two.", "请指定目录或使用 --made，二者择一。")
    return read_city(folder) if folder is not None else make_jobs(make_city(size, seed), size, seed)


def _with_trace(here: City, trace: Path, class_id: str, limit: int | None, skips: Skips) -> City:
    if class_id not in {c.class_id for c in load_device_classes() if c.kind == "accelerator"}:
        raise usage_error(f"There is no class of cards {class_id!r}; `zhisuan catalog` lists them.", f"没有加速卡型号 {class_id!r}；用 zhisuan catalog 查看。")
    found = read_trace(trace, TraceTerms(class_id, limit=limit), skips)
    return City(
        here.sites, here.homes | {job.org: here.sites[0].name for job in found}, here.links_us, here.book, found, here.outages, here.price_text
    )


def _variants(here: City, policy: str, settings: list[str] | None, what_if: Path | None) -> dict[str, tuple[City, str]]:
    if policy not in POLICIES:
        raise usage_error(f"There is no policy {policy!r}; there are {', '.join(POLICIES)}.", f"没有策略 {policy!r}，可选 {'、'.join(POLICIES)}。")
    asked = read_variants(what_if) if what_if is not None else {}
    if settings:
        asked = asked | {"set": tuple(settings)}
    if BASE in asked:
        raise usage_error("A variant cannot be called base.", "方案不能命名为 base。")
    made = {name: with_settings(here, POLICIES[policy], each) for name, each in asked.items()}
    return {BASE: (here, policy)} | {name: (changed, by.name) for name, (changed, by) in made.items()}


def _run(name: str, here: City, rules: Rules, quiet: bool) -> Replay:
    with progress(name, len(here.jobs), quiet=quiet) as advance:
        replay = Replay(here, rules, time.process_time_ns, advance)
        replay.run()
    return replay


def _told(results: dict[str, dict[str, Any]], skips: Skips, seed: int | None) -> dict[str, Any]:
    base = results[BASE]
    return {
        "seed": seed, "skipped_rows": skips.as_dict(), **base,
        "variants": {name: {"differences": differences(base, r), "result": r} for name, r in results.items() if name != BASE},
    }  # fmt: skip


def _write(out: Path | None, plot: Path | None, replays: dict[str, Replay], results: dict[str, dict[str, Any]], told: dict[str, Any]) -> None:
    if out is not None:
        write_file(out / "result.json", document(told))
        write_file(out / "timing.json", document({name: timing(replay) for name, replay in replays.items()}))
        for name, replay in replays.items():
            write_file(out / f"jobs-{_file_name(name)}.csv", jobs_table(replay).encode())
    if plot is not None:
        from zhisuan.simulation.city.plots import picture

        write_file(plot / "city.svg", picture(results))


def _file_name(name: str) -> str:
    return "".join(ch if ch.isalnum() or ch in "-_" else "-" for ch in name)


NAMES = {
    "jobs_done": (Text("jobs done", "完成作业"), 0), "wait_mean_s": (Text("wait, mean (s)", "平均等待（秒）"), 0),
    "wait_p50_s": (Text("wait, p50 (s)", "等待 p50（秒）"), 0), "wait_p95_s": (Text("wait, p95 (s)", "等待 p95（秒）"), 0),
    "cost_ucny": (Text("cost (yuan)", "费用（元）"), 6), "power_ucny": (Text("electricity of sites (yuan)", "站点电费（元）"), 6),
    "energy_uwh": (Text("energy (kWh)", "能耗（kWh）"), 9), "carbon_ug": (Text("carbon (kg)", "碳排放（kg）"), 9),
    "card_seconds": (Text("card-seconds", "卡秒"), 0), "preempted": (Text("made way (spot)", "竞价让位次数"), 0), "lost": (Text("lost in outages", "因故障丢失"), 0),
    "seconds": (Text("length of the replay (s)", "回放时长（秒）"), 0), "jain_ppm_mean": (Text("fairness, Jain's index", "公平性（Jain 指数）"), 6),
}  # fmt: skip


def _show(results: dict[str, dict[str, Any]], timings: dict[str, dict[str, Any]]) -> None:
    console = Console(highlight=False)
    table = Table(title=t("The city, simulated", "城市回放（模拟）"), title_justify="left")
    for column in ("", *results):
        table.add_column(column, justify="right" if column else "left")
    figures = {name: main_figures(result) for name, result in results.items()}
    for key, (said, places) in NAMES.items():
        cells = ["–" if f[key] is None else _short(f[key] or 0, places) for f in figures.values()]
        table.add_row(t(said.en, said.zh), *cells)
    console.print(table)
    _show_parts(console, results[BASE])
    rates = ", ".join(f"{name}: {one['decisions_per_cpu_second']}/s" for name, one in timings.items())
    sys.stderr.write(t(f"Decisions a second of processor time: {rates}\n", f"每秒处理器时间的决策数：{rates}\n"))


def _show_parts(console: Console, base: dict[str, Any]) -> None:
    table = Table(title=t("Who: cost or earnings, kWh, kg CO2", "各方：费用或收入、kWh、kg CO2"), title_justify="left")
    for name in (t("WHO", "名称"), t("YUAN", "元"), "kWh", "kg CO2", t("WAIT P95 (s)", "等待 p95（秒）")):
        table.add_column(name, justify="right" if name != t("WHO", "名称") else "left")
    for name, sums in base["organisations"].items():
        table.add_row(name, _short(sums["cost_ucny"], 6), _short(sums["energy_uwh"], 9), _short(sums["carbon_ug"], 9), _wait(sums["wait_seconds"]["p95"]))
    for name, sums in sorted(base["providers"].items(), key=lambda item: -item[1]["earned_ucny"])[:10]:
        table.add_row(name, _short(sums["earned_ucny"], 6), _short(sums["energy_uwh"], 9), _short(sums["carbon_ug"], 9), "")
    console.print(table)
    for state in ("refused", "waiting"):
        for reason in base[state][:3]:
            said = t(f"{reason['jobs']} jobs {state}: {reason['en']}", f"{reason['jobs']} 个作业{'被拒绝' if state == 'refused' else '仍在等待'}：{reason['zh']}")
            console.print(said, soft_wrap=True)


def _wait(seconds: int | None) -> str:
    return "–" if seconds is None else f"{seconds:,}"


def _short(value: int, places: int) -> str:
    """Two decimals at most, cut, for a table; the document has every one."""
    whole, _, part = decimal_text(value, places).partition(".")
    return f"{int(whole):,}" + (f".{part[:2]}" if part else "")
