"""Allocation against arrival, a line a policy, with the bound."""

import io
import statistics

import matplotlib as mpl

from zhisuan.simulation.openb.runs import PERCENT, Comparison

COLOURS = ("#7f7f7f", "#bcbd22", "#17becf", "#9467bd", "#1f77b4", "#2ca02c", "#ff7f0e", "#d62728")


def allocation_plot(comparison: Comparison, form: str) -> bytes:
    """``form`` is svg, png or pdf; the same bytes for the same result."""
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "zhisuan", "font.size": 9}):
        figure = Figure(figsize=(8, 3.6), layout="constrained")
        whole, near = figure.subplots(1, 2)
        for n, policy in enumerate(dict.fromkeys(run.policy for run in comparison.runs)):
            curves = [run.tally.curve for run in comparison.of(policy)]
            capacity = max(comparison.of(policy)[0].tally.capacity_milli, 1)
            length = min(len(curve) for curve in curves)
            means = [PERCENT * statistics.fmean(curve[i] for curve in curves) / capacity for i in range(length)]
            for axes in (whole, near):
                axes.plot(range(1, length + 1), means, label=policy, color=COLOURS[n % len(COLOURS)], linewidth=1.3)
        for axes in (whole, near):
            axes.set_xlabel("arrived demand, % of GPU capacity")
            axes.grid(alpha=0.3)
            if comparison.bounds_percent:
                bound = statistics.fmean(comparison.bounds_percent.values())
                axes.plot([PERCENT], [bound], marker="v", color="black", linestyle="", label="bound at 100 %")
        whole.set_ylabel("allocated, % of GPU capacity")
        near.set_xlim(80, 130)
        near.set_ylim(80, 100)
        near.legend(fontsize=7, loc="lower right")
        out = io.BytesIO()
        figure.savefig(out, format=form, metadata={"Date": None} if form == "svg" else None)
        return out.getvalue()
