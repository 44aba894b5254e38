"""Texts of the site pages."""

from typing import ClassVar

from zhisuan.base.text import Text


class Supply:
    STATES: ClassVar[dict[str, Text]] = {
        "invited": Text("Invited", "待加入"),
        "joining": Text("Joining", "待核验"),
        "verified": Text("Verified", "已核验"),
        "open": Text("Open", "开放"),
        "draining": Text("Draining", "排空中"),
        "closed": Text("Closed", "已关闭"),
    }
    REACHABLE = Text("reachable", "可达")
    UNREACHABLE = Text("not heard from", "失联")
    NEVER_HEARD = Text("never joined", "尚未加入")
    SITE = Text("Site", "站点")
    PROVIDER = Text("Provider", "提供方")
    STATE = Text("State", "状态")
    HEARD = Text("Reach", "连接")
    REGION = Text("Region", "地区")
    DEVICES = Text("Devices", "设备")
    RUNNING = Text("Leases", "租约")
    ISOLATION = Text("Isolation", "隔离")
    ISOLATIONS: ClassVar[dict[str, Text]] = {
        "sandbox": Text("Isolated (sandbox, own user)", "已隔离（沙箱 + 独立用户）"),
        "user_sandbox": Text("Isolated (user sandbox)", "已隔离（用户沙箱）"),
        "none": Text("Not isolated", "未隔离"),
    }
    WORKSPACES: ClassVar[dict[bool | None, Text]] = {
        True: Text("Workspaces: JupyterLab and shells", "工作空间：JupyterLab 与终端"),
        False: Text("Workspaces: shells; work finds no JupyterLab there", "工作空间：终端；作业环境中没有 JupyterLab"),
        None: Text("Workspaces: shells; whether JupyterLab is there is not known", "工作空间：终端；尚不清楚是否有 JupyterLab"),
    }
    UNISOLATED_ALLOWED = Text(
        "The site's operator allows work to run without isolation.", "站点运营者已允许在无隔离的情况下运行作业。"
    )
    UNISOLATED_REFUSED = Text(
        "Tenants' work is refused until the problems below are mended.", "在以下问题解决之前，站点不接收租户作业。"
    )
    EMPTY = Text("No sites yet", "还没有站点")
    EMPTY_PROVIDER = Text("Register a site, then run one command on its machine.", "登记站点后，在机器上运行一条命令即可加入。")
    EMPTY_OPERATOR = Text("Providers bring sites in; you verify what they measured.", "由提供方接入站点，您核验其实测结果。")
    NEW = Text("Register a site", "登记站点")
    NAME = Text("Name", "名称")
    PUE = Text("PUE", "PUE")
    PUE_HINT = Text("Facility energy over IT energy, such as 1.42", "设施用电 ÷ IT 设备用电，例如 1.42")
    PUE_WRONG = Text("PUE is a number from 1.000 to 3.000", "PUE 须为 1.000 到 3.000 之间的数")
    CREATE = Text("Register", "登记")
    JOIN_TITLE = Text("Join the machine", "让机器加入")
    JOIN_TEXT = Text(
        "Run this on the machine. The token is shown only now, works once and ends at {at}.",
        "在该机器上运行以下命令。令牌仅此一次显示，只能使用一次，{at} 失效。",
    )
    NEW_TOKEN = Text("New join token", "重新获取令牌")
    ALL = Text("All sites", "全部站点")
    JOINED = Text("Joined", "加入时间")
    LAST_SEEN = Text("Last heard", "最近通信")
    LEASES_RUNNING = Text("Leases now", "当前租约")
    ENGINE = Text("Engine", "执行引擎")
    PROBLEMS = Text("What keeps it from more", "待解决的问题")
    NO_PROBLEMS = Text("The engine reports no problems.", "执行引擎未报告问题。")
    NODES = Text("Nodes and devices", "节点与设备")
    NO_NODES = Text("No machine has joined yet", "还没有机器加入")
    NO_NODES_TEXT = Text("Get a join token and run the command it comes with.", "获取加入令牌并运行对应命令。")
    NODE_GONE = Text("not in the last report", "未出现在最近一次上报中")
    DEVICE = Text("Device", "设备")
    KINDS: ClassVar[dict[str, Text]] = {
        "cpu": Text("CPU", "CPU"),
        "memory": Text("Memory", "内存"),
        "accelerator": Text("Accelerator", "加速卡"),
    }
    CAPACITY = Text("In use", "已用/容量")
    USE = Text("{used} of {whole}", "{used} / {whole}")
    HEALTH = Text("Health", "健康")
    HEALTHS: ClassVar[dict[str, Text]] = {
        "ok": Text("ok", "正常"),
        "degraded": Text("degraded", "降级"),
        "failed": Text("failed", "故障"),
        "unknown": Text("unknown", "未知"),
        "occupied": Text("in use by others", "被外部占用"),
    }
    NOMINAL = Text("Nominal TFLOPS", "标称 TFLOPS")
    NOMINAL_NOTE = Text("FP16, data sheet", "FP16，厂商资料")
    PUBLISHED = Text("Published 度/hour", "公布 度/小时")
    PUBLISHED_NOTE = Text("what bills use", "计费依据")
    MEASURED = Text("Measured", "实测性能")
    THREE = Text(
        "Nominal, published and measured speed are three figures and never one: the data sheet, what bills use, and what the probe found.",
        "标称、公布与实测是三个独立的数字：分别来自厂商资料、计费依据与站点实测，互不替代。",
    )
    UNKNOWN = Text("not known", "未知")
    NOT_MEASURED = Text("not measured", "未测")
    NO_RATE = Text("no rate", "无费率")
    VERIFY = Text("Verify and open", "核验并开放")
    VERIFY_TEXT = Text(
        "You have compared what was measured with the data sheet. The site takes work from now on.",
        "确认已将实测结果与厂商资料比对。核验后站点开始接收任务。",
    )
    OPEN = Text("Open", "开放")
    OPEN_TEXT = Text("The site takes work again.", "站点重新接收任务。")
    DRAIN = Text("Drain", "排空")
    DRAIN_TEXT = Text("The site gets no new work; what runs there goes on.", "站点不再接收新任务，正在运行的任务继续。")
    CLOSE = Text("Close", "关闭")
    CLOSE_TEXT = Text(
        "The site ends for good; its agent's credential is void from then on.", "站点将永久关闭，其代理凭证立即失效。"
    )
    SURE = Text("{action}: {name}?", "{action}：{name}？")
    DONE = Text("Done", "已完成")
    BACK = Text("Not now", "暂不")
    ARCHITECTURE = Text("{os}, {architecture}", "{os}，{architecture}")

    # Provinces by ISO 3166-2:CN code: https://www.iso.org/obp/ui/#iso:code:3166:CN. Those whose grid factor is published.
    REGIONS: ClassVar[dict[str, Text]] = {
        "CN-AH": Text("Anhui", "安徽"),
        "CN-BJ": Text("Beijing", "北京"),
        "CN-CQ": Text("Chongqing", "重庆"),
        "CN-FJ": Text("Fujian", "福建"),
        "CN-GD": Text("Guangdong", "广东"),
        "CN-GS": Text("Gansu", "甘肃"),
        "CN-GX": Text("Guangxi", "广西"),
        "CN-GZ": Text("Guizhou", "贵州"),
        "CN-HA": Text("Henan", "河南"),
        "CN-HB": Text("Hubei", "湖北"),
        "CN-HE": Text("Hebei", "河北"),
        "CN-HI": Text("Hainan", "海南"),
        "CN-HL": Text("Heilongjiang", "黑龙江"),
        "CN-HN": Text("Hunan", "湖南"),
        "CN-JL": Text("Jilin", "吉林"),
        "CN-JS": Text("Jiangsu", "江苏"),
        "CN-JX": Text("Jiangxi", "江西"),
        "CN-LN": Text("Liaoning", "辽宁"),
        "CN-NM": Text("Inner Mongolia", "内蒙古"),
        "CN-NX": Text("Ningxia", "宁夏"),
        "CN-QH": Text("Qinghai", "青海"),
        "CN-SC": Text("Sichuan", "四川"),
        "CN-SD": Text("Shandong", "山东"),
        "CN-SH": Text("Shanghai", "上海"),
        "CN-SN": Text("Shaanxi", "陕西"),
        "CN-SX": Text("Shanxi", "山西"),
        "CN-TJ": Text("Tianjin", "天津"),
        "CN-XJ": Text("Xinjiang", "新疆"),
        "CN-YN": Text("Yunnan", "云南"),
        "CN-ZJ": Text("Zhejiang", "浙江"),
    }
