"""Texts of the overview: what each kind of reader sees first."""

from typing import ClassVar

from zhisuan.base.text import Text


class Overview:
    RUNNING = Text("Running", "运行中")
    RUNNING_NOTE = Text("{waiting} waiting", "{waiting} 个等待中")
    SPENDABLE = Text("Can be spent", "可用算力")
    SPENDABLE_NOTE = Text("quota, packs and wallet at {price} a 度", "额度、算力包与钱包合计，按 {price}/度")
    USED_MONTH = Text("Used this month", "本月用量")
    CASH_MONTH = Text("Cash this month", "本月现金支出")
    VALUE_NOTE = Text("settlement value {value}", "结算价值 {value}")
    CARBON_MONTH = Text("Carbon this month", "本月碳排放")
    CARBON_NOTE = Text("modelled from rated power", "按额定功率估算")
    CARBON_UNKNOWN = Text("no published factor for a region", "有地区未公布排放因子")
    RECENT = Text("Recent work", "最近的工作负载")
    ALL = Text("Show all", "查看全部")
    PURSES = Text("What you can spend", "可用余额")
    WALLET = Text("Wallet", "钱包")
    ARREARS = Text("Owed", "欠费")
    ARREARS_TEXT = Text(
        "{amount} is owed. New work waits until the wallet is topped up.", "欠费 {amount}，充值后才能启动新的工作负载。"
    )
    GRANT_FREE = Text("Free quota", "免费额度")
    GRANT_PACK = Text("Pack {product}", "算力包 {product}")
    GRANT_LEFT = Text("{left} of {whole} 度 left", "剩余 {left} / {whole} 度")
    GRANT_UNTIL = Text("until {at}", "{at} 到期")
    GRANT_NO_END = Text("does not expire", "长期有效")
    DAILY = Text("度 by day", "每日用量")
    DAILY_NOTE = Text("last 14 days", "近 14 天")
    NEXT = Text("What to do next", "下一步")
    NEXT_LAUNCH = Text("Launch your first job", "启动第一个作业")
    NEXT_LAUNCH_TEXT = Text(
        "Paste a YAML file, see price and carbon before you confirm.", "粘贴 YAML，确认前先看价格与碳排放。"
    )
    NEXT_DEPLOY = Text("Serve a model", "部署模型")
    NEXT_DEPLOY_TEXT = Text(
        "Register what a finished job left and serve it at an OpenAI-compatible address.",
        "把已完成作业的产物登记为模型，并以 OpenAI 兼容接口对外服务。",
    )
    NEXT_TOP_UP = Text("Add credit", "补充余额")
    NEXT_TOP_UP_TEXT = Text(
        "Less than half of your grants is left. Packs cost less than on demand.", "额度已用过半，算力包比按量更便宜。"
    )
    NEXT_BILL = Text("Look at the bill", "查看账单")
    NEXT_BILL_TEXT = Text(
        "Every charge leads back to the seconds it is for.", "每一笔计费都能追溯到对应的秒数。"
    )
    NO_WORK = Text("No work yet", "还没有工作负载")
    NO_WORK_TEXT = Text("Launch a file from the console or from your terminal:", "可在控制台启动，或在终端运行：")
    NO_USE = Text("Nothing was used in the last 14 days.", "近 14 天没有用量。")

    SITES_REACHABLE = Text("Sites reachable", "可达站点")
    SITES_NOTE = Text("of {total} in all", "共 {total} 个")
    WAITING = Text("Waiting work", "排队任务")
    RUNNING_ALL = Text("{running} running", "{running} 个运行中")
    DELIVERY = Text("Order to running", "下单到运行")
    DELIVERY_NOTE = Text("median of the last day", "近一天中位数")
    NO_DELIVERY = Text("nothing started in the last day", "近一天没有启动")
    INCOME = Text("Settlement value this month", "本月结算价值")
    INCOME_NOTE = Text("{du} 度 sold", "售出 {du} 度")
    UTILISATION = Text("Utilisation", "利用率")
    UTILISATION_NOTE = Text("leased of what open sites offer", "开放站点中已租用的比例")
    UTILISATION_LINE = Text("{used} of {whole} {unit}", "{used} / {whole} {unit}")
    NO_DEVICES = Text("No open site offers devices yet", "还没有开放站点提供设备")
    NO_DEVICES_TEXT = Text(
        "Sites join, you verify what they measured, then they take work.", "站点加入后，由您核验实测结果，即可接收任务。"
    )
    KIND: ClassVar[dict[str, Text]] = {
        "cpu": Text("CPU cores", "CPU 核"),
        "memory": Text("Memory", "内存"),
        "accelerator": Text("Accelerator cards", "加速卡"),
    }
    UNIT: ClassVar[dict[str, Text]] = {"cpu": Text("cores", "核"), "memory": Text("", ""), "accelerator": Text("cards", "卡")}
    ORGANISATIONS = Text("Organisations", "组织")
    CHECKS = Text("The books", "账务核对")
    CHECKS_OK = Text("all checks hold", "全部通过")
    CHECKS_BAD = Text("{count} failing", "{count} 项未通过")
    CHECK_OK = Text("holds", "通过")
    CHECK_BAD = Text("fails", "未通过")
    QUARANTINED = Text("{count} usage messages are set aside for a look", "{count} 条用量消息被隔离，待人工处理")
    NO_QUARANTINE = Text("No usage message is set aside", "没有被隔离的用量消息")
    SWEPT = Text(
        "{count} stored files that nothing named any more were cleared away in {days} days ({size})",
        "近 {days} 天清理了 {count} 个无人引用的存储文件（{size}）",
    )
    WORK_STATES = Text("Work by state", "工作负载状态")

    PAYABLE = Text("To be paid to you", "待结算收益")
    PAYABLE_NOTE = Text("invoiced use, less the platform's fee", "已出账用量，扣除平台费")
    IN_USE = Text("In use now", "当前使用率")
    DEVICES = Text("Devices", "设备")
    DEVICES_CARDS = Text("{cards} cards", "{cards} 张卡")
    DEVICES_CORES = Text("{cores} cores", "{cores} 核")
    EARN_NEXT = Text("Bring a site in", "接入一个站点")
    EARN_NEXT_TEXT = Text(
        "Register it here, then run one command on the machine. You keep your own rules.",
        "在此登记，再到机器上运行一条命令即可，使用规则由您决定。",
    )
    SOLD_MONTH = Text("Used of yours this month", "本月被使用")

    MEASURED_TOTAL = Text("Measured compute", "实测总算力")
    MEASURED_NOTE = Text("best measured speed of each device", "各设备最佳实测值之和")
    PROVIDERS = Text("Providers", "提供方")
    TENANTS = Text("Tenants", "租户")
    ENERGY_MONTH = Text("Energy this month", "本月用电")
    CITY_NOTE = Text(
        "Energy and carbon are modelled from rated power, location-based; nothing was read from a meter.",
        "用电与碳排放按额定功率估算，采用基于位置的方法，未读取电表。",
    )
