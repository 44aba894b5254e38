"""The city as placement sees it: states of sites, changed by what is taken and given back, and a snapshot of them.

Columns are carried on from one snapshot to the next, as the server does (``execution.live``): a decision costs what has changed.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

from zhisuan.catalog.device_classes import load_device_classes
from zhisuan.catalog.price_book import PriceBook
from zhisuan.placement.columns import Columns, columns_of
from zhisuan.placement.rules import class_ids_named, plain_names
from zhisuan.placement.types import Candidate, ClassFacts, DeviceState, NodeState, SiteState, Snapshot
from zhisuan.simulation.city.types import City, CitySite

CPU_CLASS = "cpu-core"
Held = tuple[tuple[str, tuple[tuple[str, int], ...]], ...]
"""By node what is held: (node id, ((device id, amount), …)), …"""


def class_facts(book: PriceBook) -> tuple[ClassFacts, ...]:
    return tuple(
        ClassFacts(c.class_id, plain_names(c.class_id, c.model), book.device_rates.get(c.class_id), (c.power_watts_rated or 0) * 1000)
        for c in load_device_classes()
    )


def site_state(site: CitySite, hour: int, *, reachable: bool = True) -> SiteState:
    """The empty site; its id is its name."""
    nodes: list[NodeState] = []
    for group in site.groups:
        nodes += [_node(f"{site.name}/n{number:05}", group.cores, group.memory_mib, group.class_id, group.cards)
                  for number in range(len(nodes) + 1, len(nodes) + group.count + 1)]  # fmt: skip
    return SiteState(
        id=site.name, name=site.name, provider_id=site.provider, state="open", reachable=reachable, isolated=True,
        region=site.region, pue_milli=site.pue_milli, grid_g_per_mwh=site.grid_g_per_mwh[hour % 24], nodes=tuple(nodes),
        gang_nodes_max=site.gang_nodes_max, offered=site.is_open(hour),
    )  # fmt: skip


def _node(ident: str, cores: int, memory_mib: int, class_id: str | None, cards: int) -> NodeState:
    devices = [
        DeviceState(f"{ident}/cpu", "cpu", "cpu", CPU_CLASS, cores * 1000, 0, True),
        DeviceState(f"{ident}/mem", "memory", "memory", None, memory_mib, 0, True),
    ]
    devices += [DeviceState(f"{ident}/g{n:02}", f"g{n:02}", "accelerator", class_id, 1000, 0, True) for n in range(cards)]
    return NodeState(ident, ident.rpartition("/")[2], True, tuple(devices))


def held_by(candidate: Candidate) -> Held:
    return tuple((node.node_id, tuple((s.device_id, s.amount) for s in node.shares)) for node in candidate.nodes)


class Board:
    """``capacity`` and ``used`` count by class: milli-cores and milli-cards."""

    def __init__(self, city: City) -> None:
        self._city = city
        self._classes = class_facts(city.book)
        self._states = {site.name: site_state(site, 0, reachable=not self._out(site.name, 0)) for site in city.sites}
        self._place = {ident: (site.id, row) for site in self._states.values() for row, ident in enumerate(n.id for n in site.nodes)}
        self._columns: Columns | None = None
        self._sites: tuple[SiteState, ...] | None = None
        self.capacity = Counter[str]()
        self._by_id = {facts.class_id: facts for facts in self._classes}
        self._rates: dict[str, int] = {}
        for state in self._states.values():
            for device in (d for node in state.nodes for d in node.devices if d.class_id is not None):
                self.capacity[str(device.class_id)] += device.capacity
        self.used = Counter[str]()

    def snapshot(self, *, spot: bool = False) -> Snapshot:
        if self._sites is None:
            self._sites = tuple(self._states.values())
            self._columns = columns_of(self._sites, self._columns)
        book = self._city.book
        return Snapshot(self._sites, self._classes, book.price_e8_per_du(spot=spot), book.cpu_with_accelerator_free, self._columns)

    def rate(self, name: str) -> int:
        """The least rate of the classes that ``name`` means, in 10⁻⁶ 度 an hour a card; 0 for none."""
        if name not in self._rates:
            rates = (self._by_id[c].rate_udu_per_hour for c in class_ids_named(name, self._by_id))
            self._rates[name] = min((rate for rate in rates if rate), default=0)
        return self._rates[name]

    def take(self, held: Held) -> None:
        """Raises ValueError where a device would give more than it has."""
        self._change(held, 1)

    def give_back(self, held: Held) -> None:
        self._change(held, -1)

    def _change(self, held: Held, sign: int) -> None:
        site_id = self._place[held[0][0]][0]
        state = self._states[site_id]
        nodes = list(state.nodes)
        for ident, amounts in held:
            row = self._place[ident][1]
            by_id = dict(amounts)
            nodes[row] = replace(nodes[row], devices=tuple(self._device(d, sign * by_id[d.id]) if d.id in by_id else d for d in nodes[row].devices))
        self._put(replace(state, nodes=tuple(nodes)))

    def _device(self, device: DeviceState, amount: int) -> DeviceState:
        allocated = device.allocated + amount
        if not 0 <= allocated <= device.capacity:
            raise ValueError(f"{device.id} would hold {allocated} of {device.capacity}")
        if device.class_id is not None:
            self.used[device.class_id] += amount
        return replace(device, allocated=allocated)

    def _put(self, state: SiteState) -> None:
        self._states[state.id] = state
        self._sites = None

    def begin_hour(self, hour: int) -> tuple[bool, tuple[str, ...]]:
        """What an hour changes: whether any site can take more than before, and the sites that are lost with it."""
        better, lost = False, []
        for site in self._city.sites:
            old = self._states[site.name]
            out = self._out(site.name, hour)
            grid, offered = site.grid_g_per_mwh[hour % 24], site.is_open(hour)
            if (grid, offered, not out) == (old.grid_g_per_mwh, old.offered, old.reachable):
                continue
            better = better or (offered and not out and not (old.offered and old.reachable))
            if out and old.reachable:
                lost.append(site.name)
            self._put(replace(old, grid_g_per_mwh=grid, offered=offered, reachable=not out))
        return better, tuple(lost)

    def _out(self, name: str, hour: int) -> bool:
        return any(outage.site == name and outage.covers(hour) for outage in self._city.outages)


def dominant_ppm(used: Iterable[tuple[str, int]], capacity: Callable[[str], int]) -> int:
    """The largest share of any class, in millionths."""
    return max((amount * 10**6 // capacity(name) for name, amount in used if amount), default=0)
