"""What ``simulate serve`` shows: a table, a picture, a file for each policy."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from zhisuan.base.text import Text
from zhisuan.cli.figures import yuan
from zhisuan.cli.text import say, t
from zhisuan.simulation.serving.comparison import Row

COLUMNS = (
    Text("routing", "路由"),
    Text("scaling", "伸缩"),
    Text("first token: mean", "首字时延：均值"),
    Text("p50", "p50"),
    Text("p90", "p90"),
    Text("p99", "p99"),
    Text("per token", "每字时延"),
    Text("hits", "命中率"),
    Text("replica-hours", "副本小时"),
    Text("yuan", "元"),
    Text("kWh", "度电"),
    Text("ended otherwise", "未完成"),
)
CALL_COLUMNS = ("number", "at_us", "input_tokens", "output_tokens", "blocks", "replica", "matched_blocks", "admitted_us", "first_us", "ended_us", "outcome")  # fmt: skip


def show_table(document: dict[str, Any]) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(COLUMNS):
        table.add_column(say(column), justify="left" if index < 2 else "right", no_wrap=True)
    for row in document["policies"]:
        table.add_row(*_cells(row))
    bound = document["bound"]
    table.add_row(t("bound", "界限"), "", *_times(bound["first_token_us"]), "", _percent(bound["hit_ppm"]))
    console.print(table)
    said = t(
        f"Simulated: {document['requests']} requests over modelled replicas; times in seconds. Bound: one endless shared cache, no queue.",
        f"模拟结果：{document['requests']} 个请求，副本为模型；时间单位为秒。界限：无限共享缓存且无排队。",
    )
    console.print(said, style="dim", soft_wrap=True)


def _cells(row: dict[str, Any]) -> list[str]:
    lost = row["gave_up"] + row["refused"] + row["too_long"]
    return [
        row["routing"],
        row["scaling"],
        *_times(row["first_token_us"]),
        _seconds(row["per_token_us"]["mean"]),
        _percent(row["hit_ppm"]),
        f"{row['replica_us'] / 3.6e9:.2f}",
        yuan(row["cost_ucny"]),
        f"{row['energy_wh'] / 1000:.1f}",
        str(lost),
    ]


def _times(spread: dict[str, int | None]) -> list[str]:
    return [_seconds(spread[name]) for name in ("mean", "p50", "p90", "p99")]


def _seconds(us: int | None) -> str:
    return "–" if us is None else f"{us / 1e6:.3f}"


def _percent(ppm: int | None) -> str:
    return "–" if ppm is None else f"{ppm / 1e4:.1f}%"


def calls_csv(row: Row) -> bytes:
    """One line a request; what never came to be is -1."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CALL_COLUMNS)
    for call in row.result.calls:
        asked = call.request
        writer.writerow((call.number, asked.at_us, asked.input_tokens, asked.output_tokens, len(asked.blocks), call.replica, call.matched, call.admitted_us, call.first_us, call.ended_us, call.outcome))  # fmt: skip
    return text.getvalue().encode()


def looks_csv(row: Row) -> bytes:
    """The state of things at each look of the scaling rule."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("at_us", "waiting", "in_flight", "ready", "live"))
    writer.writerows((one.at_us, one.waiting, one.in_flight, one.ready, one.live) for one in row.result.looks)
    return text.getvalue().encode()


def picture(rows: Sequence[Row], kind: str) -> bytes:
    """First tokens, the queue and the replicas over time, as ``kind`` (svg, png, pdf); the same bytes for the same rows."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "zhisuan", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(10, 3.2), layout="constrained")
        first, queue, live = figure.subplots(1, 3)
        for row in rows:
            name = f"{row.routing} / {row.scaling}"
            times = sorted(
                call.first_us - call.request.at_us for call in row.result.calls if call.outcome == "completed"
            )
            places = range(0, len(times), max(1, len(times) // 400))
            first.plot([max(1, times[at]) / 1e6 for at in places], [at / len(times) for at in places], label=name, lw=1)
            minutes = [look.at_us / 6e7 for look in row.result.looks]
            queue.plot(minutes, [look.waiting for look in row.result.looks], lw=0.8)
            live.plot(minutes, [look.live for look in row.result.looks], lw=1, drawstyle="steps-post")
        first.set(xscale="log", xlabel="time to first token (s), simulated", ylabel="share of requests")
        queue.set(xlabel="minutes", ylabel="requests without a first token")
        live.set(xlabel="minutes", ylabel="replicas ready or starting", ylim=(0, None))
        first.legend(loc="lower right", fontsize=6)
        target = io.BytesIO()
        figure.savefig(target, format=kind, metadata={"Date": None} if kind == "svg" else None)
    return target.getvalue()
