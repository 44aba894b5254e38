"""``zhisuan simulate batch``: one pass over backlog, deferrable and spot work."""

from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from rich.table import Table

from zhisuan.app.simulate.shown import document, put_json, write_file
from zhisuan.base.errors import InvalidInput
from zhisuan.base.text import Text
from zhisuan.cli.text import language, opt, t
from zhisuan.placement.batch.greedy import greedy
from zhisuan.placement.batch.options import options_of
from zhisuan.placement.batch.rules import plan
from zhisuan.placement.batch.types import BatchPlan
from zhisuan.simulation.batch.check import problems_of
from zhisuan.simulation.batch.files import read_problem
from zhisuan.simulation.batch.made import SHAPES, made_problem

SHOWN = 12

File = Annotated[Path | None, opt("--problem", metavar="FILE", en="Sites and jobs as JSON (docs/benchmarks/batch.md has the fields). Without it, they are made from the seed.", zh="站点与作业的 JSON（字段见 docs/benchmarks/batch.md）；缺省时按种子生成。")]  # fmt: skip
Jobs = Annotated[int, opt("--jobs", min=1, en="How many jobs to make.", zh="生成的作业数。")]
Sites = Annotated[int, opt("--sites", min=1, en="How many sites to make.", zh="生成的站点数。")]
Load = Annotated[int, opt("--load", min=1, en="Per cent of the sites' card-slots that made jobs want.", zh="生成的作业所需卡时占站点总量的百分比。")]  # fmt: skip
Shape = Annotated[str, opt("--shape", en=f"Shape of what is made: {', '.join(SHAPES)}.", zh=f"生成数据的形态：{'、'.join(SHAPES)}。")]  # fmt: skip
Seed = Annotated[int, opt("--seed", min=0, en="Seed of what is made.", zh="生成数据的种子。")]
Limit = Annotated[
    int, opt("--time-limit", min=1, en="Seconds for the mixed-integer search.", zh="混合整数搜索的时限（秒）。")
]
Gap = Annotated[int, opt("--gap", min=0, en="Stops at this gap, in millionths.", zh="达到该差距（百万分之一）即停止。")]
Out = Annotated[Path | None, opt("--out", metavar="FILE", en="Writes the plan with all reasons as JSON.", zh="将含全部理由的计划写为 JSON。")]  # fmt: skip
AsJson = Annotated[bool, opt("--json", en="One JSON document instead of tables.", zh="输出 JSON 而非表格。")]


def batch(
    problem: File = None,
    jobs: Jobs = 1000,
    sites: Sites = 50,
    load: Load = 50,
    shape: Shape = "equal",
    seed: Seed = 0,
    time_limit: Limit = 4,
    gap: Gap = 2_000,
    out: Out = None,
    json: AsJson = False,
) -> None:
    """One pass over backlog, deferrable and spot work: where and when each starts, and how far from the optimum that can be."""
    if shape not in SHAPES:
        raise InvalidInput(
            Text(f"There is no shape {shape!r}.", f"没有形态 {shape!r}。"),
            Text(f"Choose one of: {', '.join(SHAPES)}.", f"可选：{'、'.join(SHAPES)}。"),
            code="shape_unknown",
        )
    given = read_problem(problem) if problem else made_problem(jobs, sites, load, seed, shape)
    made = plan(given, time_limit_s=time_limit, gap_ppm=gap)
    result = {
        "simulated": True,
        "jobs": len(given.jobs),
        "sites": len(given.sites),
        "slots": given.slots,
        "objective_ucny": made.objective_ucny,
        "bound_ucny": made.bound_ucny,
        "gap_ppm": made.gap_ppm,
        "stopped": made.stopped,
        "greedy_ucny": greedy(options_of(given)).objective,
        "placed": len(made.starts),
        "left_out": len(made.left_out),
        "broken_rules": problems_of(given, made),
        "plan": _plan(made),
    }
    if out:
        write_file(out, document(result))
    if json:
        put_json(result)
        return
    _show(result, made)


def _plan(made: BatchPlan) -> dict[str, Any]:
    starts = [
        {
            "job": s.job,
            "site": s.site,
            "slot": s.slot,
            "slots": s.slots,
            "cost_ucny": s.cost_ucny,
            "reason": s.reason.as_dict(),
        }
        for s in made.starts
    ]
    left = [
        {"job": one.job, "failed": dict(one.failed), "binding": one.binding, "reason": one.reason.as_dict()}
        for one in made.left_out
    ]
    return {"starts": starts, "left_out": left}


def _show(result: dict[str, Any], made: BatchPlan) -> None:
    console = Console(highlight=False)
    ours, least, base = (result[name] / 1_000_000 for name in ("objective_ucny", "bound_ucny", "greedy_ucny"))
    console.print(t(f"{result['placed']} jobs placed, {result['left_out']} left out; gap {result['gap_ppm'] / 10_000:.2f} % ({result['stopped']}).", f"已放置 {result['placed']} 个作业，{result['left_out']} 个未放置；差距 {result['gap_ppm'] / 10_000:.2f} %（{result['stopped']}）。"))  # fmt: skip
    console.print(t(f"Objective {ours:,.2f} yuan, proven bound {least:,.2f}, greedy {base:,.2f}.", f"目标值 {ours:,.2f} 元，已证明下界 {least:,.2f}，贪心 {base:,.2f}。"))  # fmt: skip
    table = Table(title=t(f"The first {SHOWN}", f"前 {SHOWN} 个"))
    for head in (t("job", "作业"), t("site", "站点"), t("slot", "时段"), t("why", "原因")):
        table.add_column(head)
    for start in made.starts[:SHOWN]:
        table.add_row(start.job, start.site, f"{start.slot}+{start.slots}", start.reason.in_language(language()))
    for one in made.left_out[:SHOWN]:
        table.add_row(one.job, "–", "–", one.reason.in_language(language()))
    console.print(table)
