"""Texts of the distances between sites."""

from typing import ClassVar

from zhisuan.base.text import Text


class Links:
    TITLE = Text("Round trips to other sites", "与其他站点的往返时延")
    NOTE = Text("TCP handshakes, measured by the sites' agents every quarter of an hour", "由各站点代理每一刻钟以 TCP 握手测量")
    OWN = Text("Others measure their distance to: {address}", "其他站点测量的地址：{address}")
    NO_ADDRESS = Text("none; set one with zhisuan site set --echo-address", "未设置；可用 zhisuan site set --echo-address 设置")
    NOTHING = Text("Nothing has been measured yet.", "尚无测量结果。")
    SITE = Text("Other site", "对端站点")
    WAY = Text("Way", "方向")
    WAYS: ClassVar[dict[str, Text]] = {"to": Text("to", "去往"), "from": Text("from", "来自")}
    MEDIAN = Text("Median", "中位数")
    BEST = Text("Best", "最快")
    BOUND = Text("Light needs", "光速下限")
    AT = Text("Measured (UTC+8)", "测量时间（UTC+8）")
    REFUSED = Text("faster than light", "快于光速")
    REFUSED_WHY = Text("A place or an address is wrong.", "位置或地址有误。")
    SILENT = Text("no answer: {why}", "无应答：{why}")
