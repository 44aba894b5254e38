"""Texts about the engines' own accounts of leases."""

from typing import ClassVar

from zhisuan.base.text import Text


class Accounts:
    TITLE = Text("The engine's own account", "引擎自身的记录")
    COUNTS: ClassVar[dict[str, Text]] = {
        "agrees": Text("Agree with what was metered", "与计量一致"),
        "metered_more": Text("Metered more than the engine counted", "计量多于引擎记录"),
        "metered_less": Text("Metered less than the engine counted", "计量少于引擎记录"),
        "other_nodes": Text("Another number of nodes", "节点数不符"),
        "waiting": Text("Not compared yet", "尚未核对"),
        "none": Text("No account from the engine", "引擎无记录"),
    }
    RULE = Text(
        "Closed leases. They agree within {seconds} s and {share} % of the engine's time; nothing is corrected by itself.",
        "统计已关闭的租约。差异在 {seconds} 秒加引擎时长的 {share}% 以内视为一致；平台不会自动更正。",
    )
