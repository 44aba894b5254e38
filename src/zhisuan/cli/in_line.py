"""Where waiting work stands in the line."""

from typing import TYPE_CHECKING

from zhisuan.cli.figures import moment
from zhisuan.cli.output import Screen
from zhisuan.cli.quotas import draw_quotas
from zhisuan.cli.text import say, t

if TYPE_CHECKING:
    from zhisuan.sdk.types import InLine


def draw_in_line(screen: Screen, found: "InLine") -> None:
    place = t(f"{found.number} of {found.of}", f"第 {found.number} 位，共 {found.of} 个")
    before = t(
        f"{found.ahead_own_count} of your own, {found.ahead_others_count} of others",
        f"本组织 {found.ahead_own_count} 个，其他组织 {found.ahead_others_count} 个",
    )
    said = say(found.expected)
    facts = [
        (t("In the line", "排队位置"), place),
        (t("Before it", "前面"), before),
        (t("Why there", "次序依据"), _why(found)),
        (t("Expected start", "预计启动"), f"{moment(found.expected_at)}{t(': ', '：')}{said}" if found.expected_at else said),
    ]
    if found.ahead_own:
        facts.insert(2, (t("Yours before it", "本组织前面的作业"), ", ".join(found.ahead_own)))
    if found.reservation is not None:
        kept = found.reservation.site_name
        until = t(f", free by {moment(found.reservation.at)}", f"，最迟 {moment(found.reservation.at)} 空出") if found.reservation.at else ""
        facts.append((t("Kept for it", "已为其保留"), t(f"devices of {kept}{until}", f"{kept} 的设备{until}")))
    screen.line()
    screen.facts(facts)
    if found.quotas:
        screen.line()
        draw_quotas(screen, found.quotas)


def _why(found: "InLine") -> str:
    aged = t(f", {found.rank} with its waiting", f"，含等待加成为 {found.rank}") if found.rank != found.priority else ""
    priority = t(f"priority {found.priority}{aged}", f"优先级 {found.priority}{aged}")
    if found.within_guarantee:
        return t(f"within what your organisation is guaranteed; {priority}", f"在本组织的保障额度内；{priority}")
    return t(f"by your organisation's share of late; {priority}", f"按本组织近期份额；{priority}")
