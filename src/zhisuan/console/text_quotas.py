"""Texts about quotas and the line of waiting work."""

from zhisuan.base.text import Text


class Quotas:
    TITLE = Text("Quotas", "配额")
    OF = Text("Quotas of {name}", "{name} 的配额")
    NAME = Text("Whose", "对象")
    ORGANISATION = Text("organisation", "组织")
    PROJECT = Text("project", "项目")
    UNDER = Text("project under {name}", "{name} 的下级项目")
    CARDS = Text("Cards: held / guaranteed / most", "卡：占用 / 保障 / 上限")
    CORES = Text("Cores: held / guaranteed / most", "核：占用 / 保障 / 上限")
    BORROWED = Text("Borrowed", "借用")
    BORROWED_LINE = Text("{cards} cards, {cores} cores", "{cards} 卡，{cores} 核")
    WEIGHT = Text("Weight", "权重")
    SHARE = Text("Share of late", "近期份额")
    NO_LIMIT = Text("no limit", "不限")
    EXPLAINED = Text(
        "Guaranteed: who stays within it comes before who borrows. Most: never passed. What others leave idle may be borrowed; spot work "
        "that is borrowed makes way, other work is let end by itself.",
        "保障：在保障额度内的作业排在借用之前。上限：任何时候都不会超过。他人闲置的部分可以借用；借用的竞价作业会让位，其他作业自行结束。",
    )
    OVER = Text(
        "More is guaranteed ({cards} cards, {cores} cores) than open sites have ({cards_there} cards, {cores_there} cores).",
        "保障总量（{cards} 卡、{cores} 核）超过开放站点的总量（{cards_there} 卡、{cores_there} 核）。",
    )
    SET = Text("Set", "设置")
    SET_TITLE = Text("Quota of {name}", "设置 {name} 的配额")
    SET_TEXT = Text("What runs goes on, also above a new limit.", "正在运行的作业不受影响，即使超过新的上限。")
    CARDS_GUARANTEED = Text("Cards guaranteed", "保障卡数")
    CORES_GUARANTEED = Text("Cores guaranteed", "保障核数")
    CARDS_MOST = Text("Most cards (empty: no limit)", "卡数上限（留空：不限）")
    CORES_MOST = Text("Most cores (empty: no limit)", "核数上限（留空：不限）")
    PARENT = Text("Stands under (project; empty: the organisation)", "上级项目（留空：组织）")
    SAVE = Text("Save", "保存")
    SAVED = Text("The quota is set.", "配额已设置。")
    NOT_A_NUMBER = Text("Write numbers such as 8 or 0.5.", "请填写 8、0.5 之类的数字。")
    SHOW = Text("Projects", "项目")

    PLACE = Text("Place {number} of {of}", "第 {number} 位，共 {of} 个")
    BEFORE = Text("Before it: {own} of your own, {others} of others", "前面：本组织 {own} 个，其他组织 {others} 个")
    EXPECTED = Text("Expected start: {at}. {text}", "预计启动：{at}。{text}")
    EXPECTED_UNKNOWN = Text("Expected start: {text}", "预计启动：{text}")
    KEPT = Text("Devices of {site} are kept for it.", "已为其保留 {site} 的设备。")
