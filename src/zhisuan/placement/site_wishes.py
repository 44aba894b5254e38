"""Which sites a workload would run on: what it demands of a site, tested in the order below."""

from collections.abc import Callable
from dataclasses import dataclass

from zhisuan.base.money import decimal_text
from zhisuan.base.text import Text
from zhisuan.placement.types import Need, Rejection, SiteState, Snapshot


@dataclass(frozen=True, slots=True)
class Wish:
    """What one workload would take. ``needs`` are alternatives, in the order of preference where ``ordered``.

    Sites and providers are named by id or by name. ``sites``: these only (empty: any); ``standby``: where it goes, in this order, while
    none of ``sites`` can take it; ``avoid_…``: never; ``regions`` and ``providers``: only sites of these (empty: any).
    ``green_ppm_min``: the least share of green electricity that a site's provider states. ``latency_us``: for demand places by name the
    longest round trip; a site whose round trip nobody has recorded is too far.
    """

    needs: tuple[Need, ...]
    ordered: bool = False
    sites: tuple[str, ...] = ()
    standby: tuple[str, ...] = ()
    avoid_sites: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    avoid_regions: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    avoid_providers: tuple[str, ...] = ()
    green_ppm_min: int = 0
    latency_us: tuple[tuple[str, int], ...] = ()

    @property
    def of_sites(self) -> bool:
        """Whether it says anything of sites."""
        return bool(
            self.sites or self.standby or self.avoid_sites or self.regions or self.avoid_regions or self.providers
            or self.avoid_providers or self.green_ppm_min or self.latency_us
        )  # fmt: skip


def tiers_of(snapshot: Snapshot, wish: Wish) -> dict[str, int | str] | None:
    """By site id 0 for a site of the first choice, then standbys in their order; or the constraint that leaves it out. None where the
    wish says nothing of sites."""
    return {site.id: _tier(site, wish) for site in snapshot.sites} if wish.of_sites else None


def left_out(snapshot: Snapshot, wish: Wish, tiers: dict[str, int | str]) -> tuple[Rejection, ...]:
    """How many nodes each constraint of sites took out, in the order in which they are tested."""
    out: dict[str, int] = {}
    for site in snapshot.sites:
        tier = tiers[site.id]
        if isinstance(tier, str):
            out[tier] = out.get(tier, 0) + len(site.nodes)
    said = _words(wish)
    return tuple(Rejection(name, out[name], True, *said[name]) for name in (*TESTS, "site_named") if name in out)


def round_trips_of(snapshot: Snapshot, wish: Wish) -> dict[str, int]:
    """By site id the longest round trip to the demand places that the wish names, where all are known."""
    if not wish.latency_us:
        return {}
    found = {}
    for site in snapshot.sites:
        known = dict(site.round_trips_us)
        if all(place in known for place, _ in wish.latency_us):
            found[site.id] = max(known[place] for place, _ in wish.latency_us)
    return found


def _named(site: SiteState, names: tuple[str, ...]) -> bool:
    return site.id in names or site.name in names


def _provided(site: SiteState, names: tuple[str, ...]) -> bool:
    return site.provider_id in names or site.provider_name in names


def _too_far(site: SiteState, wish: Wish) -> bool:
    known = dict(site.round_trips_us)
    return any(place not in known or known[place] > most for place, most in wish.latency_us)


TESTS: dict[str, Callable[[SiteState, Wish], bool]] = {
    "site_avoided": lambda site, wish: _named(site, wish.avoid_sites),
    "site_region": lambda site, wish: bool(wish.regions) and site.region not in wish.regions,
    "site_region_avoided": lambda site, wish: site.region in wish.avoid_regions,
    "site_provider": lambda site, wish: bool(wish.providers) and not _provided(site, wish.providers),
    "site_provider_avoided": lambda site, wish: _provided(site, wish.avoid_providers),
    "site_green": lambda site, wish: (site.green_ppm or 0) < wish.green_ppm_min,
    "site_latency": _too_far,
}
"""What leaves a site out, in the order in which it is tested; "site_named" comes last."""


def _tier(site: SiteState, wish: Wish) -> int | str:
    for name, fails in TESTS.items():
        if fails(site, wish):
            return name
    if not wish.sites or _named(site, wish.sites):
        return 0
    standbys = [number for number, name in enumerate(wish.standby, 1) if name in (site.id, site.name)]
    return standbys[0] if standbys else "site_named"


def milliseconds(us: int) -> str:
    return f"{decimal_text(us, 3)} ms"


def percent(ppm: int) -> str:
    return f"{decimal_text(ppm, 4)} %"


def _words(wish: Wish) -> dict[str, tuple[Text, Text]]:
    far = [f"{place} ≤ {milliseconds(most)}" for place, most in wish.latency_us]
    green = percent(wish.green_ppm_min)
    return {
        "site_avoided": (
            Text("their site is one that zhisuan.avoid_sites names", "所在站点在 zhisuan.avoid_sites 中"),
            Text("take the site out of zhisuan.avoid_sites", "从 zhisuan.avoid_sites 去掉该站点"),
        ),
        "site_region": (
            Text("their site is in another region than zhisuan.region asks for", "所在站点不在 zhisuan.region 指定的地区"),
            Text("ask for more regions", "放宽地区"),
        ),
        "site_region_avoided": (
            Text("their site is in a region that zhisuan.avoid_regions names", "所在站点位于 zhisuan.avoid_regions 中的地区"),
            Text("take the region out of zhisuan.avoid_regions", "从 zhisuan.avoid_regions 去掉该地区"),
        ),
        "site_provider": (
            Text("their provider is not among zhisuan.providers", "其提供方不在 zhisuan.providers 中"),
            Text("name more providers under zhisuan.providers", "在 zhisuan.providers 中增加提供方"),
        ),
        "site_provider_avoided": (
            Text("their provider is one that zhisuan.avoid_providers names", "其提供方在 zhisuan.avoid_providers 中"),
            Text("take the provider out of zhisuan.avoid_providers", "从 zhisuan.avoid_providers 去掉该提供方"),
        ),
        "site_green": (
            Text(f"their provider states no green share of {green} or more", f"其提供方未声明不低于 {green} 的绿电占比"),
            Text("ask for a smaller share (zhisuan.green_only)", "降低绿电占比要求（zhisuan.green_only）"),
        ),
        "site_latency": (
            Text(f"no round trip is on record that keeps {', '.join(far)}", f"没有满足 {'、'.join(far)} 的往返时延记录"),
            Text("allow a longer round trip (zhisuan.latency)", "放宽往返时延（zhisuan.latency）"),
        ),
        "site_named": (
            Text("their site is not among those that the workload names", "所在站点不在作业指定的站点之内"),
            Text("name more sites under zhisuan.sites or zhisuan.standby", "在 zhisuan.sites 或 zhisuan.standby 中增加站点"),
        ),
    }
