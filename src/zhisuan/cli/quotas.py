"""``quota``: what organisations and projects are guaranteed, may hold at most, and hold."""

import re
from typing import TYPE_CHECKING, Annotated

from zhisuan.cli.errors import usage_error
from zhisuan.cli.figures import milli, percent
from zhisuan.cli.output import Screen, show
from zhisuan.cli.params import JsonFlag
from zhisuan.cli.session import connect
from zhisuan.cli.text import arg, opt, t

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zhisuan.sdk.types import Quota, QuotaPage

AMOUNT = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,3}))?")
NONE = ("none", "无")


def show_quota(
    organisation: Annotated[
        str | None, arg("For the operator: an organisation, by id.", "运营方可指定组织编号。", metavar="ORG")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        page = client.quotas(organisation)
        items = list(page.items)
        cursor = page.next_cursor
        while cursor is not None:
            more = client.quotas(organisation, cursor=cursor)
            items += more.items
            cursor = more.next_cursor
    show(as_json, page.as_json() | {"items": [q.as_json() for q in items], "next_cursor": None}, lambda screen: _draw(screen, items, page))


def set_quota(
    subject: Annotated[str, arg("An organisation (org_…), or a project by name or id.", "组织编号（org_…），或项目名称、编号。", metavar="WHOSE")],
    cards: Annotated[str, opt("--cards", metavar="N", en="Cards that are guaranteed.", zh="保障的卡数。")] = "0",
    cores: Annotated[str, opt("--cores", metavar="N", en="Cores that are guaranteed.", zh="保障的核数。")] = "0",
    cards_max: Annotated[str, opt("--cards-max", metavar="N|none", en="Most cards at once.", zh="同时占用的最多卡数。")] = "none",
    cores_max: Annotated[str, opt("--cores-max", metavar="N|none", en="Most cores at once.", zh="同时占用的最多核数。")] = "none",
    weight: Annotated[int, opt("--weight", metavar="N", en="Weight of its fair share, 1 to 1000.", zh="公平份额权重，1 到 1000。")] = 1,
    parent: Annotated[
        str | None, opt("--under", metavar="PROJECT", en="Project that this project stands under.", zh="该项目的上级项目。")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    amounts = [_milli(name, value) for name, value in (("--cards", cards), ("--cores", cores))]
    most = [_most(name, value) for name, value in (("--cards-max", cards_max), ("--cores-max", cores_max))]
    with connect() as client:
        page = client.set_quota(
            subject, guaranteed_cards_milli=amounts[0], guaranteed_cores_milli=amounts[1], limit_cards_milli=most[0],
            limit_cores_milli=most[1], weight=weight, parent=parent,
        )  # fmt: skip
    show(as_json, page.as_json(), lambda screen: _draw(screen, page.items, page))


def count_anew(as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = client.count_used_anew()
    said = t(
        f"What has been used of late is counted anew from {found.leases} leases.", f"正在根据 {found.leases} 个租约重新统计近期用量。"
    )
    show(as_json, found.as_json(), lambda screen: screen.line(said))


def _milli(name: str, value: str) -> int:
    """A number as a person writes it, in thousandths; a sign is left to the platform, which says whose quota is negative."""
    sign, digits = (-1, value[1:]) if value.startswith("-") else (1, value)
    found = AMOUNT.fullmatch(digits)
    if found is None:
        raise usage_error(f"{name} takes a number such as 8 or 0.5, not {value}.", f"{name} 须为 8、0.5 之类的数字，而不是 {value}。")
    return sign * (int(found.group(1)) * 1000 + int((found.group(2) or "").ljust(3, "0")))


def _most(name: str, value: str) -> int | None:
    return None if value in NONE else _milli(name, value)


def draw_quotas(screen: Screen, quotas: "Sequence[Quota]") -> None:
    """Two lines each: cards, then cores."""
    rows = []
    for q in quotas:
        cards = (q.guaranteed_cards_milli, q.limit_cards_milli, q.held_cards_milli, q.borrowed_cards_milli, q.left_cards_milli)
        cores = (q.guaranteed_cores_milli, q.limit_cores_milli, q.held_cores_milli, q.borrowed_cores_milli, q.left_cores_milli)
        rows.append((q.name, t("cards", "卡"), *map(milli, cards), str(q.weight), percent(q.share_ppm)))
        rows.append(("", t("cores", "核"), *map(milli, cores), "", ""))
    screen.table("name of >guaranteed >most >holds >borrowed >room >weight >fair_share", rows)


def _draw(screen: Screen, quotas: "Sequence[Quota]", page: "QuotaPage") -> None:
    draw_quotas(screen, quotas)
    if page.capacity_cards_milli is not None:
        cards, cores = milli(page.capacity_cards_milli), milli(page.capacity_cores_milli)
        tops = [q for q in quotas if q.kind == "organisation"]
        given = milli(sum(q.guaranteed_cards_milli for q in tops)), milli(sum(q.guaranteed_cores_milli for q in tops))
        screen.line(
            t(
                f"Guaranteed in all: {given[0]} of {cards} cards, {given[1]} of {cores} cores that open sites have.",
                f"保障合计：{given[0]} 卡（开放站点共 {cards} 卡），{given[1]} 核（共 {cores} 核）。",
            )
        )
