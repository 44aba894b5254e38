"""Texts of the workspace pages."""

from typing import ClassVar

from zhisuan.base.text import Text


class Space:
    STATES: ClassVar[dict[str, Text]] = {
        "waiting": Text("Waiting for a site", "等待站点"),
        "starting": Text("Starting", "启动中"),
        "ready": Text("Ready", "就绪"),
        "ended": Text("Ended", "已结束"),
    }
    SESSIONS: ClassVar[dict[str, Text]] = {
        "jupyter": Text("JupyterLab", "JupyterLab 笔记本"),
        "shell": Text("Shell", "终端"),
    }
    LIST = Text("Your workspaces", "我的工作空间")
    EMPTY = Text("No workspaces yet", "还没有工作空间")
    EMPTY_TEXT = Text("Start one at the right, or from your terminal:", "可在右侧新建，或在终端执行：")
    START = Text("Start a workspace", "新建工作空间")
    NAME = Text("Name", "名称")
    SESSION = Text("Session", "会话类型")
    CPUS = Text("CPU cores", "CPU 核数")
    MEMORY = Text("Memory (GiB)", "内存（GiB）")
    GPU = Text("Accelerators", "加速卡")
    GPU_HINT = Text("Such as A100:1; empty for none. The price list names the classes.", "例如 A100:1，不需要则留空；型号见价目。")
    MAX = Text("End it after", "最长运行")
    MAX_HINT = Text("Such as 8h, so that a forgotten one does not go on.", "例如 8h，以免忘记停止而持续计费。")
    PRICE_FIRST = Text("See the price", "查看价格")
    START_NOW = Text("Start now", "立即启动")
    PRICE_NOTE = Text("an hour, by the second, until it is stopped", "每小时，按秒计费，直至停止")
    NO_PLACE = Text("No site has room now; it would wait.", "暂无站点有空余资源，启动后将排队等待。")
    OPEN = Text("Open JupyterLab", "打开 JupyterLab")
    STOP = Text("Stop", "停止")
    STOP_TITLE = Text("Stop {name}?", "停止 {name}？")
    STOP_TEXT = Text(
        "Its processes end and so does its cost. Files outside $ZHISUAN_ARTIFACTS are lost.",
        "其中的程序将结束，同时停止计费。$ZHISUAN_ARTIFACTS 之外的文件会丢失。",
    )
    KEEP = Text("Keep it", "暂不停止")
    STOPPED = Text("It is being stopped.", "正在停止。")
    HOUR = Text("Price an hour", "每小时价格")
    COST = Text("Charged so far", "已计费")
    CASH = Text("Of it from the wallet", "其中钱包支付")
    TIME = Text("Running time", "运行时长")
    SITE = Text("Site", "站点")
    TERMINAL = Text("Terminal", "终端")
    TERMINAL_WAITS = Text("The terminal appears once the workspace is ready.", "工作空间就绪后显示终端。")
    TERMINAL_ENDED = Text("The workspace has ended.", "工作空间已结束。")
    CONNECTED = Text("connected", "已连接")
    LOST = Text("connection lost; trying again", "连接已断开，正在重连")
    SHELL_ENDED = Text("The shell has ended ({status}). Reload the page for a new one.", "shell 已结束（{status}），刷新页面可新建。")
    TO_LIST = Text("Workspaces", "工作空间")
    DETAILS = Text("Output, placement and leases", "输出、放置与租约")
    FROM_TERMINAL = Text("From your own terminal", "从本机终端进入")
