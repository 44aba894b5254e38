"""One picture of a case: what the policies emitted, and when cards were in use against the intensity of the grid."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from zhisuan.base.errors import InvalidInput
from zhisuan.base.text import Text
from zhisuan.simulation.carbon.outcome import UG_PER_KG, Compared
from zhisuan.simulation.carbon.replay import Done
from zhisuan.simulation.carbon.types import Case, Ints

COLOURS = {"agnostic": "#b0b0b0", "forecast": "#1b7f5c", "perfect": "#3a6ea5", "LP bound": "#222222"}
KINDS = ("png", "svg", "pdf")


def cards_in_use(case: Case, done: Done) -> Ints:
    use = np.zeros(case.regions.mg_per_kwh.shape, np.int64)
    for job in case.jobs:
        for slot in done.get(job.work.id, []):
            use[slot.region, slot.hour] += job.work.cards
    return use


def draw(case: Case, compared: Compared, path: Path) -> None:
    """Raises InvalidInput for a kind of file that cannot be drawn or a path that cannot be written."""
    if path.suffix.lstrip(".").lower() not in KINDS:
        raise InvalidInput(
            Text(f"{path.name} names no kind of picture.", f"{path.name} 不是可用的图片格式。"),
            Text(f"End the name in one of: {', '.join(KINDS)}.", f"文件名应以下列之一结尾：{'、'.join(KINDS)}。"),
            code="picture_kind",
        )
    with matplotlib.rc_context({"svg.hashsalt": "zhisuan", "font.size": 9}):
        figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), width_ratios=(1, 2.4), layout="constrained")
        _bars(left, case, compared)
        _days(right, case, compared)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
        except OSError as error:
            why = error.strerror or str(error)
            raise InvalidInput(
                Text(f"The file {path} cannot be written: {why}.", f"无法写入文件 {path}：{why}。"),
                Text("Name a file in a folder that can be written.", "请指定可写目录中的文件。"),
                code="file_unwritable",
            ) from error
        finally:
            plt.close(figure)


def _bars(axes, case: Case, compared: Compared) -> None:  # type: ignore[no-untyped-def]
    shown = {name: one.ug / UG_PER_KG for name, one in compared.outcomes.items()}
    if case.objective.name == "carbon" and compared.bound.feasible:
        shown["LP bound"] = compared.bound.least / UG_PER_KG
    axes.bar(list(shown), list(shown.values()), color=[COLOURS[name] for name in shown])
    axes.set_ylabel("kg CO2 (simulated)")
    for number, value in enumerate(shown.values()):
        axes.text(number, value, f"{value:,.0f}", ha="center", va="bottom")
    axes.spines[["top", "right"]].set_visible(False)


def _days(axes, case: Case, compared: Compared) -> None:  # type: ignore[no-untyped-def]
    """Cards in use in a middle week, and the mean intensity of the regions."""
    first = min(job.arrival for job in case.jobs)
    last = max(job.work.deadline for job in case.jobs)
    start = max(first, (first + last) // 2 - 84)
    hours = np.arange(start, min(start + 168, last))
    for name in ("agnostic", "forecast"):
        use = cards_in_use(case, compared.outcomes[name].done).sum(axis=0)[hours]
        axes.step((hours - start) / 24, use, where="post", color=COLOURS[name], label=f"cards in use, {name}")
    axes.set_xlabel(f"days from {case.regions.time(start):%Y-%m-%d %H:%M} UTC")
    axes.set_ylabel("cards in use, all regions")
    twin = axes.twinx()
    twin.plot(
        (hours - start) / 24,
        case.regions.mg_per_kwh[:, hours].mean(axis=0) / 1000,
        color="#c9822b",
        lw=1,
        label="mean gCO2/kWh",
    )
    twin.set_ylabel("gCO2/kWh, mean of the regions")
    twin.set_ylim(bottom=0)
    lines = [*axes.get_legend_handles_labels()[0], *twin.get_legend_handles_labels()[0]]
    axes.legend(lines, [line.get_label() for line in lines], loc="upper right", fontsize=8, frameon=False)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.3)
