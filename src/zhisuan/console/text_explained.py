"""Texts of why work waits, of runners-up, of the sites of a quote and of demand places."""

from typing import ClassVar

from zhisuan.base.text import Text


class Explained:
    STEPS = Text("Constraint after constraint", "逐项条件筛选")
    CONSTRAINT = Text("Constraint", "条件")
    TAKEN_OUT = Text("Taken out", "排除")
    LEFT = Text("Left", "剩余")
    BINDS = Text("binds", "决定因素")
    ALTERNATIVE = Text("alternative {number}", "备选 {number}")
    STARTS = Text("Expected to start by {at} (UTC+8), if nothing else that waits is faster.", "预计最迟 {at}（UTC+8）开始（若无其他等待中的作业占先）。")
    STARTS_UNKNOWN = Text(
        "When it starts is not known: what is in its way has no end on record.", "开始时间未知：占用资源的作业没有确定的结束时间。"
    )
    DEADLINE = Text("Deadline: {at} (UTC+8)", "截止时间：{at}（UTC+8）")
    RUNNERS_UP = Text("Runners-up, and what they come to more", "次优位置及其差额")
    HOUR_MORE = Text("Yuan an hour", "元/小时")
    CARBON_MORE = Text("gCO₂ an hour", "gCO₂/小时")
    ROUND_TRIP_MORE = Text("Round trip", "往返时延")
    SITES = Text("Sites that could take it now", "当前可承接的站点")
    SITES_SHOWN = Text("{counted} sites could; {shown} are shown.", "共 {counted} 个站点可承接，显示 {shown} 个。")
    GREEN = Text("Green share", "绿电占比")
    GREEN_HINT = Text("of the electricity, by contract or on the spot, in percent; empty: none stated", "占用电量的百分比（合同或自发）；留空表示未声明")
    ROUND_TRIP = Text("Round trip", "往返时延")
    MARKS: ClassVar[dict[str, Text]] = {
        "cheapest": Text("cheapest", "最便宜"), "greenest": Text("least carbon", "碳排最低"), "nearest": Text("nearest", "时延最短"),
    }  # fmt: skip
    PLACES = Text("Round trips to demand places", "到需求地点的往返时延")
    PLACES_NOTE = Text("recorded by the operator; the longer of both directions counts", "由运营方登记；双向取较长者")
    PLACES_NOTHING = Text("No round trip is on record; zhisuan place link records one.", "尚无记录；可用 zhisuan place link 登记。")
    PLACE = Text("Place", "地点")
    DIRECTION = Text("Seen from", "测量方向")
    DIRECTIONS: ClassVar[dict[str, Text]] = {"from_place": Text("the place", "地点"), "from_site": Text("the site", "站点")}
    METHOD = Text("Method", "方法")
    METHODS: ClassVar[dict[str, Text]] = {
        "measured": Text("measured", "实测"), "stated": Text("stated", "申报"), "computed": Text("computed", "推算"),
    }  # fmt: skip
    SOURCE = Text("Source", "来源")
    NOT_USED = Text("not used", "未采用")
    NOT_USED_WHY = Text("Light in fibre would be slower, or the site has no coordinates.", "快于光纤中的光，或站点未填坐标。")
