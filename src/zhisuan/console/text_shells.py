"""Texts of a shell beside running work."""

from zhisuan.base.text import Text


class Beside:
    TITLE = Text("Terminal", "终端")
    OPEN = Text("Open a terminal", "打开终端")
    ABOUT = Text(
        "A shell in the sandbox of this work, with its user and its limits. It ends with this page, and who opened it is kept in the history.",
        "在该工作负载的沙箱中打开终端，用户与资源限额与其相同；关闭本页即结束，打开记录会保留在历史中。",
    )
    ENDED = Text("the shell has ended ({status})", "终端已结束（{status}）")
    OVER = Text("the work does not run any more", "工作负载已不再运行")
