"""What a lease costs, uses and emits, hour by hour, in whole numbers by the server's own formulas (``usage``, ``green``, ``base.money``).

Each figure of an hour is cumulative-after minus cumulative-before, so hours sum to the lease, and leases to the total, exactly.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from zhisuan.base.money import cost_ucny, div_half_even, split_exactly
from zhisuan.green.rules import footprint
from zhisuan.simulation.city.board import Held
from zhisuan.simulation.city.types import HOUR, CitySite
from zhisuan.usage.rules import quantity_until_udu

PPM = 10**6
UWH_PER_KWH = 10**9


@dataclass(frozen=True, slots=True)
class Lease:
    """One run of a job on a site, from ``start`` to ``end``; ``ended``: finished, preempted, lost, or running when the clock stopped.
    A lost one is not charged."""

    number: int
    job: int
    org: str
    provider: str
    site: str
    held: Held
    cards: int
    class_id: str | None
    start: int
    end: int
    ended: str
    spot: bool
    rate_udu_per_hour: int
    price_e8_per_du: int
    power_milliwatts: int


@dataclass(frozen=True, slots=True)
class Bill:
    """Of one lease: cost, its provider's part and the platform's; electricity at the site's tariff; energy in 10⁻⁶ Wh; carbon in 10⁻⁶ g."""

    quantity_udu: int
    cost_ucny: int
    earned_ucny: int
    fee_ucny: int
    power_ucny: int
    energy_uwh: int
    carbon_ug: int


@dataclass(slots=True)
class Account:
    """Bills added up: by hour, and by what a total is asked for of."""

    fee_ppm: int
    by_hour: dict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    by_org: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    by_provider: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    by_site: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    total: Counter[str] = field(default_factory=Counter)

    def post(self, lease: Lease, site: CitySite) -> Bill:
        sums: Counter[str] = Counter()
        for hour, part in _hours(lease, site):
            self.by_hour[hour].update(part)
            sums.update(part)
        earned, fee = split_exactly(sums["cost_ucny"], (PPM - self.fee_ppm, self.fee_ppm))
        sums.update(earned_ucny=earned, fee_ucny=fee, leases=1, seconds=lease.end - lease.start)
        for owner in (self.by_org[lease.org], self.by_provider[lease.provider], self.by_site[lease.site], self.total):
            owner.update(sums)
        return Bill(*(sums[name] for name in Bill.__slots__))


def _hours(lease: Lease, site: CitySite) -> Iterator[tuple[int, dict[str, int]]]:
    begin, charged = lease.start, lease.ended != "lost"
    while begin < lease.end:
        hour = begin // HOUR
        end = min(lease.end, (hour + 1) * HOUR)
        before, after = begin - lease.start, end - lease.start
        used = [quantity_until_udu(lease.rate_udu_per_hour, seconds) for seconds in (before, after)]
        cost = cost_ucny(used[1], lease.price_e8_per_du) - cost_ucny(used[0], lease.price_e8_per_du)
        foot = footprint(
            power_milliwatts=lease.power_milliwatts, pue_milli=site.pue_milli, g_per_mwh=site.grid_g_per_mwh[hour % 24],
            seconds=after - before, seconds_before=before,
        )  # fmt: skip
        power = div_half_even(foot.energy_uwh * site.tariff_ucny_per_kwh[hour % 24], UWH_PER_KWH)
        yield hour, {
            "quantity_udu": used[1] - used[0], "cost_ucny": cost if charged else 0, "credited_ucny": 0 if charged else cost,
            "power_ucny": power, "energy_uwh": foot.energy_uwh, "carbon_ug": foot.carbon_ug or 0,
            "card_seconds": lease.cards * (after - before),
        }  # fmt: skip
        begin = end
