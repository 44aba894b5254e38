"""``place``: demand places, and how far sites are from them."""

from typing import TYPE_CHECKING, Annotated

from zhisuan.base.money import decimal_text
from zhisuan.cli.errors import usage_error
from zhisuan.cli.figures import milliseconds
from zhisuan.cli.output import Screen, items, show
from zhisuan.cli.params import JsonFlag
from zhisuan.cli.session import connect
from zhisuan.cli.site_terms import scaled
from zhisuan.cli.text import arg, opt, t

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zhisuan.sdk.types import DemandPlace, PlaceLink

PlaceId = Annotated[str, arg("Id of the place, as `zhisuan place list` shows it.", "地点编号，见 zhisuan place list。", metavar="PLACE")]
DIRECTIONS = {"from_place": "由地点测向站点", "from_site": "由站点测向地点"}
METHODS = {"measured": "实测", "stated": "申报", "computed": "推算"}


def list_places(as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = client.places()
    show(as_json, items(found), lambda screen: _draw_places(screen, found))


def _draw_places(screen: Screen, found: "Sequence[DemandPlace]") -> None:
    if not found:
        screen.note(t("There is no demand place yet; the operator adds them.", "尚无需求地点；由运营方登记。"))
        return
    rows = [(p.id, p.name, decimal_text(p.latitude_e6, 6), decimal_text(p.longitude_e6, 6), str(p.reached)) for p in found]
    screen.table("id name >latitude >longitude >reached", rows)


def add(
    name: Annotated[str, arg("Name of the place.", "地点名称。", metavar="NAME")],
    latitude: Annotated[str, opt("--latitude", metavar="DEG", en="Latitude in degrees.", zh="纬度（度）。")],
    longitude: Annotated[str, opt("--longitude", metavar="DEG", en="Longitude in degrees.", zh="经度（度）。")],
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        found = client.add_place(name, scaled("--latitude", latitude, 6), scaled("--longitude", longitude, 6))
    show(as_json, found.as_json(), lambda screen: _draw_places(screen, [found]))


def remove(place_id: PlaceId, as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = client.remove_place(place_id)
    show(as_json, found.as_json(), lambda screen: screen.line(t(f"{found.name} is removed.", f"已删除 {found.name}。")))


def link(
    place_id: PlaceId,
    site_id: Annotated[str, arg("Id of the site.", "站点编号。", metavar="SITE")],
    round_trip: Annotated[
        str | None, opt("--ms", metavar="MS", en="Round trip in milliseconds; not with --method computed.", zh="往返时延（毫秒）；computed 时不填。")
    ] = None,
    direction: Annotated[
        str, opt("--direction", metavar="WAY", en="Seen from_place or from_site.", zh="测量方向：from_place 或 from_site。")
    ] = "from_place",
    method: Annotated[
        str, opt("--method", metavar="HOW", en="measured, stated or computed (from both coordinates).", zh="measured 实测、stated 申报或 computed 由坐标推算。")
    ] = "measured",
    source: Annotated[str, opt("--source", metavar="TEXT", en="Where the figure comes from.", zh="数据来源。")] = "",
    as_json: JsonFlag = False,
) -> None:  # fmt: skip
    if direction not in DIRECTIONS or method not in METHODS:
        raise usage_error(
            "--direction is from_place or from_site; --method is measured, stated or computed.",
            "--direction 须为 from_place 或 from_site；--method 须为 measured、stated 或 computed。",
        )
    us = None if round_trip is None else scaled("--ms", round_trip, 3)
    with connect() as client:
        found = client.set_place_link(place_id, site_id, direction=direction, method=method, source=source, round_trip_us=us)
    show(as_json, found.as_json(), lambda screen: draw_links(screen, [found]))


def links(place_id: PlaceId, as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = client.place_links(place_id)
    show(as_json, items(found), lambda screen: draw_links(screen, found))


def draw_links(screen: Screen, found: "Sequence[PlaceLink]") -> None:
    if not found:
        screen.note(t("No round trip is on record.", "尚无往返时延记录。"))
        return
    screen.table(
        "place site direction >round_trip >bound method source",
        [
            (
                link.place_name,
                link.site_name,
                t(link.direction, DIRECTIONS.get(link.direction, link.direction)),
                milliseconds(link.round_trip_us),
                milliseconds(link.bound_us),
                t(link.method, METHODS.get(link.method, link.method)),
                link.source,
            )
            for link in found
        ],
    )
    for link in found:
        if link.refused:
            told = t("not used: faster than fibre, or no coordinates", "未采用：快于光纤中的光，或站点未填坐标")
            screen.line(f"! {link.place_name} – {link.site_name}: {told}", "yellow")
