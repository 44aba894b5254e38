"""``zhisuan simulate openb``: tasks that share cards, placed by one policy or several."""

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, TextIO

from rich.console import Console
from rich.table import Table

from zhisuan.app.simulate.shown import progress, put_json, show_skips, write_file
from zhisuan.base.errors import InvalidInput
from zhisuan.base.text import Text
from zhisuan.cli.params import JsonFlag
from zhisuan.cli.text import opt, t
from zhisuan.placement.cards.mix import Mix
from zhisuan.placement.cards.policies import NAMES
from zhisuan.placement.cards.types import Node, Task
from zhisuan.simulation.openb.arrivals import UP_TO_PERCENT
from zhisuan.simulation.openb.files import read_nodes, read_stream, read_tasks
from zhisuan.simulation.openb.plots import allocation_plot
from zhisuan.simulation.openb.replay import Decision
from zhisuan.simulation.openb.runs import HEADER, Comparison, Run, compare, csv_line, decide
from zhisuan.simulation.rows import Skips, open_text

FORMS = ("svg", "png", "pdf")
OURS = "zhisuan"

NodesFile = Annotated[
    Path,
    opt(
        "--nodes",
        metavar="FILE",
        en="Nodes: sn, cpu_milli, memory_mib, gpu, model.",
        zh="节点表：sn、cpu_milli、memory_mib、gpu、model。",
    ),
]
PodsFile = Annotated[
    Path | None,
    opt(
        "--pods",
        metavar="FILE",
        en="Tasks to draw from; with --stream: only the mix of tasks to expect.",
        zh="任务表：从中抽取；与 --stream 同用时仅作为预期的任务分布。",
    ),
]
StreamFile = Annotated[
    str | None,
    opt(
        "--stream",
        metavar="FILE",
        en="Place these arrivals, line by line, instead of drawing them; - is standard input.",
        zh="逐行放置该文件中的到达任务，而不自行抽取；- 表示标准输入。",
    ),
]
Seed = Annotated[
    int,
    opt(
        "--seed",
        metavar="N",
        min=0,
        en="Seed of the order of arrivals, and of policies that leave something to chance.",
        zh="到达顺序及随机策略的种子。",
    ),
]
Seeds = Annotated[
    int,
    opt(
        "--seeds",
        metavar="N",
        min=1,
        en="Repeat with so many seeds, from --seed on; mean and deviation are shown.",
        zh="从 --seed 起用这么多个种子重复，并给出均值与标准差。",
    ),
]
Policies = Annotated[
    list[str] | None,
    opt(
        "--policy",
        metavar="NAME",
        en=f"One of {', '.join(NAMES)}; can be given many times, 'all' is all. Otherwise {OURS}.",
        zh=f"{'、'.join(NAMES)} 之一；可多次给出，all 表示全部。缺省为 {OURS}。",
    ),
]
PlacementFile = Annotated[
    Path | None,
    opt(
        "--placement",
        metavar="FILE",
        en="Write arrival,node,gpus; a refused arrival has no line. For one policy and one seed.",
        zh="写出 arrival,node,gpus；被拒绝的到达没有行。仅限单个策略与种子。",
    ),
]
Bound = Annotated[
    bool, opt("--bound/--no-bound", en="Also compute what could be allocated at most.", zh="同时计算可分配量的上界。")
]
PlotFile = Annotated[
    Path | None,
    opt(
        "--plot",
        metavar="FILE",
        en="Draw allocation against arrival (.svg, .png, .pdf).",
        zh="绘制分配率随到达量的变化（.svg、.png、.pdf）。",
    ),
]
Timing = Annotated[
    bool,
    opt(
        "--timing",
        en="Report how long decisions took as well; this differs from run to run.",
        zh="同时报告决策耗时；每次运行会有不同。",
    ),
]


