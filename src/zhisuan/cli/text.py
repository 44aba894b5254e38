"""The reader's language, and the words that come back in many places.

``ZHISUAN_LANG`` decides, else ``LC_ALL``, ``LC_MESSAGES``, ``LANG``: Chinese for ``zh…``, English for all else.
"""

import os
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import typer

from zhisuan.base.text import Text

_language: ContextVar[str] = ContextVar("zhisuan_cli_language", default="en")


def language_of(environ: Mapping[str, str]) -> str:
    """``zh`` or ``en`` by the environment."""
    for name in ("ZHISUAN_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if environ.get(name):
            return "zh" if environ[name].lower().startswith("zh") else "en"
    return "en"


def use_language(language: str) -> None:
    _language.set(language)


def language() -> str:
    return _language.get()


def t(en: str, zh: str) -> str:
    """The one of two texts that the reader wants."""
    return zh if language() == "zh" else en


def say(text: Text | None) -> str:
    return text.in_language(language()) if text else ""


_CHINESE: dict[str, str] = {}


class Help(str):
    """A help text: the English one, whose Chinese is kept until a page is shown. The parser copies help texts, so what
    goes along with one must be found by the text itself."""

    __slots__ = ()

    def __new__(cls, en: str, zh: str) -> "Help":
        _CHINESE[en] = zh
        return super().__new__(cls, en)


def opt(*declarations: str, en: str, zh: str, **more: Any) -> Any:
    """An option with help in both languages."""
    return typer.Option(*declarations, help=Help(en, zh), **more)


def arg(en: str, zh: str, **more: Any) -> Any:
    """An argument with help in both languages."""
    return typer.Argument(help=Help(en, zh), **more)


def in_reader_language(help_text: str | None) -> str:
    """A help text for the reader; a plain one, of a command from elsewhere, stays as it is."""
    english = help_text or ""
    return _CHINESE.get(english, english) if language() == "zh" else english


WORDS: dict[str, Text] = {
    "id": Text("ID", "编号"),
    "name": Text("NAME", "名称"),
    "state": Text("STATE", "状态"),
    "reason": Text("REASON", "原因"),
    "note": Text("NOTE", "说明"),
    "mode": Text("MODE", "方式"),
    "target": Text("TARGET", "挂载点"),
    "files": Text("FILES", "文件数"),
    "kind": Text("KIND", "类型"),
    "created": Text("CREATED (UTC+8)", "创建时间（UTC+8）"),
    "at": Text("TIME (UTC+8)", "时间（UTC+8）"),
    "issued": Text("ISSUED (UTC+8)", "开具时间（UTC+8）"),
    "effective": Text("IN FORCE FROM (UTC+8)", "生效时间（UTC+8）"),
    "nominal_tflops": Text("NOMINAL TFLOPS", "标称 TFLOPS"),
    "confidence": Text("FIGURES", "数据可信度"),
    "expires": Text("EXPIRES (UTC+8)", "到期（UTC+8）"),
    "revoked": Text("REVOKED", "已吊销"),
    "rank": Text("#", "序"),
    "site": Text("SITE", "站点"),
    "node": Text("NODE", "节点"),
    "hour": Text("¥/HOUR", "¥/小时"),
    "carbon_hour": Text("gCO2/HOUR", "克CO2/小时"),
    "generation": Text("GEN", "代次"),
    "index": Text("INDEX", "序号"),
    "tries": Text("TRIES", "次数"),
    "exit_status": Text("EXIT STATUS", "退出码"),
    "began": Text("BEGAN (UTC+8)", "开始（UTC+8）"),
    "seconds": Text("SECONDS", "秒"),
    "quantity": Text("度", "度"),
    "left": Text("LEFT 度", "剩余度"),
    "cash": Text("CASH ¥", "现金 ¥"),
    "value": Text("VALUE ¥", "价值 ¥"),
    "amount": Text("¥", "金额 ¥"),
    "fee": Text("FEE ¥", "平台费 ¥"),
    "carbon": Text("gCO2", "克CO2"),
    "tokens": Text("TOKENS", "Token"),
    "purse": Text("PURSE", "支付来源"),
    "cause": Text("CAUSE", "原因"),
    "actor": Text("BY", "操作者"),
    "path": Text("PATH", "路径"),
    "size": Text("BYTES", "字节"),
    "version": Text("VERSION", "版本"),
    "latest": Text("LATEST", "最新版本"),
    "deployed": Text("SERVED", "已部署"),
    "model": Text("MODEL", "模型"),
    "role": Text("ROLE", "角色"),
    "hint": Text("ENDS IN", "尾号"),
    "region": Text("REGION", "地区"),
    "reachable": Text("REACHABLE", "可达"),
    "provider": Text("PROVIDER", "提供方"),
    "device": Text("DEVICE", "设备"),
    "capacity": Text("CAPACITY", "容量"),
    "used": Text("IN USE", "已用"),
    "health": Text("HEALTH", "健康"),
    "nominal": Text("NOMINAL", "标称"),
    "published": Text("PUBLISHED", "公布"),
    "measured": Text("MEASURED", "实测"),
    "product": Text("PRODUCT", "产品"),
    "class": Text("CLASS", "型号编号"),
    "rate": Text("度/HOUR", "度/小时"),
    "number": Text("NO.", "序号"),
    "month": Text("MONTH", "账期"),
    "title": Text("WHAT", "项目"),
    "about": Text("FOR", "用途"),
    "check": Text("CHECK", "检查项"),
    "ok": Text("OK", "结果"),
    "detail": Text("DETAIL", "说明"),
    "party": Text("PARTY", "收款方"),
    "invoice": Text("INVOICE", "账单"),
    "email": Text("E-MAIL", "邮箱"),
    "figure": Text("FIGURE", "数值"),
    "claimed": Text("CLAIMED", "声明"),
    "direction": Text("WAY", "方向"),
    "other_site": Text("OTHER SITE", "对端站点"),
    "round_trip": Text("ROUND TRIP", "往返时延"),
    "best": Text("BEST", "最快"),
    "bound": Text("LIGHT NEEDS", "光速下限"),
    "alternative": Text("ALTERNATIVE", "备选"),
    "carbon_more": Text("gCO2/HOUR MORE", "碳排差额（克CO2/小时）"),
    "constraint": Text("CONSTRAINT", "条件"),
    "green": Text("GREEN", "绿电占比"),
    "hour_more": Text("¥/HOUR MORE", "每小时差价（元）"),
    "latitude": Text("LATITUDE", "纬度"),
    "longitude": Text("LONGITUDE", "经度"),
    "marks": Text("BEST AT", "最优项"),
    "method": Text("METHOD", "方法"),
    "place": Text("PLACE", "地点"),
    "reached": Text("SITES", "站点数"),
    "round_trip_more": Text("ROUND TRIP MORE", "时延差额"),
    "taken_out": Text("TAKEN OUT", "排除"),
    "nodes_left": Text("LEFT", "剩余"),
    "measured_at": Text("MEASURED (UTC+8)", "测量时间（UTC+8）"),
    "found": Text("FOUND", "发现"),
    "share": Text("MEASURED/CLAIMED", "实测/声明"),
    "idle": Text("IDLE", "空闲"),
    "out": Text("OUT OF USE", "不可用"),
    "lease": Text("LEASE", "租约"),
    "metered": Text("METERED", "计量"),
    "engine": Text("ENGINE", "引擎"),
    "difference": Text("DIFFERENCE", "差异"),
    "source": Text("SOURCE", "来源"),
    "of": Text("OF", "资源"),
    "guaranteed": Text("GUARANTEED", "保障"),
    "most": Text("MOST", "上限"),
    "holds": Text("HOLDS", "占用"),
    "borrowed": Text("BORROWED", "借用"),
    "room": Text("LEFT", "剩余"),
    "weight": Text("WEIGHT", "权重"),
    "fair_share": Text("SHARE", "份额"),
}

STATES: dict[str, Text] = {
    "pending": Text("pending", "等待中"),
    "placed": Text("placed", "已放置"),
    "starting": Text("starting", "启动中"),
    "running": Text("running", "运行中"),
    "paused": Text("paused", "已暂停"),
    "succeeded": Text("succeeded", "已成功"),
    "failed": Text("failed", "已失败"),
    "cancelled": Text("cancelled", "已取消"),
    "offered": Text("offered", "已派发"),
    "accepted": Text("accepted", "已接收"),
    "active": Text("active", "运行中"),
    "ending": Text("ending", "结束中"),
    "closed": Text("closed", "已关闭"),
    "invited": Text("invited", "已邀请"),
    "joining": Text("joining", "加入中"),
    "verified": Text("verified", "已核验"),
    "open": Text("open", "开放"),
    "draining": Text("draining", "排空中"),
    "announced": Text("announced", "已通知"),
    "stopping": Text("work is being ended", "正在结束作业"),
    "held": Text("empty", "已清空"),
    "valid": Text("valid", "有效"),
    "used": Text("used", "已使用"),
    "expired": Text("expired", "已过期"),
    "revoked": Text("revoked", "已撤销"),
    "ready": Text("ready", "就绪"),
    "not_ready": Text("not ready", "未就绪"),
    "ended": Text("ended", "已结束"),
    "waiting": Text("waiting", "等待中"),
    "agrees": Text("agrees", "一致"),
    "metered_more": Text("metered more", "计量偏多"),
    "metered_less": Text("metered less", "计量偏少"),
    "other_nodes": Text("other nodes", "节点数不符"),
    "free": Text("free quota", "免费额度"),
    "pack": Text("pack", "算力包"),
    "wallet": Text("wallet", "钱包"),
    "arrears": Text("arrears", "欠费"),
    "cpu": Text("CPU cores", "CPU 核"),
    "memory": Text("memory", "内存"),
    "accelerator": Text("accelerators", "加速卡"),
    "job": Text("job", "作业"),
    "service": Text("service", "服务"),
    "workspace": Text("workspace", "工作空间"),
    "time": Text("compute", "算力时长"),
    "credit": Text("credit", "抵扣"),
    "platform": Text("platform", "平台"),
    "provider": Text("provider", "提供方"),
    "tenant": Text("tenant", "租户"),
    "operator": Text("operator", "运营方"),
    "city": Text("city", "城市"),
}

STATIONS: dict[str, Text] = {
    "supply": Text("Supply", "供给"),
    "catalogue": Text("Catalogue", "目录与报价"),
    "workload": Text("Workload", "工作负载"),
    "placement": Text("Placement", "放置"),
    "lease": Text("Lease", "租约"),
    "execution": Text("Execution", "执行"),
    "usage": Text("Usage", "用量"),
    "charge": Text("Charge", "计费"),
    "invoice": Text("Invoice", "账单"),
    "settlement": Text("Settlement", "结算"),
    "carbon": Text("Carbon", "碳排放"),
}


def word(key: str) -> str:
    """A column or label by its key."""
    return say(WORDS[key])


def state(key: str | None) -> str:
    """A state, purse or kind as the reader calls it; one that is not known here stays as it came."""
    if not key:
        return "–"
    return say(STATES[key]) if key in STATES else key


def yes_no(value: bool) -> str:
    return t("yes", "是") if value else t("no", "否")


def environment_language() -> str:
    return language_of(os.environ)
