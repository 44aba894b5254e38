"""Texts of a site's terms, evidence and access."""

from typing import ClassVar

from zhisuan.base.text import Text


class Terms:
    OFFER = Text("Offer", "开放情况")
    OFFERED = Text("offered now", "当前开放")
    NOT_OFFERED = Text("not offered now", "当前未开放")
    NEXT_OPEN = Text("Next", "下次开放")
    UNTIL = Text("Until", "开放至")
    WINDOWS = Text("Weekly hours", "每周时段")
    WINDOWS_HINT = Text(
        "One a line, such as mon-fri 22:00-08:00; none: always offered.", "每行一个，例如 mon-fri 22:00-08:00；留空表示全天开放。"
    )
    WINDOW_WRONG = Text("Write each line like mon-fri 22:00-08:00.", "每行请写成 mon-fri 22:00-08:00 的形式。")
    ZONE = Text("Time zone", "时区")
    ALWAYS = Text("always", "全天开放")
    EVERY_DAY = Text("every day", "每天")
    SPAN = Text("{first} to {last}", "{first}至{last}")
    DAYS: ClassVar[dict[str, Text]] = {
        "mon": Text("Mon", "周一"),
        "tue": Text("Tue", "周二"),
        "wed": Text("Wed", "周三"),
        "thu": Text("Thu", "周四"),
        "fri": Text("Fri", "周五"),
        "sat": Text("Sat", "周六"),
        "sun": Text("Sun", "周日"),
    }
    SET_WINDOWS = Text("Set hours", "设置时段")
    SAVE = Text("Save", "保存")
    TAKE_BACK = Text("Take back", "收回设备")
    TAKE_BACK_TEXT = Text(
        "Nothing new is placed from now on. The work there is told to end, has the notice to save what it did, and goes on "
        "elsewhere.",
        "即刻起不再派发新任务。正在运行的作业会收到通知，在通知期内保存进度，然后在其他站点继续。",
    )
    NOTICE = Text("Notice", "通知期")
    NOTICES: ClassVar[tuple[tuple[int, Text], ...]] = (
        (60, Text("1 minute", "1 分钟")),
        (600, Text("10 minutes", "10 分钟")),
        (1800, Text("30 minutes", "30 分钟")),
        (7200, Text("2 hours", "2 小时")),
    )
    REASON = Text("Reason, for the record", "原因（留档）")
    OFFER_AGAIN = Text("Offer again", "恢复开放")
    RECALL_STATES: ClassVar[dict[str, Text]] = {
        "announced": Text("The devices will be taken back", "设备即将收回"),
        "stopping": Text("The work there is being ended", "正在结束站点上的作业"),
        "held": Text("The site is empty: you have the devices", "站点已清空，设备已交还"),
    }
    TOLD_AT = Text("The work is told at {at}", "通知作业：{at}")
    BACK_AT = Text("Empty by {at}", "清空时间：{at}")
    AGAIN_AT = Text("Offered again at {at}", "恢复开放：{at}")
    PLACE = Text("Place", "位置")
    CITY = Text("City", "城市")
    TARIFF = Text("Electricity, yuan a kWh", "电价（元/千瓦时）")
    ELECTRICITY = Text("Electricity", "电价")
    SET_CONDITIONS = Text("Set PUE, tariff and green share", "设置 PUE、电价与绿电占比")
    CONDITIONS_TEXT = Text(
        "They hold from now on; leases keep those they were placed under.", "即时生效；已有租约沿用放置时的数值。"
    )
    NUMBER_WRONG = Text("Write numbers like 1.25 and 0.45.", "请填写 1.25、0.45 这样的数字。")
    ROUND_TRIP = Text("Round trip", "往返时延")
    CLOCK = Text("Clock off by", "时钟偏差")
    USE = Text("Use by class", "按型号统计使用")
    CLASS = Text("Class", "型号")
    IDLE = Text("Idle", "空闲")
    OUT = Text("Out of use", "不可用")
    EVIDENCE = Text("Evidence", "核验依据")
    EVIDENCE_NOTE = Text("TFLOPS of one device, FP16/BF16 dense", "单设备 TFLOPS，FP16/BF16 稠密")
    CLAIMED = Text("Claimed", "声明数")
    FOUND = Text("Found", "发现数")
    NOMINAL = Text("Nominal", "标称")
    PUBLISHED = Text("Published", "公布")
    MEASURED = Text("Measured", "实测")
    SHARE = Text("{share} of the claim", "为声明值的 {share}")
    FLAGS = Text("What to look at", "需关注")
    VERIFIED_AT = Text("Verified at {at}: {note}", "核验于 {at}：{note}")
    PRICED = Text("sold at {share} of the rate", "按费率的 {share} 出售")
    PRICE_MEASURED = Text("Price by measurement", "按实测定价")
    PRICE_PUBLISHED = Text("Price as published", "恢复公布费率")
    PRICE_TEXT = Text(
        "New leases on this class of this site are sold so; those that run keep their rate.",
        "对该站点该型号的新租约生效，已有租约费率不变。",
    )
    ACCEPT_TEXT = Text("Verifying accepts what follows; it is kept with the evidence.", "核验即表示接受以下问题，并会随依据留档。")
    EARNINGS = Text("Earnings of this site", "本站点收益")
    SETTLED = Text("Settled so far", "已结算收益")
    UNSETTLED = Text("To be settled (value of use)", "待结算（用量价值）")
    ACCESS = Text("Access", "接入凭证")
    CREDENTIAL_SINCE = Text("Credential since", "当前凭证启用于")
    REVOKED_AT = Text("Agent shut out", "拒绝接入于")
    TOKEN = Text("Join token", "加入令牌")
    TOKENS = Text("Join tokens", "加入令牌")
    NO_TOKENS = Text("No join tokens yet", "还没有加入令牌")
    EXPIRES = Text("Expires (UTC+8)", "到期（UTC+8）")
    TOKEN_STATES: ClassVar[dict[str, Text]] = {
        "valid": Text("Valid", "有效"),
        "used": Text("Used", "已使用"),
        "expired": Text("Expired", "已过期"),
        "revoked": Text("Revoked", "已撤销"),
    }
    REVOKE_TOKEN = Text("Revoke", "撤销")
    REVOKE = Text("Shut the agent out", "拒绝代理接入")
    REVOKE_TEXT = Text(
        "The agent's credential is void at once. What it runs goes on and is lost to the platform unless an agent joins again "
        "with a new token in time.",
        "代理凭证立即失效。其正在运行的作业会继续，但若没有代理及时用新令牌重新加入，平台将视其为丢失。",
    )
