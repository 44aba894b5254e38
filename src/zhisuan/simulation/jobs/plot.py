"""Pictures and tables of a comparison: use and queue over time, and how the times from submission to end are spread."""

import io
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from zhisuan.base.errors import InvalidInput
from zhisuan.base.text import Text
from zhisuan.simulation.jobs.compare import Case
from zhisuan.simulation.jobs.replay import Replay
from zhisuan.simulation.jobs.trace import Trace

POINTS = 600
COLOURS = {
    "zhisuan": "#c2410c",
    "fifo": "#6b7280",
    "easy": "#0e7490",
    "sjf": "#4d7c0f",
    "las": "#7e22ce",
    "fair": "#a16207",
    "srpt": "#111827",
}
FORMATS = ("svg", "png", "pdf")


def draw(trace: Trace, case: Case, target: Path) -> bytes:
    """The picture in the format that the name ends in; the same bytes for the same result. Raises InvalidInput for another ending."""
    kind = target.suffix.removeprefix(".")
    if kind not in FORMATS:
        raise InvalidInput(
            Text(f"A picture cannot be written as {target.name}.", f"无法将图片写为 {target.name}。"),
            Text(
                f"Let the name end in one of: {', '.join(FORMATS)}.", f"文件名须以下列之一结尾：{'、'.join(FORMATS)}。"
            ),
            code="picture_format",
        )
    figure = Figure(figsize=(9, 8), layout="constrained")
    used, queue, spread = figure.subplots(3, 1)
    for name, replay in case.replays.items():
        line = {"color": COLOURS[name], "label": name, "linewidth": 2 if name == "zhisuan" else 1}
        days, in_use, waiting = _course(replay)
        used.plot(days, in_use * 100 / case.cards, **line)
        queue.plot(days, waiting, **line)
        hours = np.sort(replay.ended - trace.submitted) / 3_600
        places = np.linspace(0, len(hours) - 1, POINTS).astype(np.int64)
        spread.plot(np.maximum(hours[places], 1 / 3_600), (places + 1) * 100 / len(hours), **line)
    used.set(
        title=f"{trace.name}: {len(trace)} jobs on {case.cards} cards",
        ylabel="cards in use, %",
        xlabel="days",
        ylim=(0, 103),
    )
    queue.set(ylabel="jobs waiting", xlabel="days", ylim=(0, None))
    spread.set(ylabel="jobs ended, %", xlabel="hours from submission to end", xscale="log", ylim=(0, 103))
    spread.legend(loc="lower right", ncols=2, frameon=False)
    for axes in (used, queue, spread):
        axes.grid(color="#e5e7eb")
        axes.spines[["top", "right"]].set_visible(False)
    data = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "zhisuan"}):
        stamp = {"CreationDate": None} if kind == "pdf" else {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(data, format=kind, metadata=stamp)
    return data.getvalue()


def _course(replay: Replay) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means over equal parts of the time."""
    times, used, waiting = (np.array(column, np.int64) for column in zip(*replay.course, strict=True))
    edges = np.linspace(times[0], max(int(times[-1]), int(times[0]) + 1), POINTS + 1)
    places = np.diff(edges)

    def means(values: np.ndarray) -> np.ndarray:
        sums = np.append(0, np.cumsum(values[:-1] * np.diff(times)))
        return np.asarray(np.diff(np.interp(edges, times, sums)) / places)

    return (edges[:-1] + edges[1:]) / 2 / 86_400, means(used), means(waiting)


def rows(trace: Trace, replay: Replay) -> bytes:
    """A CSV of all jobs in the order of submission; seconds from the first submission on."""
    head = "job,group,cards,submitted,seconds,started,ended,jct,waited,stops,overhead_seconds,foreseen_mean,foreseen_median\n"
    groups = [trace.groups[n] for n in trace.group.tolist()]
    columns = (
        trace.cards, trace.submitted, trace.seconds, replay.started, replay.ended, replay.ended - trace.submitted,
        replay.waited, replay.stops, replay.overhead, replay.foreseen, replay.median,
    )  # fmt: skip
    table = zip(range(len(trace)), map(_quoted, groups), *(c.tolist() for c in columns), strict=True)
    return (head + "".join(",".join(map(str, row)) + "\n" for row in table)).encode()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if set(name) & set('",\r\n') else name
