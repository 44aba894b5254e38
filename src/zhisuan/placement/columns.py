"""The nodes of a snapshot as columns of whole numbers, so that a need is compared with all of them in a few steps.

A row is a node, in the order of (site id, node id). What is counted of a node:

| column | value |
| --- | --- |
| present | 1 or 0 |
| most of a kind | capacity of its largest device of kind cpu or memory; 0 for none |
| free of a kind, n | what its n-th device of the kind (by id) has free; −1 for none |
| class of a kind, n | number of that device's class in ``Columns.class_ids``; −1 for none |
| cards, whole, idle of a class | how many cards it has, how many have a whole card's capacity, how many have one free |

Columns of one snapshot are made from those of the one before: only sites that are another object are looked at again.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zhisuan.placement.types import NodeState, SiteState

MILLI_CARD = 1000
USUAL_STATES = ("open", "draining", "verified", "joining")
KINDS = ("cpu", "memory")
Ints = NDArray[np.int64]
Key = tuple[str, ...]
"""Name of a column: ``("free", "cpu", "0")``, ``("whole", class id)`` …"""

ABSENT = {"free": -1, "class": -1}
"""What a node without the thing has in a column; 0 in the others."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What price and carbon of a site depend on, beside its devices."""

    pue_milli: int
    grid_g_per_mwh: int
    factors_ppm: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class TermColumns:
    """All terms there are, with their numbers. ``grams``: PUE times grid factor; ``factors_ppm`` by class, where not the whole."""

    terms: Mapping[Terms, int]
    grams: Ints
    factors_ppm: Mapping[str, tuple[tuple[int, int], ...]]

    @classmethod
    def of(cls, terms: Mapping[Terms, int], before: "TermColumns | None" = None) -> "TermColumns":
        if before is not None and len(before.terms) == len(terms):
            return before
        factors: dict[str, tuple[tuple[int, int], ...]] = {}
        for one, number in terms.items():
            for class_id, ppm in one.factors_ppm:
                factors[class_id] = (*factors.get(class_id, ()), (number, ppm))
        return cls(dict(terms), np.array([t.pue_milli * t.grid_g_per_mwh for t in terms], np.int64), factors)


@dataclass(frozen=True, slots=True)
class SiteColumns:
    """By site, in the order of ids. ``terms`` is the number of the site's terms in ``Columns.terms``."""

    open: Ints
    offered: Ints
    isolated: Ints
    reachable: Ints
    usual: Ints
    gang_nodes_max: Ints
    jupyterlab: Ints
    terms: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """See the module. ``source`` is the very tuple of sites that they were made from."""

    source: tuple[SiteState, ...]
    sites: tuple[SiteState, ...]
    nodes: tuple[NodeState, ...]
    site_of: Ints
    first_row: Ints
    by_site: SiteColumns
    by_node: Mapping[Key, Ints]
    terms: TermColumns
    class_ids: tuple[str, ...]

    def column(self, *key: str) -> Ints:
        found = self.by_node.get(key)
        return found if found is not None else np.full(len(self.nodes), ABSENT.get(key[0], 0), np.int64)

    def devices_of(self, kind: str) -> int:
        """The most devices of a kind that a node has."""
        return sum(1 for key in self.by_node if key[:2] == ("free", kind))


def columns_of(sites: tuple[SiteState, ...], before: Columns | None = None) -> Columns:
    """The columns of ``sites``; quick where they differ little from those of ``before``."""
    if before is not None and before.source is sites:
        return before
    ordered = tuple(sorted(sites, key=attrgetter("id")))
    if before is None or len(ordered) != len(before.sites):
        return _fresh(sites, ordered)
    others = [index for index, (new, old) in enumerate(zip(ordered, before.sites, strict=True)) if new is not old]
    if not all(_alike(ordered[index], before.sites[index]) for index in others):
        return _fresh(sites, ordered)
    return _changed(sites, ordered, before, others)


def _alike(new: SiteState, old: SiteState) -> bool:
    """Whether it is the same site with the same nodes, so that each node keeps its row."""
    return new.id == old.id and (new.nodes is old.nodes or _ids(new) == _ids(old))


def _ids(site: SiteState) -> list[str]:
    return sorted(n.id for n in site.nodes)


