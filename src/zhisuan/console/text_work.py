"""Texts of the workload pages."""

from typing import ClassVar

from zhisuan.base.text import Text


class Work:
    STATES: ClassVar[dict[str, Text]] = {
        "pending": Text("Waiting", "等待中"),
        "placed": Text("Placed", "已调度"),
        "starting": Text("Starting", "启动中"),
        "running": Text("Running", "运行中"),
        "paused": Text("Paused", "已暂停"),
        "succeeded": Text("Succeeded", "已成功"),
        "failed": Text("Failed", "失败"),
        "cancelled": Text("Cancelled", "已取消"),
    }
    LEASE_STATES: ClassVar[dict[str, Text]] = {
        "offered": Text("Offered", "待接受"),
        "accepted": Text("Accepted", "已接受"),
        "active": Text("Active", "运行中"),
        "ending": Text("Ending", "结束中"),
        "closed": Text("Closed", "已关闭"),
    }
    KINDS: ClassVar[dict[str, Text]] = {"job": Text("Job", "作业"), "service": Text("Service", "服务"), "workspace": Text("Workspace", "工作空间")}
    ALL = Text("All", "全部")
    ALL_KINDS = Text("All kinds", "全部类型")
    FILTER_STATE = Text("By state", "按状态筛选")
    FILTER_KIND = Text("By kind", "按类型筛选")
    LAUNCH = Text("Launch", "启动工作负载")
    NAME = Text("Name", "名称")
    STATE = Text("State", "状态")
    KIND = Text("Kind", "类型")
    RESOURCES = Text("Resources", "资源")
    CREATED = Text("Created", "创建时间")
    RATE = Text("度 an hour", "度/小时")
    STARTED = Text("Started", "开始时间")
    ENDED = Text("Ended", "结束时间")
    ATTEMPTS = Text("Attempts", "尝试次数")
    EXIT_CODE = Text("Exit code", "退出码")
    PRICE = Text("Price beyond grants", "额度外单价")
    PER_DU = Text("{price} a 度", "{price}/度")
    CORES = Text("{cores} cores", "{cores} 核")
    TASKS = Text("{count} tasks", "{count} 个任务")
    LIST_EMPTY = Text("Nothing here", "没有符合条件的工作负载")
    LIST_EMPTY_TEXT = Text("Launch a file from your terminal:", "可在终端启动：")
    LIST_FILTERED_TEXT = Text("No workload matches the filter.", "换一个筛选条件试试。")

    NEW = Text("Launch a workload", "启动工作负载")
    YAML = Text("Workload file (YAML)", "工作负载文件（YAML）")
    YAML_HINT = Text(
        "Files written for SkyPilot run as they are, as far as their fields are about work. A file with a workdir is "
        "launched from the terminal, which uploads it.",
        "为 SkyPilot 编写的文件可直接使用；带 workdir 的文件请在终端启动，以便上传目录。",
    )
    EXAMPLES = Text("Start from", "示例")
    QUOTE = Text("Get a quote", "询价")
    QUOTE_FIRST = Text(
        "Price, carbon and the sites that could take it appear here before anything starts. From your terminal:",
        "询价后，这里会显示价格、碳排放和可承接的站点，确认后才会启动。也可以在终端直接启动：",
    )
    QUOTE_TITLE = Text("Quote", "报价")
    QUOTE_HOUR = Text("An hour costs", "每小时费用")
    QUOTE_MOST = Text("At most (dearest alternative)", "最高（最贵的备选）")
    QUOTE_HOUR_NOTE = Text("beyond your free quota and packs", "额度与算力包用完后")
    QUOTE_CARBON = Text("Carbon an hour", "每小时碳排放")
    QUOTE_CARBON_G = Text("{grams} gCO₂", "{grams} 克 CO₂")
    QUOTE_BOOK = Text("price book {version}", "价目第 {version} 版")
    QUOTE_NOW = Text("Could start now", "现在可启动")
    QUOTE_WAIT = Text("Would wait now", "目前需等待")
    LAUNCH_NOW = Text("Launch", "确认启动")

    TO_LIST = Text("All workloads", "全部工作负载")
    CANCEL = Text("Cancel", "取消运行")
    CANCEL_TITLE = Text("Cancel {name}?", "取消 {name}？")
    CANCEL_TEXT = Text(
        "It is stopped and cannot be continued. What it used until then is on the bill.",
        "取消后将停止运行且无法继续，此前的用量仍会计费。",
    )
    CANCEL_YES = Text("Cancel it", "确认取消")
    KEEP = Text("Keep it running", "继续运行")
    CANCELLED = Text("It is being cancelled", "正在取消")
    REST = Text("Pause it", "暂停运行")
    RESTING = Text("It is being paused; its checkpoint is kept", "正在暂停，检查点会保留")
    GO_ON = Text("Resume", "恢复运行")
    GOING_ON = Text("It waits for a place and goes on from its checkpoint", "正在等待资源，将从检查点继续")
    RESTART = Text("Restart", "重新开始")
    RESTARTING = Text("It begins again from its last checkpoint", "将从最近的检查点重新开始")
    CHECKPOINT = Text("Checkpoint", "检查点")
    CHECKPOINT_TOLD = Text("no. {number}: {files} files, {size}", "第 {number} 个：{files} 个文件，{size}")
    TRACE = Text("Trace", "追溯")
    PROGRESS = Text("Progress", "进度")

    LOG = Text("Log", "日志")
    LOG_EMPTY = Text("No output yet.", "还没有输出。")
    LOG_LIVE = Text("live", "实时")
    LOG_PAUSED = Text("paused", "已暂停")
    LOG_ENDED = Text("complete", "已结束")
    LOG_LOST = Text("reconnecting", "正在重连")
    FOLLOW = Text("Follow", "跟随")
    PAUSE = Text("Pause", "暂停")
    RESUME = Text("Go on", "继续")
    DOWNLOAD = Text("Download", "下载")
    LOG_CUT = Text("[Earlier output is left out here; the download has all of it.]\n", "[较早的输出未显示；下载可获取全部内容。]\n")
    LOG_NOT_YOURS = Text(
        "Output belongs to the tenant and is not shown to the operator.", "输出内容属于租户，不向运营方展示。"
    )

    REASON = Text("Why it ended", "结束原因")
    REASONS: ClassVar[dict[str, Text]] = {
        "completed": Text("the command completed", "命令执行完成"),
        "failed": Text("the command failed", "命令执行失败"),
        "setup_failed": Text("setup failed", "setup 执行失败"),
        "out_of_memory": Text("it went over its memory", "超出内存限制"),
        "timed_out": Text("it went over its time", "超出时长限制"),
        "cancelled": Text("it was cancelled", "被取消"),
        "idle": Text("nobody used it", "长时间空闲"),
        "stop_at": Text("its time to stop had come", "到达设定的停止时间"),
        "deadline": Text("it could not end by its deadline any more", "已无法在截止时间前完成"),
        "orphaned": Text("the site lost its agent", "站点代理长时间失联"),
        "lost": Text("the site lost it", "站点丢失了该作业"),
        "start_failed": Text("the site could not start it", "站点未能启动"),
    }
    CAUSES: ClassVar[dict[str, Text]] = {
        "launched": Text("launched", "提交启动"),
        "placement": Text("a place was found", "找到可用节点"),
        "accepted by the site": Text("accepted by the site", "站点已接受"),
        "first instruction ran": Text("first instruction ran", "首条指令开始执行"),
        "asked for": Text("asked for", "应要求"),
        "stopped by the platform": Text("stopped by the platform", "由平台停止"),
        "nothing left to pay with": Text("nothing left to pay with", "余额与额度已用完"),
        "resumed": Text("resumed", "恢复运行"),
        "restarted": Text("restarted", "重新开始"),
        "pause asked for": Text("pause asked for", "应要求暂停"),
        "restart asked for": Text("restart asked for", "应要求重新开始"),
        "preempted: work on demand needs its devices": Text("work on demand needs its devices", "按需作业需要该设备"),
        "room is made for it": Text("spot work makes way for it", "可中断作业正在让位"),
        "shell opened": Text("a shell was opened", "打开了终端"),
        "deployment stopped": Text("the deployment was stopped", "部署已停止"),
    }
    STOPPING = Text("its site is told to stop it: {cause}", "已通知站点停止：{cause}")
    TRIED_AGAIN = Text("{reason}; it is tried again", "{reason}，将重新尝试")
    TIMELINE = Text("Timeline", "状态时间线")
    PLACEMENT = Text("Placement", "调度决策")
    PLACEMENT_NONE = Text("It has not been placed yet.", "尚未调度。")
    COMPARED = Text("What was compared", "比较了哪些节点")
    RANK = Text("#", "排名")
    SITE = Text("Site", "站点")
    YUAN_HOUR = Text("Yuan an hour", "元/小时")
    CARBON_HOUR = Text("gCO₂ an hour", "gCO₂/小时")
    PACKING = Text("Left over", "剩余")
    CHOSEN = Text("chosen", "选中")
    REJECTED = Text("What was left out", "排除的节点")
    REJECTED_LINE = Text("{count} nodes: {text}", "{count} 个节点：{text}")
    WHY_WAITS = Text("Why it waits", "等待原因")
    UNBLOCK = Text("What would help: {text}", "可行的办法：{text}")
    MORE_CANDIDATES = Text("and {count} more that fit", "另有 {count} 个可承接节点")

    LEASES = Text("Leases", "租约")
    NO_LEASES = Text("No lease yet.", "还没有租约。")
    LEASE = Text("Lease", "租约")
    GENERATION = Text("Generation", "代次")
    ACTIVE_FROM = Text("Active from", "开始计时")
    SECONDS = Text("Seconds", "秒数")
    READY = Text("ready", "就绪")
    NOT_READY = Text("not ready", "未就绪")
    FAULT = Text("not charged: fault of the {who}", "不计费：{who}故障")
    FAULTS: ClassVar[dict[str, Text]] = {"provider": Text("site", "站点"), "platform": Text("platform", "平台"), "tenant": Text("tenant", "租户")}

    COST = Text("Cost so far", "当前费用")
    COST_QUANTITY = Text("Charged", "已计费")
    COST_VALUE = Text("Settlement value", "结算价值")
    COST_CASH = Text("Cash", "现金支出")
    COST_PURSES = Text("Paid by", "支付来源")
    COST_NONE = Text("Nothing has been charged yet. Charges follow about a minute after the seconds they are for.", "尚无计费。计费约在用量产生一分钟后生成。")
    COST_PART = Text("The first {count} charges; the bill has all.", "仅含前 {count} 笔计费，完整数据见账单。")
    COST_LOW = Text("Amounts are exact; an invoice is rounded once, to the fen.", "金额为精确值，账单仅在开具时按分舍入一次。")

    ARTEFACTS = Text("Artefacts", "产物")
    NO_ARTEFACTS = Text("It left nothing. Files in $ZHISUAN_ARTIFACTS are kept.", "没有产物。写入 $ZHISUAN_ARTIFACTS 的文件会被保存。")
    PATH = Text("Path", "路径")
    SIZE = Text("Size", "大小")
    SHA256 = Text("SHA-256", "SHA-256")
    REGISTER = Text("Register as a model", "登记为模型")
    REGISTER_TEXT = Text(
        "The files under this path become the next version of the model.", "该路径下的文件将成为模型的下一个版本。"
    )
    MODEL_NAME = Text("Model name", "模型名称")
    MODEL_PATH = Text("Folder among the artefacts", "产物中的目录")
    EVALUATION_PATH = Text("Evaluation file (may be left empty)", "评测文件（可留空）")
    FILE = Text("Workload file", "工作负载文件")
