"""Charts. What a chart shows is also there as text for those who cannot see it."""

from collections.abc import Mapping, Sequence
from typing import Any

from nicegui import ui

from zhisuan.console.format import du_chart, du_unit
from zhisuan.console.parts import div, el
from zhisuan.console.speech import Speech
from zhisuan.console.text_frame import Frame
from zhisuan.console.tree import hold

ACCENT = "#0f5fc2"
INK = "#5a6779"
LINE = "#e5eaf0"
FONT = "inherit"


def daily_du(daily: Sequence[Mapping[str, Any]], say: Speech) -> None:
    """度 by day, as columns."""
    days = [str(d["date"])[5:] for d in daily]
    values = [int(d["quantity_udu"]) for d in daily]
    with div("chart-box", role="img", aria_label=say(Frame.CHART_DAILY)):
        hold(lambda: ui.echart(_columns(days, [du_chart(v) for v in values]), renderer="svg").classes("chart"))
    with el("ul", "", "unseen"):
        for day, value in zip(days, values, strict=True):
            el("li", f"{day}: {du_unit(value)}")


def _columns(names: list[str], values: list[str]) -> dict[str, Any]:
    return {
        "animation": False,
        "grid": {"left": 8, "right": 8, "top": 28, "bottom": 4, "containLabel": True},
        "textStyle": {"fontFamily": FONT, "color": INK},
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}, "confine": True, "renderMode": "richText"},
        "xAxis": {
            "type": "category", "data": names, "axisTick": {"show": False}, "axisLine": {"lineStyle": {"color": LINE}},
            "axisLabel": {"color": INK, "hideOverlap": True},
        },
        "yAxis": {
            "type": "value", "name": "度", "nameTextStyle": {"align": "right", "color": INK}, "splitNumber": 3,
            "splitLine": {"lineStyle": {"color": LINE}}, "axisLabel": {"color": INK},
        },
        "series": [
            {
                "type": "bar", "name": "度", "data": values, "barMaxWidth": 26,
                "itemStyle": {"color": ACCENT, "borderRadius": [3, 3, 0, 0]},
            }
        ],
    }  # fmt: skip
