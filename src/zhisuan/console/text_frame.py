"""Texts of the frame around every page, of signing in, and of what can go wrong anywhere."""

from typing import ClassVar

from zhisuan.base.text import Text


class Frame:
    PRODUCT = Text("zhisuan", "智算")
    TAGLINE = Text("One network, one board, one account", "一张网 · 一盘棋 · 一本账")
    PITCH = Text(
        "The open platform for a city's AI compute: every machine measured, every placement explained, every second on one bill.",
        "城市智算的开放平台：每台设备都实测，每次调度可解释，每一秒都算得清。",
    )
    SKIP = Text("Skip to content", "跳到正文")
    MENU = Text("Menu", "菜单")
    MAIN_MENU = Text("Main menu", "主菜单")
    OTHER_LANGUAGE = Text("中文", "English")
    SWITCH_LANGUAGE = Text("Switch to Chinese", "切换到英文")
    SIGN_OUT = Text("Sign out", "退出登录")
    TRACE_ANY = Text("Trace any id", "输入任意编号追溯")
    COPY = Text("Copy", "复制")
    COPY_ID = Text("Copy id {id}", "复制编号 {id}")
    COPY_COMMAND = Text("Copy the command", "复制命令")
    CHART_DAILY = Text("度 used by day", "每日用量（度）")

    OVERVIEW = Text("Overview", "概览")
    WORKLOADS = Text("Workloads", "工作负载")
    WORKSPACES = Text("Workspaces", "工作空间")
    MODELS = Text("Models", "模型")
    BILL = Text("Bill", "账单")
    ACCOUNTS = Text("Accounts", "账务")
    EARNINGS = Text("Earnings", "收益")
    CARBON = Text("Carbon", "碳排放")
    SITES = Text("Sites", "站点")
    CATALOG = Text("Prices", "价目")

    ROLES: ClassVar[dict[str, Text]] = {
        "operator": Text("Operator", "运营方"),
        "provider": Text("Provider", "提供方"),
        "tenant_owner": Text("Owner", "所有者"),
        "tenant_member": Text("Member", "成员"),
        "city_viewer": Text("City viewer", "城市观察员"),
    }
    KINDS: ClassVar[dict[str, Text]] = {
        "operator": Text("Operator", "运营方"),
        "provider": Text("Provider", "算力提供方"),
        "tenant": Text("Tenant", "租户"),
        "city": Text("City", "城市主管部门"),
    }

    SIGN_IN = Text("Sign in", "登录")
    SIGN_UP = Text("Create an account", "注册账户")
    EMAIL = Text("E-mail", "邮箱")
    PASSWORD = Text("Password", "密码")
    PASSWORD_HINT = Text("Twelve characters or more are easy to keep safe.", "建议 12 位以上。")
    ORGANISATION = Text("Organisation", "组织名称")
    YOUR_NAME = Text("Your name", "您的姓名")
    I_WANT = Text("I want to", "我要")
    USE_COMPUTE = Text("use compute (tenant)", "使用算力（租户）")
    BRING_COMPUTE = Text("bring compute (provider)", "提供算力（提供方）")
    NO_ACCOUNT = Text("No account yet?", "还没有账户？")
    HAVE_ACCOUNT = Text("Already have an account?", "已有账户？")
    SEE_PRICES = Text("See the public prices", "查看公开价目")
    FREE_START = Text(
        "A new tenant gets a free quota at once. No contract, no minimum.",
        "新租户立即获得免费额度，无需合同，没有最低消费。",
    )
    SIGNED_OUT = Text("You have signed out.", "您已退出登录。")
    SESSION_OVER = Text("Your session has ended.", "登录已过期。")
    SIGN_IN_AGAIN = Text("Sign in again to go on.", "请重新登录后继续。")
    FORM_FROM_ELSEWHERE = Text(
        "This form was not sent from a page of this console.", "该表单不是从本控制台的页面提交的。"
    )
    SEND_AGAIN = Text("Open the page again and send it from there.", "请重新打开页面后提交。")
    KEY_ONCE_TITLE = Text("Your first API key", "您的第一个 API 密钥")
    KEY_ONCE = Text(
        "It is shown only now. Keep it in a safe place, or sign in on your machine with it:",
        "仅此一次显示，请妥善保存；也可以在您的电脑上用它登录：",
    )
    PILLAR_NETWORK = Text("One network", "一张网")
    PILLAR_NETWORK_TEXT = Text(
        "Centres, firms and labs join in one command; nominal, published and measured speed stay apart.",
        "智算中心、企业、实验室一条命令接入；标称、公布、实测三项性能分列。",
    )
    PILLAR_BOARD = Text("One board", "一盘棋")
    PILLAR_BOARD_TEXT = Text(
        "One placement over all of it, by price, carbon and fit, and it says what it compared.",
        "全局统一调度，按价格、碳排放与余量比较，并说明为什么选它。",
    )
    PILLAR_ACCOUNT = Text("One account", "一本账")
    PILLAR_ACCOUNT_TEXT = Text(
        "By the second, exact to the fen, traceable from the order to the carbon statement.",
        "按秒计量，精确到分，从下单到碳账单全程可追溯。",
    )

    NOT_FOUND = Text("This page does not exist", "页面不存在")
    NOT_FOUND_TEXT = Text("Check the address, or start from the overview.", "请检查地址，或从概览开始。")
    FORBIDDEN = Text("Not for your role", "您的角色无权查看")
    FORBIDDEN_TEXT = Text(
        "The role {role} has no access to this page. Ask an owner of your organisation.",
        "角色“{role}”无权访问此页面，请联系组织所有者。",
    )
    AWAY = Text("The platform does not answer", "平台暂时没有响应")
    AWAY_TEXT = Text(
        "The console is here, but the API behind it is not. Your work goes on. Try again in a moment.",
        "控制台可用，但后端接口没有响应。您的作业不受影响，请稍后重试。",
    )
    BROKEN = Text("Something went wrong on this page", "页面出现错误")
    BROKEN_TEXT = Text(
        "Nothing was changed. Try again; if it stays, tell the operator the time and the page.",
        "没有任何变更。请重试；若仍出现，请将时间和页面告知运营方。",
    )
    TRY_AGAIN = Text("Try again", "重试")
    TO_OVERVIEW = Text("To the overview", "返回概览")
    CANCEL_DIALOG = Text("Close", "关闭")
    OLDER = Text("Older", "更早")
    NEWEST = Text("Newest", "最新")
    TIMES_ZONE = Text("Times are Asia/Shanghai (UTC+8)", "时间均为北京时间（UTC+8）")
