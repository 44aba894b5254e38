"""Where a site stands and what it runs under: place, PUE, tariff and green share, each figure from a time on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on

from zhisuan.base.db import Tx
from zhisuan.base.errors import FieldProblem, InvalidInput
from zhisuan.base.text import Text
from zhisuan.supply.tables import Site, SiteCondition

E6 = 1_000_000
TARIFF_UCNY_MAX = 100 * E6
AHEAD_MAX = timedelta(days=366)
CITY_LENGTH_MAX = 60


@dataclass(frozen=True, slots=True)
class Place:
    """City, and latitude and longitude in 10⁻⁶ degrees; both or neither."""

    city: str | None = None
    latitude_e6: int | None = None
    longitude_e6: int | None = None

    def checked(self) -> tuple[str | None, int | None, int | None]:
        """As it is kept. Raises ``InvalidInput``."""
        problems = []
        city = (self.city or "").strip()
        if len(city) > CITY_LENGTH_MAX or not (city.isprintable()):
            problems.append(FieldProblem("city", Text("takes at most 60 characters", "最多 60 个字符")))
        if (self.latitude_e6 is None) != (self.longitude_e6 is None):
            problems.append(FieldProblem("latitude_e6", Text("goes with a longitude", "须同时给出经度和纬度")))
        for name, value, most in (("latitude_e6", self.latitude_e6, 90), ("longitude_e6", self.longitude_e6, 180)):
            if value is not None and abs(value) > most * E6:
                problems.append(FieldProblem(name, Text(f"lies within ±{most}°", f"须在 ±{most}° 以内")))
        _refuse(problems)
        return city or None, self.latitude_e6, self.longitude_e6


@dataclass(frozen=True, slots=True)
class Terms:
    """New figures; None leaves one as it is. ``valid_from`` None means now."""

    pue_milli: int | None = None
    tariff_ucny_per_kwh: int | None = None
    green_ppm: int | None = None
    valid_from: datetime | None = None


def set_terms(tx: Tx, site: Site, terms: Terms) -> None:
    """Let figures hold from a time on; not from one that has passed: what ran then keeps what it had.

    Raises ``InvalidInput``.
    """
    problems = []
    if terms.pue_milli is not None and not 1000 <= terms.pue_milli <= 3000:
        problems.append(FieldProblem("pue_milli", Text("lies between 1000 and 3000", "须在 1000 到 3000 之间")))
    tariff = terms.tariff_ucny_per_kwh
    if tariff is not None and not 0 <= tariff <= TARIFF_UCNY_MAX:
        told = Text("lies between 0 and 100 yuan a kWh", "须在每千瓦时 0 到 100 元之间")
        problems.append(FieldProblem("tariff_ucny_per_kwh", told))
    if terms.green_ppm is not None and not 0 <= terms.green_ppm <= E6:
        problems.append(FieldProblem("green_ppm", Text("lies between 0 and 1000000", "须在 0 到 1000000 之间")))
    start = terms.valid_from or tx.now
    if not tx.now - timedelta(minutes=1) <= start <= tx.now + AHEAD_MAX:
        told = Text("lies between now and a year from now", "须在现在到一年之内")
        problems.append(FieldProblem("valid_from", told))
    _refuse(problems)
    for name, value in (("pue_milli", terms.pue_milli), ("tariff_ucny_per_kwh", tariff), ("green_ppm", terms.green_ppm)):
        if value is not None:
            tx.session.add(
                SiteCondition(
                    id=tx.ids.new("cnd"), site_id=site.id, name=name, value=value, valid_from=max(start, tx.now),
                    set_at=tx.now, set_by=tx.actor,
                )
            )  # fmt: skip
            tx.emit("site.condition", site.id, {"name": name, "value": value, "valid_from": start.isoformat()})
    tx.session.flush()
    bring_up_to_date(tx, [site])


def bring_up_to_date(tx: Tx, sites: Sequence[Site]) -> None:
    """Make the site rows show the figures in force at this transaction's time."""
    rows = tx.session.scalars(
        select(SiteCondition)
        .where(SiteCondition.site_id.in_([s.id for s in sites]), SiteCondition.valid_from <= tx.now)
        .order_by(SiteCondition.site_id, SiteCondition.name, SiteCondition.valid_from.desc(), SiteCondition.id.desc())
        .ext(distinct_on(SiteCondition.site_id, SiteCondition.name))
    ).all()
    by_id = {s.id: s for s in sites}
    for row in rows:
        if getattr(by_id[row.site_id], row.name) != row.value:
            setattr(by_id[row.site_id], row.name, row.value)


def sites_with_due_conditions(tx: Tx, since: datetime) -> list[Site]:
    """Sites, locked, for which a figure began to hold after ``since``; set ahead, it is nobody's call that brings it."""
    due = select(SiteCondition.site_id).where(
        SiteCondition.valid_from > since,
        SiteCondition.valid_from <= tx.now,
        SiteCondition.set_at < SiteCondition.valid_from,
    )
    return list(tx.session.scalars(select(Site).where(Site.id.in_(due)).order_by(Site.id).with_for_update()))


def conditions_of(tx: Tx, site_id: str) -> Sequence[SiteCondition]:
    """All figures there were and will be, newest first."""
    return tx.session.scalars(
        select(SiteCondition)
        .where(SiteCondition.site_id == site_id)
        .order_by(SiteCondition.valid_from.desc(), SiteCondition.id.desc())
    ).all()


def _refuse(problems: list[FieldProblem]) -> None:
    if problems:
        raise InvalidInput(
            Text("These conditions cannot be kept.", "站点条件有误。"),
            Text("Correct the fields named below.", "请按下列提示修改。"),
            problems=problems,
        )
