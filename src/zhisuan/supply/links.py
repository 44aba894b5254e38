"""How far sites are from each other: measured by their agents, held against what light allows.

A site has no inbound port, so its provider names an address of its network that answers TCP connections anyway (a gateway, a
web server): the echo address. The time of a TCP handshake is one round trip of the network.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import asin, cos, radians, sin, sqrt

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert

from zhisuan.base.db import Tx
from zhisuan.base.errors import FieldProblem, InvalidInput
from zhisuan.base.text import Text
from zhisuan.supply.tables import Link, Site

EARTH_KM = 6371.0
LIGHT_KM_PER_US = 0.299_792_458
TOLERANCE_PERCENT = 2
"""A sphere is not the earth, and coordinates are those of a city as often as of a building."""
_ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):(?P<port>\d{1,5})")


@dataclass(frozen=True, slots=True)
class Measured:
    """What one site says of its way to another; times in microseconds, None where nothing answered."""

    to_site_id: str
    at: datetime
    tries: int
    answered: int
    median_us: int | None
    best_us: int | None
    note: str | None


def checked_echo_address(text: str) -> str | None:
    """``host:port`` as it is kept; None for an empty one, which takes it away. Raises ``InvalidInput``."""
    address = text.strip()
    if not address:
        return None
    found = _ADDRESS.fullmatch(address)
    if found is None or not 1 <= int(found["port"]) <= 65535:
        raise InvalidInput(
            Text(f"{text!r} is not an address that can be measured.", f"{text!r} 不是可测量的地址。"),
            Text(
                "Write host:port of something in the site's network that answers TCP connections, such as its gateway.",
                "请填写站点网络中可应答 TCP 连接的 主机:端口，例如其网关。",
            ),
            problems=[FieldProblem("echo_address", Text("is host:port, the port from 1 to 65535", "须为 主机:端口，端口 1 到 65535"))],
        )
    return address


def least_round_trip_us(
    latitude_e6: int, longitude_e6: int, other_latitude_e6: int, other_longitude_e6: int
) -> int:
    """The round trip of light in a vacuum along the great circle (haversine on a sphere of 6,371 km), less the tolerance,
    in whole microseconds. No cable is faster.

    >>> least_round_trip_us(39_904_000, 116_407_000, 31_230_000, 121_474_000)  # Beijing, Shanghai: 1,067 km
    6978
    """
    kilometres = distance_km(latitude_e6, longitude_e6, other_latitude_e6, other_longitude_e6)
    return int(2 * kilometres / LIGHT_KM_PER_US * (100 - TOLERANCE_PERCENT) / 100)


def distance_km(latitude_e6: int, longitude_e6: int, other_latitude_e6: int, other_longitude_e6: int) -> float:
    """Along the great circle: haversine on a sphere of 6,371 km."""
    one, other = radians(latitude_e6 / 1e6), radians(other_latitude_e6 / 1e6)
    across = radians((other_longitude_e6 - longitude_e6) / 1e6)
    chord = sin((other - one) / 2) ** 2 + cos(one) * cos(other) * sin(across / 2) ** 2
    return 2 * EARTH_KM * asin(min(1.0, sqrt(chord)))


def bound_us(site: Site, other: Site) -> int | None:
    """None where one of them has not said where it stands."""
    here, there = (site.latitude_e6, site.longitude_e6), (other.latitude_e6, other.longitude_e6)
    if here[0] is None or here[1] is None or there[0] is None or there[1] is None:
        return None
    return least_round_trip_us(here[0], here[1], there[0], there[1])


def peers_of(tx: Tx, site: Site, limit: int) -> Sequence[Site]:
    """Open sites with an echo address, those not measured from ``site`` for the longest time first."""
    query = (
        select(Site)
        .outerjoin(Link, (Link.to_site_id == Site.id) & (Link.from_site_id == site.id))
        .where(Site.id != site.id, Site.state.in_(("open", "draining")), Site.echo_address.is_not(None))
        .order_by(Link.at.asc().nulls_first(), Site.id)
        .limit(limit)
    )
    return tx.session.scalars(query).all()


def take_links(tx: Tx, site: Site, reports: Iterable[Measured]) -> int:
    """Keep the newest of each pair; how many were kept. A round trip that light could not make is kept as ``refused``: a
    place or an address is not where it is said to be. Reports of sites that are not there (any more) are dropped."""
    newest = {r.to_site_id: r for r in sorted(reports, key=lambda r: r.at) if r.to_site_id != site.id}
    others = tx.session.scalars(select(Site).where(Site.id.in_(newest), Site.state != "closed").order_by(Site.id)).all()
    for other in others:
        report = newest[other.id]
        bound = bound_us(site, other)
        row = {
            "at": min(report.at, tx.now), "tries": report.tries, "answered": report.answered, "median_us": report.median_us,
            "best_us": report.best_us, "bound_us": bound, "note": report.note,
            "refused": report.best_us is not None and bound is not None and report.best_us < bound,
        }  # fmt: skip
        statement = insert(Link).values(from_site_id=site.id, to_site_id=other.id, **row)
        tx.session.execute(
            statement.on_conflict_do_update(
                index_elements=["from_site_id", "to_site_id"], set_=row, where=Link.at <= statement.excluded.at
            )
        )
    return len(others)


def links_of(tx: Tx, site_id: str) -> list[tuple[Link, str]]:
    """Links from and to a site with the other end's name, nearest first; those without an answer last."""
    query = (
        select(Link, Site.name)
        .join(Site, Site.id.in_((Link.from_site_id, Link.to_site_id)) & (Site.id != site_id))
        .where(or_(Link.from_site_id == site_id, Link.to_site_id == site_id), Site.state != "closed")
        .order_by(Link.median_us.asc().nulls_last(), Link.from_site_id, Link.to_site_id)
    )
    rows = tx.session.execute(query.execution_options(populate_existing=True))
    return [(link, name) for link, name in rows]
