"""The replay over time, as one picture: allocation, queue, cost, carbon and fairness by hour. English labels only."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zhisuan.simulation.city.types import HOURS_A_DAY

CLASSES_SHOWN = 6
STYLE: Any = {"svg.hashsalt": "zhisuan", "font.family": "DejaVu Sans", "font.size": 8, "svg.fonttype": "none"}


def picture(results: Mapping[str, Mapping[str, Any]]) -> bytes:
    """An SVG of the results by name, the first of which is the base: the same bytes for the same results."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 9), layout="constrained")
        axes = figure.subplots(5, 1, sharex=True)
        base = next(iter(results.values()))
        _allocation(axes[0], base)
        for name, result in results.items():
            hours = [hour["hour"] / HOURS_A_DAY for hour in result["hours"]]
            _line(axes[1], hours, [hour["waiting_mean_milli"] / 1000 for hour in result["hours"]], name)
            _line(axes[2], hours, [hour["cost_ucny"] / 10**6 for hour in result["hours"]], name)
            _line(axes[3], hours, [hour["carbon_ug"] / 10**9 for hour in result["hours"]], name)
            _line(axes[4], hours, [_share(hour["jain_ppm"]) for hour in result["hours"]], name)
        for axis, title in zip(axes[1:], ("jobs waiting", "cost (yuan an hour)", "carbon (kg an hour)", "fairness (Jain)"), strict=True):
            axis.set_ylabel(title)
            axis.set_ylim(bottom=0)
        axes[4].set_ylim(0, 1.05)
        axes[4].set_xlabel("days of the replay (simulated)")
        if len(results) > 1:
            axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
        for axis in axes:
            axis.grid(alpha=0.25)
            axis.spines[["top", "right"]].set_visible(False)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def _allocation(axis: Axes, result: Mapping[str, Any]) -> None:
    largest = sorted(result["capacity_milli"], key=lambda c: (-result["capacity_milli"][c], c))
    shown = [c for c in largest if c != "cpu-core"][:CLASSES_SHOWN] or largest
    hours = [hour["hour"] / HOURS_A_DAY for hour in result["hours"]]
    for class_id in shown:
        axis.step(hours, [hour["allocated_ppm"][class_id] / 10**4 for hour in result["hours"]], where="post", label=class_id, linewidth=1)
    axis.set_ylabel("cards in use (%), base")
    axis.set_ylim(0, 105)
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def _line(axis: Axes, hours: Sequence[Any], values: Sequence[Any], name: str) -> None:
    axis.step(hours, values, where="post", label=name, linewidth=1)


def _share(ppm: int | None) -> Any:
    return float("nan") if ppm is None else ppm / 10**6
