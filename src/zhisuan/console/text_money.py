"""Texts of bills, invoices, wallets, prices, and of the operator's and providers' accounts."""

from typing import ClassVar

from zhisuan.base.text import Text


class Money:
    PURSES: ClassVar[dict[str, Text]] = {
        "free": Text("Free quota", "免费额度"),
        "pack": Text("Pack", "算力包"),
        "wallet": Text("Wallet", "钱包"),
        "arrears": Text("Owed", "欠费"),
    }
    MONTH = Text("Month", "账期")
    EARLIER = Text("Earlier month", "上一账期")
    LATER = Text("Later month", "下一账期")
    PERIOD = Text("{start} to {end}", "{start} 至 {end}")
    QUANTITY = Text("度", "度")
    USED = Text("Used", "用量")
    TIME = Text("Compute time", "计算时长")
    CASH = Text("Cash", "现金支出")
    CASH_NOTE = Text("{unbilled} not invoiced yet", "其中 {unbilled} 尚未出账")
    VALUE = Text("Settlement value", "结算价值")
    VALUE_NOTE = Text("what providers are paid from, grants included", "向提供方结算的依据，含额度与算力包")
    TOKENS = Text("Tokens", "Token")
    TOKENS_NOTE = Text("{input} in · {cached} cached · {output} out", "输入 {input} · 缓存 {cached} · 输出 {output}")
    CALLS = Text("{calls} calls", "{calls} 次调用")
    BY_PURSE = Text("What paid for it", "由谁支付")
    BY_PURSE_NOTE = Text("by 度", "按用量（度）")
    BY_WORKLOAD = Text("By workload", "按工作负载")
    BY_WORKLOAD_NOTE = Text("the latest 200", "最近 200 个")
    WORKLOAD = Text("Workload", "工作负载")
    CASH_YUAN = Text("Cash", "现金")
    VALUE_YUAN = Text("Value", "价值")
    SECONDS = Text("Time", "时长")
    CARBON = Text("Carbon", "碳排放")
    NOTHING_USED = Text("Nothing was used in this month", "该账期没有用量")
    NOTHING_USED_TEXT = Text("Launch something from your terminal:", "可在终端启动工作负载：")

    ENERGY_AND_CARBON = Text("Energy and carbon", "能耗与碳排放")
    IT_ENERGY = Text("IT energy", "IT 设备用电")
    FACILITY_ENERGY = Text("Facility energy (× PUE)", "设施用电（× PUE）")
    CARBON_LOCATION = Text("Carbon, location-based", "碳排放（基于位置）")
    CARBON_UNKNOWN = Text("not stated: no factor is published for {regions}", "未给出：{regions} 未公布排放因子")
    BASIS_MODELLED = Text(
        "Modelled from rated power × metered time; no meter was read. Embodied carbon is not included.",
        "按额定功率 × 计量时长估算，未读取电表；不含隐含碳。",
    )
    BASIS = Text("Basis", "数据依据")
    MODELLED = Text("modelled", "模型估算")
    FACTOR = Text("{region} {year}: {kg} kgCO₂/kWh ({source})", "{region} {year} 年：{kg} kgCO₂/kWh（{source}）")
    HOW = Text("How these figures come about", "这些数字如何得出")

    INVOICES = Text("Invoices", "账单")
    INVOICE = Text("Invoice {number}", "账单 {number}")
    NO_INVOICES = Text("No invoice for this month yet.", "该账期尚未出账。")
    ISSUED = Text("Issued", "开具时间")
    TOTAL = Text("Total", "合计")
    TOTAL_EXACT = Text("Exact total", "精确合计")
    ROUNDING = Text("Rounding", "舍入差")
    LINES = Text("Lines", "明细行")
    LINE = Text("Line", "行")
    LINE_KINDS: ClassVar[dict[str, Text]] = {
        "time": Text("Time", "时长"),
        "tokens": Text("Tokens", "Token"),
        "pack": Text("Pack", "算力包"),
        "credit": Text("Credit", "赔付"),
    }
    KIND = Text("Kind", "类型")
    WHAT = Text("What", "项目")
    AMOUNT = Text("Amount", "金额")
    EXACT = Text("exact {amount}", "精确值 {amount}")
    CHARGES = Text("Charges", "计费明细")
    CHARGES_OF = Text("Charges of line {number}: {title}", "第 {number} 行的计费明细：{title}")
    SHOW_CHARGES = Text("Show charges", "查看计费")
    AT = Text("At", "时间")
    RULE = Text("Rule", "计价规则")
    PAID_BY = Text("Paid by", "支付来源")
    MORE = Text("Show more", "显示更多")
    NO_CHARGES = Text("This line has no charges: it is for a pack.", "该行没有计费明细：它对应算力包订单。")
    TRACE = Text("Trace", "追溯")
    TO_BILL = Text("To the bill", "返回账单")

    WALLET = Text("Wallet", "钱包")
    BALANCE = Text("Balance", "余额")
    OWED = Text("Owed", "欠费")
    TOP_UP_HOW = Text(
        "To top up, transfer the amount to the operator and name your organisation id. The operator records what has "
        "arrived; it counts once, and the wallet shows it at once.",
        "充值方式：将款项转账给运营方，并注明组织编号。运营方登记到账后立即计入钱包，每笔凭据只记一次。",
    )
    YOUR_ORG_ID = Text("Your organisation id", "您的组织编号")
    BUY_PACK = Text("Buy a pack", "购买算力包")
    PACK_LINE = Text("{du} 度 · {days} days", "{du} 度 · 有效 {days} 天")
    PACK_LINE_ALWAYS = Text("{du} 度 · does not expire", "{du} 度 · 长期有效")
    PACK_EACH = Text("{price} a 度", "{price}/度")
    BUY = Text("Buy", "购买")
    BUY_TITLE = Text("Buy {name}?", "购买 {name}？")
    BUY_TEXT = Text(
        "{price} is taken from the wallet at once. Balance now: {balance}.", "将立即从钱包扣除 {price}。当前余额：{balance}。"
    )
    BOUGHT = Text("Bought: {du} 度", "购买成功：{du} 度")
    NOT_ENOUGH = Text("The wallet has less than this pack costs.", "钱包余额不足。")
    OWNER_BUYS = Text("An owner of your organisation can buy packs.", "由组织所有者购买算力包。")

    ORGANISATIONS = Text("Organisations", "组织")
    ORG_KIND = Text("Kind", "类型")
    ORG_NAME = Text("Name", "名称")
    CREATED = Text("Created", "创建时间")
    TOP_UP = Text("Record a top-up", "登记充值")
    TOP_UP_TITLE = Text("Top-up of {name}", "为 {name} 登记充值")
    TOP_UP_TEXT = Text(
        "Record only money that has arrived. One reference counts once.", "仅登记已到账的款项，同一凭据号只计一次。"
    )
    AMOUNT_YUAN = Text("Amount in yuan", "金额（元）")
    CHANNEL = Text("Channel", "渠道")
    CHANNELS: ClassVar[dict[str, Text]] = {
        "bank_transfer": Text("Bank transfer", "银行转账"),
        "cash": Text("Cash", "现金"),
        "other_offline": Text("Other, offline", "其他线下方式"),
    }
    REFERENCE = Text("Reference of the payment", "付款凭据号")
    RECORD = Text("Record", "登记")
    RECORDED = Text("Recorded: {amount}", "已登记 {amount}")
    ISSUE = Text("Issue invoices", "开具账单")
    ISSUED_COUNT = Text("{count} invoices issued", "已开具 {count} 张账单")
    ISSUED_NONE = Text("There was nothing to bill", "没有可出账的用量")
    PAYOUT = Text("Record a payout", "登记付款")
    PAYOUT_TITLE = Text("Payout to {name}", "向 {name} 登记付款")
    PAYOUT_TEXT = Text(
        "Record a transfer that was made; never more than is owed.", "登记已完成的转账，不得超过应付金额。"
    )
    ALL_INVOICES = Text("Invoices", "全部账单")
    TENANT = Text("Tenant", "租户")
    SETTLE = Text("Settle", "结算")
    SETTLED = Text("Settled", "已结算")
    SETTLEMENTS = Text("Settlements", "结算")
    NO_SETTLEMENTS = Text("No invoice has been settled yet.", "还没有结算记录。")
    NO_INVOICES_YET = Text("No invoice has been issued yet", "还没有账单")
    NO_INVOICES_YET_TEXT = Text("Issue them for a tenant above, or from your terminal:", "可在上方为租户开具，或在终端运行：")
    SHARES = Text("Shares", "分成")
    SHARE_ROLES: ClassVar[dict[str, Text]] = {"provider": Text("provider", "提供方"), "platform": Text("platform", "平台")}

    EARNED = Text("To be paid", "待付")
    PAID = Text("Paid so far", "累计已付")
    EARNINGS = Text("Earnings by invoice", "收益明细")
    NO_EARNINGS = Text("Nothing earned yet", "还没有收益")
    NO_EARNINGS_TEXT = Text(
        "Earnings appear when an invoice with your machines' seconds on it is settled.",
        "包含您设备用量的账单结算后，收益会显示在这里。",
    )
    FEE = Text("Platform fee", "平台费")
    YOURS = Text("Yours", "归您")
    SETTLEMENT = Text("Settlement", "结算单")

    REGION = Text("Region", "地区")
    ROWS = Text("By lease", "按租约")
    ROWS_NOTE = Text("the latest {count}", "最近 {count} 条")
    POWER = Text("Rated power (W)", "额定功率（W）")
    PUE = Text("PUE", "PUE")
    LEASE = Text("Lease", "租约")
    NOTHING_RAN = Text("Nothing ran in this month", "该账期没有运行记录")
    NOTHING_RAN_TEXT = Text("Choose another month above.", "请选择其他账期。")

    CATALOG = Text("Public prices", "公开价目")
    CATALOG_NOTE = Text("version {version}, in force from {at}", "第 {version} 版，{at} 起生效")
    ON_DEMAND = Text("On demand", "按量")
    SPOT = Text("Spot", "竞价（spot）")
    SPOT_NOTE = Text("makes way for work on demand", "为按需作业让位")
    ON_DEMAND_NOTE = Text("for one 度, billed by the second", "每度单价，按秒计费")
    FREE_QUOTA = Text("Free quota", "免费额度")
    FREE_NOTE = Text("for every new tenant, {days} days", "新租户赠送，有效 {days} 天")
    FREE_NOTE_ALWAYS = Text("for every new tenant", "新租户赠送")
    FEE_NOTE = Text("of what providers are paid for", "从提供方收入中收取")
    DU_IS = Text("1 度 = 312 TFLOPS (FP16/BF16 dense) for one hour", "1 度 = 312 TFLOPS（FP16/BF16 稠密）运行 1 小时")
    PACKS = Text("Packs", "算力包")
    NO_PACKS = Text("No packs are sold in this version.", "当前版本不出售算力包。")
    CLASSES = Text("Device classes", "设备型号")
    CLASSES_NOTE = Text("nominal speed is the data sheet's; bills use the published rate", "标称性能取自厂商资料；计费按公布费率")
    CLASS = Text("Class", "型号")
    VENDOR = Text("Vendor", "厂商")
    MEMORY = Text("Memory", "显存")
    NOMINAL = Text("Nominal FP16 TFLOPS", "标称 FP16 TFLOPS")
    RATE = Text("Published 度 an hour", "公布费率（度/小时）")
    YUAN_HOUR = Text("Yuan an hour", "元/小时")
    NOT_SOLD = Text("not sold yet", "暂未出售")
    UNCONFIRMED = Text("figures not confirmed", "数据未证实")
    SOURCE = Text("Source", "来源")
    CPU_FREE = Text("Cores that serve accelerator work cost nothing.", "为加速卡任务服务的 CPU 核免费。")
    TOKEN_PRICES = Text("Tokens of your own deployments", "自有部署的 token")
    TOKENS_INCLUDED = Text("included in the compute of the deployment", "已包含在部署的计算费用中")
    TOKENS_PRICE = Text(
        "{input} in · {cached} cached · {output} out, 度 per million", "每百万 token：输入 {input} 度 · 缓存 {cached} 度 · 输出 {output} 度"
    )
