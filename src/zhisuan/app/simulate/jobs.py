"""``zhisuan simulate jobs``: a trace of jobs under several policies and capacities."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from rich.table import Table

from zhisuan.app.simulate.shown import Advance, progress, put_json, show_skips, write_file
from zhisuan.base.errors import InvalidInput
from zhisuan.base.text import Text
from zhisuan.cli.cells import printable
from zhisuan.cli.errors import usage_error
from zhisuan.cli.text import arg, opt, t
from zhisuan.placement.ordering.ours import Rules
from zhisuan.simulation.jobs.compare import POLICIES, Case, cards_for, compare, fitting
from zhisuan.simulation.jobs.made import SHAPES, make
from zhisuan.simulation.jobs.plot import draw, rows
from zhisuan.simulation.jobs.replay import Setting
from zhisuan.simulation.jobs.trace import Trace, read_trace, with_users
from zhisuan.simulation.rows import Skips

LOAD = 80

Loads = Annotated[list[int] | None, opt("--load", metavar="PERCENT", en="Offered load that the number of cards is chosen for; may be repeated. 80, unless --gpus is given.", zh="按该负载（百分比）确定卡数，可多次给出；未给 --gpus 时默认 80。", min=1, max=400)]  # fmt: skip
Gpus = Annotated[list[int] | None, opt("--gpus", metavar="N", en="Cards of the cluster; may be repeated.", zh="集群的卡数，可多次给出。", min=1, max=1_000_000)]  # fmt: skip
PolicyNames = Annotated[list[str] | None, opt("--policy", metavar="NAME", en=f"Policies to compare, of: {', '.join(POLICIES)}; all unless given. FIFO always runs.", zh=f"要比较的策略：{'、'.join(POLICIES)}；默认全部，FIFO 总会运行。")]  # fmt: skip
Made = Annotated[int | None, opt("--made", metavar="N", en="Make a trace of N jobs instead of reading one.", zh="不读文件，生成含 N 个作业的轨迹。", min=1, max=1_000_000)]  # fmt: skip
Shape = Annotated[str, opt("--shape", metavar="SHAPE", en=f"Shape of the made trace: {', '.join(SHAPES)}.", zh=f"生成轨迹的形状：{'、'.join(SHAPES)}。")]  # fmt: skip
Seed = Annotated[int, opt("--seed", metavar="S", en="Seed of what is made.", zh="随机种子。", min=0)]
Users = Annotated[int | None, opt("--users", metavar="N", en="Divide each virtual cluster among N made-up users, drawn from the seed.", zh="按种子把每个虚拟集群划分给 N 个虚构用户。", min=1, max=1_000)]  # fmt: skip
Cost = Annotated[int, opt("--stop-cost", metavar="SECONDS", en="What a stopped job pays on its cards before it goes on: saving and restoring.", zh="作业被抢占后继续前，在其卡上付出的保存与恢复秒数。", min=0, max=86_400)]  # fmt: skip
RunMin = Annotated[int, opt("--run-min", metavar="SECONDS", en="Our policy: least time that a job runs before it may be stopped.", zh="本平台策略：作业可被抢占前的最短运行时间。", min=0, max=864_000)]  # fmt: skip
WaitMax = Annotated[int, opt("--wait-max", metavar="SECONDS", en="Our policy: time after which a job that waits is next.", zh="本平台策略：等待超过该时间的作业排到最前。", min=60, max=31_536_000)]  # fmt: skip
Plot = Annotated[Path | None, opt("--plot", metavar="FILE", en="Write a picture (svg, png or pdf) of the first capacity.", zh="写出首个容量的图（svg、png 或 pdf）。")]  # fmt: skip
Out = Annotated[Path | None, opt("--out", metavar="FOLDER", en="Write one CSV a policy and capacity, with a row for each job.", zh="按策略与容量写出 CSV，每个作业一行。")]  # fmt: skip
AsJson = Annotated[bool, opt("--json", en="Print one JSON document.", zh="输出一个 JSON 文档。")]
TraceFile = Annotated[Path | None, arg("A CSV (or .csv.gz) with the columns timestamp, duration, num_gpus and, where there are groups, cluster.", "CSV 文件（或 .csv.gz），含列 timestamp、duration、num_gpus，有分组时含 cluster。", metavar="[TRACE]")]  # fmt: skip


def jobs(
    trace: TraceFile = None, load: Loads = None, gpus: Gpus = None, policy: PolicyNames = None, made: Made = None, shape: Shape = "mixed",
    seed: Seed = 0, users: Users = None, stop_cost: Cost = 60, run_min: RunMin = Rules().run_min, wait_max: WaitMax = Rules().wait_max,
    plot: Plot = None, out: Out = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    names = _names(policy)
    skips = Skips()
    given = _trace(trace, made, shape, seed, skips)
    if users:
        given = with_users(given, users, seed)
    rules = Rules(run_min=run_min, wait_max=wait_max)
    capacities = list(
        dict.fromkeys([*(gpus or []), *(cards_for(given, each) for each in load or ([] if gpus else [LOAD]))])
    )
    cases = []
    with progress(t("jobs", "作业"), len(given) * len(names) * len(capacities)) as told:
        for number, cards in enumerate(capacities):
            fits = fitting(given, cards, skips)
            if not len(fits):
                raise _nothing(given.name)
            done = number * len(given) * len(names)
            case = compare(fits, names, Setting(cards, stop_cost), rules, _offset(told, done))
            _write(fits, case, plot if number == 0 else None, out)
            cases.append(case.summary)
    if as_json:
        put_json({"simulated": True, "seed": seed, "rules": {"run_min": run_min, "wait_max": wait_max, "stay": rules.stay}, "skipped": skips.as_dict(), "cases": cases})  # fmt: skip
        return
    show_skips(skips)
    for summary in cases:
        _show(summary)


def _offset(told: Advance, before: int) -> Callable[[str, int], None]:
    return lambda name, done: told(before + done, name)


def _names(asked: Sequence[str] | None) -> list[str]:
    unknown = [name for name in asked or () if name not in POLICIES]
    if unknown:
        raise usage_error(f"There is no policy {', '.join(unknown)}.", f"没有策略 {'、'.join(unknown)}。", f"Choose of: {', '.join(POLICIES)}.", f"可选：{'、'.join(POLICIES)}。")  # fmt: skip
    return [name for name in POLICIES if not asked or name in asked or name == "fifo"]


def _trace(path: Path | None, made: int | None, shape: str, seed: int, skips: Skips) -> Trace:
    if made is not None and path is None:
        return make(made, seed, shape)
    if path is None or made is not None:
        raise usage_error("Name a trace, or have one made.", "请指定轨迹文件，或用 --made 生成。", "Give either TRACE or --made N.", "请在 TRACE 与 --made N 中择一。")  # fmt: skip
    read = read_trace(path, skips)
    if not len(read):
        show_skips(skips)
        raise _nothing(path.name)
    return read


def _nothing(name: str) -> InvalidInput:
    return InvalidInput(
        Text(f"There is no job in {name} that can be replayed.", f"{name} 中没有可回放的作业。"),
        Text("Mend the rows that were named, or give more cards.", "请修正所列各行，或增加卡数。"),
        code="trace_empty",
    )


def _write(trace: Trace, case: Case, plot: Path | None, out: Path | None) -> None:
    if plot:
        write_file(plot, draw(trace, case, plot))
    if out:
        for name, replay in case.replays.items():
            write_file(out / f"{name}-{case.cards}.csv", rows(trace, replay))


def _show(summary: dict[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    load, bound, seen = summary["offered_load_permille"], summary["bound"], summary["predictions"]
    console.print(
        t(f"{summary['trace']}: {summary['jobs']} jobs on {summary['cards']} cards, offered load {load / 10:.1f} % (simulated)",
          f"{summary['trace']}：{summary['jobs']} 个作业，{summary['cards']} 张卡，负载 {load / 10:.1f} %（模拟）"), style="bold",
    )  # fmt: skip
    console.print(
        t(f"No schedule has a mean JCT under {bound['mean_jct']} s ({bound['which']}). Foreseen at submission: half within a factor of {seen['factor_p50_percent'] / 100:.1f}.",
          f"任何调度的平均 JCT 都不低于 {bound['mean_jct']} 秒（{bound['which']}）。提交时的预测：半数误差在 {seen['factor_p50_percent'] / 100:.1f} 倍以内。")
    )  # fmt: skip
    table = Table(box=None)
    for head in (t("POLICY", "策略"), t("JCT MEAN", "JCT 均值"), "P50", "P95", "P99", t("QUEUED", "排队均值"), t("OF BOUND", "与下界之比"), t("GAP CLOSED", "缩小差距"), t("USED", "利用率"), t("STOPS", "抢占"), t("OVERHEAD", "开销"), t("WORST GROUP, TO FIFO", "最差分组（对 FIFO）")):  # fmt: skip
        table.add_column(head, justify="left" if not table.columns else "right", no_wrap=True)
    for name, found in summary["policies"].items():
        jct, closed, worst = found["jct"], found["gap_closed_permille"], found["worst_group"]
        table.add_row(
            name, *(f"{jct[k]:,}" for k in ("mean", "p50", "p95", "p99")), f"{found['queueing']['mean']:,}", f"{found['of_bound_permille'] / 1000:.2f}",
            "–" if closed is None else f"{closed / 10:.1f} %", f"{found['utilisation_of_arrivals_permille'] / 10:.1f} %", f"{found['stops']:,}",
            f"{found['overhead_permille'] / 10:.1f} %", f"{printable(worst['group'])} {worst['rise_percent']:+d} %",
        )  # fmt: skip
    console.print(table)
    _show_parts(console, summary, "by_group", t("JCT MEAN BY GROUP", "各分组 JCT 均值"))
    _show_parts(console, summary, "by_size", t("JCT MEAN BY CARDS", "各卡数 JCT 均值"))


def _show_parts(console: Console, summary: dict[str, Any], key: str, title: str) -> None:
    policies = summary["policies"]
    table = Table(box=None)
    table.add_column(title, no_wrap=True)
    for head in (t("JOBS", "作业"), *policies):
        table.add_column(head, justify="right", no_wrap=True)
    for part, found in policies["fifo"][key].items():
        table.add_row(
            printable(part),
            f"{found['jobs']:,}",
            *(f"{figures[key][part]['jct']['mean']:,}" for figures in policies.values()),
        )
    console.print(table)
