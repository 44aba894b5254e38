"""A city, and the work that comes to it, as the replay has them. Whole numbers of the units in the names."""

from dataclasses import dataclass, field

from zhisuan.catalog.price_book import PriceBook
from zhisuan.placement.types import Need

HOURS_A_DAY = 24
HOUR = 3600


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """``count`` equal nodes of a site; ``class_id`` is None where they have no cards."""

    count: int
    cores: int
    memory_mib: int
    class_id: str | None
    cards: int


@dataclass(frozen=True, slots=True)
class CitySite:
    """``tariff_ucny_per_kwh`` and ``grid_g_per_mwh``: one figure for each hour of the day. Open from ``opens`` to ``closes``
    (hours; over midnight where it closes before it opens; 0 and 24: always)."""

    name: str
    provider: str
    region: str
    latitude_e6: int
    longitude_e6: int
    pue_milli: int
    gang_nodes_max: int
    opens: int
    closes: int
    tariff: str
    carbon: str | None
    tariff_ucny_per_kwh: tuple[int, ...]
    grid_g_per_mwh: tuple[int, ...]
    groups: tuple[NodeGroup, ...]

    def is_open(self, hour: int) -> bool:
        at = hour % HOURS_A_DAY
        return self.opens <= at < self.closes if self.opens < self.closes else at >= self.opens or at < self.closes


@dataclass(frozen=True, slots=True)
class Outage:
    """A site cannot be reached for ``hours`` hours from the hour ``first`` on; what ran there is lost."""

    site: str
    first: int
    hours: int

    def covers(self, hour: int) -> bool:
        return self.first <= hour < self.first + self.hours


@dataclass(frozen=True, slots=True)
class Job:
    """``seconds`` on the first of ``needs``, which are alternatives. ``within_us``: only on sites whose way from the home of
    its organisation takes at most so many microseconds."""

    name: str
    org: str
    at: int
    seconds: int
    needs: tuple[Need, ...]
    spot: bool = False
    within_us: int | None = None


@dataclass(frozen=True, slots=True)
class City:
    """``homes``: the site that each organisation is nearest to. ``links_us``: one way, by (from, to)."""

    sites: tuple[CitySite, ...]
    homes: dict[str, str]
    links_us: dict[tuple[str, str], int]
    book: PriceBook
    jobs: tuple[Job, ...] = ()
    outages: tuple[Outage, ...] = ()
    price_text: str | None = field(default=None, compare=False)

    def reach(self, org: str, within_us: int) -> tuple[str, ...]:
        """Sites that work of ``org`` gets to in that time: its home, and where a link says so."""
        home = self.homes[org]
        return tuple(
            s.name for s in self.sites if s.name == home or self.links_us.get((home, s.name), within_us + 1) <= within_us
        )
