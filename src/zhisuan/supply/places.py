"""Demand places: where users are, and how far each site is from them.

A link says how long a round trip takes, in which direction it was looked at, by which method (``measured``, ``stated`` by somebody,
or ``computed`` here from both coordinates) and where the figure comes from. A round trip shorter than light needs in fibre (about
200,000 km/s) along the great circle is refused; one that becomes so, because a site turns out to stand elsewhere, is shown as such
and not used. Of a pair with both directions the longer counts.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from zhisuan.base.db import Tx
from zhisuan.base.errors import Conflict, FieldProblem, InvalidInput, NotFound
from zhisuan.base.text import Text
from zhisuan.supply.links import TOLERANCE_PERCENT, distance_km
from zhisuan.supply.tables import DemandPlace, PlaceLink, Site

Direction = Literal["from_place", "from_site"]
Method = Literal["measured", "stated", "computed"]
FIBRE_KM_PER_MS = 200
ROUTE_PERCENT = 150
"""A cable does not run straight: what is computed takes it for half as long again as the great circle."""
ROUND_TRIP_US_MAX = 10_000_000
NAME_LENGTH_MAX, SOURCE_LENGTH_MAX = 60, 200
E6 = 1_000_000


@dataclass(frozen=True, slots=True)
class SaidLink:
    """What somebody says of the way between a place and a site; ``computed`` links bring no time of their own."""

    site_id: str
    direction: Direction
    method: Method
    source: str
    round_trip_us: int | None = None


@dataclass(frozen=True, slots=True)
class SeenLink:
    """A link with its ends, and what light in fibre needs between them now (None: a site that has not said where it stands)."""

    link: PlaceLink
    place: DemandPlace
    site_name: str
    bound_us: int | None

    @property
    def refused(self) -> bool:
        return self.bound_us is None or self.link.round_trip_us < self.bound_us


def least_in_fibre_us(kilometres: float) -> int:
    """The round trip of light in fibre along ``kilometres``, less the tolerance, in whole microseconds.

    >>> least_in_fibre_us(1000)
    9800
    """
    return int(2 * kilometres / FIBRE_KM_PER_MS * 1000 * (100 - TOLERANCE_PERCENT) / 100)


def add_place(tx: Tx, name: str, latitude_e6: int, longitude_e6: int) -> DemandPlace:
    """Raises ``InvalidInput`` and, for a name that there is, ``Conflict``."""
    name = name.strip()
    problems = []
    if not 0 < len(name) <= NAME_LENGTH_MAX or not name.isprintable():
        problems.append(FieldProblem("name", Text("takes 1 to 60 characters", "须为 1 到 60 个字符")))
    for field, value, most in (("latitude_e6", latitude_e6, 90), ("longitude_e6", longitude_e6, 180)):
        if abs(value) > most * E6:
            problems.append(FieldProblem(field, Text(f"lies within ±{most}°", f"须在 ±{most}° 以内")))
    _refuse(problems)
    if tx.session.scalar(select(DemandPlace.id).where(DemandPlace.name == name)) is not None:
        raise Conflict(
            Text(f"There is a demand place {name} already.", f"已有名为 {name} 的需求地点。"),
            Text("Choose another name, or remove that place first.", "请换一个名称，或先删除该地点。"),
            code="name_taken",
        )
    place = DemandPlace(
        id=tx.ids.new("dpl"), name=name, latitude_e6=latitude_e6, longitude_e6=longitude_e6, created_at=tx.now, created_by=tx.actor
    )
    tx.session.add(place)
    tx.emit("place.added", place.id, {"name": name})
    tx.session.flush()
    return place


def place_seen(tx: Tx, place_id: str) -> DemandPlace:
    found = tx.session.get(DemandPlace, place_id)
    if found is None:
        raise NotFound.of(Text("demand place", "需求地点"), place_id)
    return found


def remove_place(tx: Tx, place: DemandPlace) -> None:
    """With its links. Work that names it then finds no site until there is a place of that name again."""
    tx.session.execute(delete(PlaceLink).where(PlaceLink.place_id == place.id))
    tx.session.delete(place)
    tx.emit("place.removed", place.id, {"name": place.name})
    tx.session.flush()


def set_link(tx: Tx, place: DemandPlace, said: SaidLink) -> PlaceLink:
    """Keep it in place of what was said of this direction before. Raises ``InvalidInput``, naming every wrong field."""
    site = tx.session.get(Site, said.site_id)
    if site is None or site.state == "closed":
        raise NotFound.of(Text("site", "站点"), said.site_id)
    bound = _bound(place, site)
    us = _computed(place, site) if said.method == "computed" else said.round_trip_us
    problems = _problems(said, bound, us)
    _refuse(problems)
    source = said.source.strip() or f"great circle × {ROUTE_PERCENT} % at {FIBRE_KM_PER_MS} km/ms"
    row = {"round_trip_us": us, "method": said.method, "source": source, "at": tx.now, "by": tx.actor}
    statement = insert(PlaceLink).values(place_id=place.id, site_id=site.id, direction=said.direction, **row)
    tx.session.execute(statement.on_conflict_do_update(index_elements=["place_id", "site_id", "direction"], set_=row))
    tx.emit("place.link", place.id, {"site_id": site.id, "direction": said.direction, "round_trip_us": us, "method": said.method})
    return tx.session.get_one(PlaceLink, (place.id, site.id, said.direction), populate_existing=True)


def _problems(said: SaidLink, bound: int | None, us: int | None) -> list[FieldProblem]:
    problems = []
    if said.direction not in get_args(Direction):
        problems.append(FieldProblem("direction", Text("is from_place or from_site", "须为 from_place 或 from_site")))
    if said.method not in get_args(Method):
        problems.append(FieldProblem("method", Text("is measured, stated or computed", "须为 measured、stated 或 computed")))
    given = said.round_trip_us is not None
    if given and said.method == "computed":
        told = Text("is computed from the coordinates; leave it out", "由坐标计算得出，请勿填写")
        problems.append(FieldProblem("round_trip_us", told))
    if not given and said.method != "computed":
        problems.append(FieldProblem("round_trip_us", Text("is needed", "不能为空")))
    length = len(said.source.strip())
    if length > SOURCE_LENGTH_MAX or not said.source.isprintable() or (length == 0 and said.method != "computed"):
        problems.append(FieldProblem("source", Text("takes 1 to 200 characters: where the figure comes from", "须为 1 到 200 个字符：数据来源")))
    if bound is None:
        told = Text("has not said where it stands; give it coordinates first", "尚未填写坐标；请先填写其坐标")
        problems.append(FieldProblem("site_id", told))
    elif us is not None and not bound <= us <= ROUND_TRIP_US_MAX:
        told = Text(
            f"is at least {bound} µs, what light needs in fibre between the two, and at most 10 s",
            f"至少为 {bound} 微秒（光在两地光纤中的最短往返时间），至多 10 秒",
        )
        problems.append(FieldProblem("round_trip_us", told))
    return problems


def _kilometres(place: DemandPlace, site: Site) -> float | None:
    if site.latitude_e6 is None or site.longitude_e6 is None:
        return None
    return distance_km(place.latitude_e6, place.longitude_e6, site.latitude_e6, site.longitude_e6)


def _bound(place: DemandPlace, site: Site) -> int | None:
    kilometres = _kilometres(place, site)
    return None if kilometres is None else least_in_fibre_us(kilometres)


def _computed(place: DemandPlace, site: Site) -> int | None:
    kilometres = _kilometres(place, site)
    return None if kilometres is None else max(1, int(2 * kilometres * ROUTE_PERCENT * 10 / FIBRE_KM_PER_MS))


def places(tx: Tx) -> Sequence[DemandPlace]:
    return tx.session.scalars(select(DemandPlace).order_by(DemandPlace.name)).all()


def place_links(tx: Tx, *, place_id: str | None = None, site_ids: Collection[str] | None = None) -> list[SeenLink]:
    """Links of a place, or of sites, or all; nearest first."""
    query = (
        select(PlaceLink, DemandPlace, Site)
        .join(DemandPlace, DemandPlace.id == PlaceLink.place_id)
        .join(Site, Site.id == PlaceLink.site_id)
        .where(Site.state != "closed")
        .order_by(PlaceLink.round_trip_us, PlaceLink.site_id, PlaceLink.place_id, PlaceLink.direction)
    )
    if place_id is not None:
        query = query.where(PlaceLink.place_id == place_id)
    if site_ids is not None:
        query = query.where(PlaceLink.site_id.in_(site_ids))
    return [SeenLink(link, place, site.name, _bound(place, site)) for link, place, site in tx.session.execute(query)]


def round_trips(tx: Tx, site_ids: Collection[str] | None = None) -> dict[str, tuple[tuple[str, int], ...]]:
    """By site id, the round trip to each place by name that can be true: of both directions the longer."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for seen in place_links(tx, site_ids=site_ids):
        if not seen.refused:
            of_site = found[seen.link.site_id]
            of_site[seen.place.name] = max(of_site.get(seen.place.name, 0), seen.link.round_trip_us)
    return {site_id: tuple(sorted(by_name.items())) for site_id, by_name in found.items()}


def _refuse(problems: list[FieldProblem]) -> None:
    if problems:
        raise InvalidInput(
            Text("This cannot be kept of a demand place.", "需求地点信息有误。"),
            Text("Correct the fields named below.", "请按下列提示修改。"),
            problems=problems,
        )
