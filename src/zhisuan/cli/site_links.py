"""``site links``: how far a site is from the others."""

from zhisuan.cli.figures import NONE, milliseconds, time_of_day
from zhisuan.cli.output import Screen, items, show
from zhisuan.cli.params import JsonFlag
from zhisuan.cli.places import draw_links
from zhisuan.cli.session import connect
from zhisuan.cli.sites import SiteId
from zhisuan.cli.text import t


def links(site_id: SiteId, as_json: JsonFlag = False) -> None:
    with connect() as client:
        rows, places = client.site_links(site_id), client.site_places(site_id)

    def draw(screen: Screen) -> None:
        if places:
            draw_links(screen, places)
        if not rows:
            screen.note(
                t(
                    "Nothing has been measured yet: sites measure each other's --echo-address (site set) every quarter of an hour.",
                    "尚无测量结果：各站点每一刻钟测量一次对方的 --echo-address（用 site set 设置）。",
                )
            )
            return
        screen.table(
            "direction other_site >round_trip >best >bound measured_at",
            [
                (
                    t(r.direction, {"to": "去往", "from": "来自"}[r.direction]),
                    r.site_name,
                    milliseconds(r.median_us),
                    milliseconds(r.best_us),
                    milliseconds(r.bound_us),
                    time_of_day(r.at),
                )
                for r in rows
            ],
        )
        for r in rows:
            if r.refused:
                told = t(
                    "faster than light: a place or an address is wrong",
                    "快于光速下限：位置或地址有误",
                )
                screen.line(f"! {r.site_name}: {told}", "yellow")
            elif r.median_us is None:
                screen.line(f"! {r.site_name}: {t('no answer', '无应答')} ({r.note or NONE})", "yellow")

    show(as_json, items(rows), draw)