def openb(
    nodes: NodesFile,
    pods: PodsFile = None,
    stream: StreamFile = None,
    seed: Seed = 0,
    seeds: Seeds = 1,
    policy: Policies = None,
    placement: PlacementFile = None,
    bound: Bound = True,
    plot: PlotFile = None,
    timing: Timing = False,
    as_json: JsonFlag = False,
) -> None:
    """Bad rows are skipped, counted and named on standard error."""
    names = _policies(policy)
    if plot is not None and plot.suffix[1:] not in FORMS:
        raise _refused(
            f"A plot is .{', .'.join(FORMS)}, not {plot.name}.",
            f"图像格式为 .{'、.'.join(FORMS)}，而不是 {plot.name}。",
        )
    if (placement is not None or stream is not None) and (len(names) > 1 or seeds > 1):
        raise _refused(
            "A placement file and a stream are of one policy and one seed.", "放置文件与到达流仅限单个策略与种子。"
        )
    if stream is not None and (plot is not None or ((as_json or timing) and placement is None)):
        raise _refused(
            "A stream has no plot, and its --json and --timing need --placement, since placements go to standard output.",
            "到达流不支持绘图；--json 与 --timing 需同时给出 --placement，因为放置结果写到标准输出。",
        )
    skips = Skips()
    cluster = read_nodes(nodes, skips)
    tasks = read_tasks(pods, skips, {n.model for n in cluster}) if pods is not None else None
    if stream is not None:
        _stream(cluster, tasks, stream, names[0], seed, placement, skips, as_json, timing)
        return
    if tasks is None:
        raise _refused("Neither --pods nor --stream is given.", "未给出 --pods 或 --stream。")
    show_skips(skips)
    rows = [csv_line(HEADER)]

    def keep(decision: Decision) -> None:
        fields = decision.fields(cluster) if placement is not None else None
        if fields:
            rows.append(csv_line(fields))

    mean = max(sum(task.total_milli for task in tasks), 1) / len(tasks)
    expected = int(sum(n.cards for n in cluster) * 1000 * UP_TO_PERCENT / 100 / mean) * len(names) * seeds
    with progress(t("placing", "放置中"), expected, quiet=as_json) as advance:
        result = compare(
            cluster,
            tasks,
            names,
            range(seed, seed + seeds),
            time.perf_counter_ns,
            with_bound=bound,
            told=advance,
            keep=keep,
        )
    if placement is not None:
        write_file(placement, "".join(rows).encode())
    if plot is not None:
        write_file(plot, allocation_plot(result, plot.suffix[1:]))
    _show(result, skips, as_json, timing)


def _policies(given: list[str] | None) -> list[str]:
    names = list(NAMES) if given and "all" in given else list(dict.fromkeys(given or [OURS]))
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise _refused(
            f"There is no policy {', '.join(unknown)}; there are {', '.join(NAMES)}.",
            f"没有策略 {'、'.join(unknown)}；可用的有 {'、'.join(NAMES)}。",
        )
    return names


def _refused(en: str, zh: str) -> InvalidInput:
    return InvalidInput(
        Text(en, zh),
        Text("See: zhisuan simulate openb --help", "参见：zhisuan simulate openb --help"),
        code="openb_options",
    )


def _lines(source: str) -> Iterator[str]:
    """Each line when it is there: nothing is read ahead of the decision before."""
    if source == "-":
        yield from iter(sys.stdin.readline, "")
        return
    with open_text(Path(source)) as file:
        yield from iter(file.readline, "")


def _stream(
    nodes: list[Node],
    tasks: list[Task] | None,
    source: str,
    name: str,
    seed: int,
    placement: Path | None,
    skips: Skips,
    as_json: bool,
    timing: bool,
) -> None:
    """Without --pods the mix of tasks is learned from those that come."""
    mix = Mix.of(tasks) if tasks is not None else Mix()
    arrivals = read_stream(_lines(source), source, skips)
    tally, decisions = decide(name, nodes, mix, arrivals, seed, time.perf_counter_ns)
    if placement is None:
        _write(sys.stdout, nodes, decisions)
    else:
        write_file(placement, b"")
        with placement.open("w", encoding="utf-8", newline="") as out:
            _write(out, nodes, decisions)
    show_skips(skips)
    result = Comparison((Run(name, seed, tally),), {})
    if placement is not None:
        _show(result, skips, as_json, timing)


def _write(out: TextIO, nodes: list[Node], decisions: Iterable[Decision]) -> None:
    out.write(csv_line(HEADER))
    out.flush()
    for decision in decisions:
        fields = decision.fields(nodes)
        if fields:
            out.write(csv_line(fields))
            out.flush()


def _show(result: Comparison, skips: Skips, as_json: bool, timing: bool) -> None:
    if as_json:
        put_json({**result.as_dict(), "skipped": skips.as_dict(), **({"timing": result.times_us()} if timing else {})})
        return
    console = Console()
    table = Table(
        t("Policy", "策略"),
        t("Allocated at 100 %", "到达 100 % 时的分配率"),
        t("Deviation", "标准差"),
        t("At the end", "结束时"),
        t("CPU-only refused", "拒绝的纯 CPU 任务"),
        t("Kept free for others", "为他人预留而拒绝"),
    )
    for row in result.summary():
        cells = [
            row["policy"],
            row["allocation_percent_at_100_mean"],
            row["allocation_percent_at_100_deviation"],
            row["allocation_percent_at_end_mean"],
            row["refused_cpu_only_at_end"],
            row["kept_free"],
        ]
        table.add_row(*("–" if cell is None else str(cell) for cell in cells))
    console.print(table)
    if result.bounds_percent:
        console.print(
            t(
                f"At most (linear programme, all arrivals known): {result.as_dict()['bound_percent_mean']} %",
                f"上界（线性规划，预知全部到达）：{result.as_dict()['bound_percent_mean']} %",
            )
        )
    if timing:
        for name, times in result.times_us().items():
            console.print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in times.items()))