def _fresh(source: tuple[SiteState, ...], ordered: tuple[SiteState, ...]) -> Columns:
    nodes: list[NodeState] = []
    site_of: list[int] = []
    first_row = [0]
    for index, site in enumerate(ordered):
        nodes += sorted(site.nodes, key=lambda n: n.id)
        site_of += [index] * len(site.nodes)
        first_row.append(len(nodes))
    terms: dict[Terms, int] = {}
    classes: dict[str, int] = {}
    heads = [_head(site, terms) for site in ordered]
    columns: dict[Key, Ints] = {}
    for row, node in enumerate(nodes):
        for key, value in _facts(node, classes).items():
            if key not in columns:
                columns[key] = np.full(len(nodes), ABSENT.get(key[0], 0), np.int64)
            columns[key][row] = value
    by_site = SiteColumns(*(np.array(column, np.int64) for column in zip(*heads, strict=True))) if heads else _no_sites()
    return Columns(
        source, ordered, tuple(nodes), np.array(site_of, np.int64), np.array(first_row, np.int64), by_site, columns,
        TermColumns.of(terms), tuple(classes),
    )  # fmt: skip


def _no_sites() -> SiteColumns:
    return SiteColumns(*(np.zeros(0, np.int64) for _ in range(len(SiteColumns.__slots__))))


def _changed(source: tuple[SiteState, ...], ordered: tuple[SiteState, ...], before: Columns, others: Sequence[int]) -> Columns:
    """Columns in which something differs are copied, the others are shared with ``before``. ``others``: where another object stands."""
    terms = dict(before.terms.terms)
    classes = {c: n for n, c in enumerate(before.class_ids)}
    heads: list[list[Any]] = [[getattr(before.by_site, name), False] for name in SiteColumns.__slots__]
    columns = dict(before.by_node)
    copied: set[Key] = set()
    nodes = list(before.nodes)
    for index in others:
        new, old = ordered[index], before.sites[index]
        for held, value in zip(heads, _head(new, terms), strict=True):
            if held[0][index] != value:
                held[0] = held[0] if held[1] else held[0].copy()
                held[1] = True
                held[0][index] = value
        if new.nodes is old.nodes:
            continue
        for row, node in enumerate(sorted(new.nodes, key=lambda n: n.id), int(before.first_row[index])):
            if node is not nodes[row]:
                nodes[row] = node
                _put(row, _facts(node, classes), columns, copied, len(nodes))
    return Columns(
        source, ordered, tuple(nodes), before.site_of, before.first_row, SiteColumns(*(held[0] for held in heads)), columns,
        TermColumns.of(terms, before.terms), tuple(classes),
    )  # fmt: skip


def _put(row: int, facts: Mapping[Key, int], columns: dict[Key, Ints], copied: set[Key], length: int) -> None:
    for key in facts.keys() - columns.keys():
        columns[key] = np.full(length, ABSENT.get(key[0], 0), np.int64)
        copied.add(key)
    for key, column in columns.items():
        value = facts.get(key, ABSENT.get(key[0], 0))
        if column[row] != value:
            if key not in copied:
                copied.add(key)
                columns[key] = column = column.copy()
            column[row] = value


def _head(site: SiteState, terms: dict[Terms, int]) -> tuple[int, ...]:
    of = Terms(site.pue_milli, site.grid_g_per_mwh, site.factors_ppm)
    return (
        site.state == "open", site.offered, site.isolated, site.reachable, site.state in USUAL_STATES, site.gang_nodes_max,
        site.jupyterlab, terms.setdefault(of, len(terms)),
    )  # fmt: skip


def _facts(node: NodeState, classes: dict[str, int]) -> dict[Key, int]:
    facts: dict[Key, int] = defaultdict(int)
    facts["present",] = int(node.present)
    numbers = dict.fromkeys(KINDS, 0)
    for device in sorted(node.devices, key=lambda d: d.id):
        if device.kind in KINDS:
            number = str(numbers[device.kind])
            numbers[device.kind] += 1
            facts["most", device.kind] = max(facts["most", device.kind], device.capacity)
            facts["free", device.kind, number] = device.free
            if device.class_id is not None:
                facts["class", device.kind, number] = classes.setdefault(device.class_id, len(classes))
        elif device.kind == "accelerator" and device.class_id is not None:
            classes.setdefault(device.class_id, len(classes))
            facts["cards", device.class_id] += 1
            facts["whole", device.class_id] += device.capacity >= MILLI_CARD
            facts["idle", device.class_id] += device.free >= MILLI_CARD
    return dict(facts)
