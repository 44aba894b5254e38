"""The rules of placement said the plain way, one node after the other: what ``zhisuan.placement`` must always agree with."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from zhisuan.catalog.rules import PPM
from zhisuan.placement.columns import MILLI_CARD
from zhisuan.placement.rules import CONSTRAINTS, _candidate, _reason, _rejection, class_ids_named
from zhisuan.placement.types import (
    Candidate,
    ClassFacts,
    DeviceState,
    Need,
    NodeShares,
    NodeState,
    Plan,
    Share,
    SiteState,
    Snapshot,
)


def plan(snapshot: Snapshot, need: Need) -> Plan:
    """All nodes that can take ``need`` now, best first, and what kept the others out.

    Each node is counted under the first constraint it fails, in the order below; a permanent constraint cannot be met by
    waiting. A plan never gives a device more than it has free.
    """
    classes = {c.class_id: c for c in snapshot.classes}
    candidates: list[Candidate] = []
    failed: Counter[str] = Counter()
    ever = False
    variants = _of_one_class(need, classes)
    for site in snapshot.sites:
        enough = _could(site, variants, need.nodes, classes)
        ever = ever or enough
        fitting = 0
        for node in site.nodes:
            constraint = _first_failed(site, node, need, classes)
            if constraint is None:
                fitting += 1
            else:
                failed[constraint] += 1
        found = _of_site(snapshot, site, variants, classes)
        candidates += found
        if fitting and not found:
            failed["gang_free" if enough else "gang_capacity"] += fitting
    ranked = tuple(sorted(candidates, key=lambda c: c.order))
    rejections = tuple(_rejection(name, failed[name], need) for name in CONSTRAINTS if name in failed)
    return Plan(ranked, rejections, ever, _reason(snapshot, need, ranked, rejections))


def _of_one_class(need: Need, classes: dict[str, ClassFacts]) -> tuple[Need, ...]:
    """A gang's cards are of one class on all its nodes: the need once for each choice of classes that have the names."""
    if need.nodes == 1:
        return (need,)
    named = (sorted(class_ids_named(name, classes)) for name, _ in need.accelerators)
    counts = [count for _, count in need.accelerators]
    return tuple(
        replace(need, accelerators=tuple(zip(chosen, counts, strict=True))) for chosen in itertools.product(*named)
    )


def _could(site: SiteState, variants: Sequence[Need], nodes: int, classes: dict[str, ClassFacts]) -> bool:
    """Whether the site, empty and open, has enough nodes for one of the variants."""
    return nodes <= site.gang_nodes_max and any(
        sum(_fits_when_empty(site, node, one, classes) for node in site.nodes) >= nodes for one in variants
    )


def _of_site(
    snapshot: Snapshot, site: SiteState, variants: Sequence[Need], classes: dict[str, ClassFacts]
) -> list[Candidate]:
    """The candidates of a site: each fitting node for work of one node; for a gang its best nodes, once for each variant."""
    found = []
    for need in variants:
        fitting = [node for node in site.nodes if _first_failed(site, node, need, classes) is None]
        single = [_candidate(snapshot, site, _shares(site, node, need, classes), classes=classes) for node in fitting]
        if need.nodes == 1:
            found += single
        elif len(single) >= need.nodes <= site.gang_nodes_max:
            best = sorted(single, key=lambda c: c.order)[: need.nodes]
            found.append(_candidate(snapshot, site, *(c.nodes[0] for c in best), classes=classes))
    return found


def _first_failed(site: SiteState, node: NodeState, need: Need, classes: dict[str, ClassFacts]) -> str | None:
    if site.state != "open":
        return "site_open"
    if not site.offered:
        return "offered"
    if not node.present:
        return "node_present"
    permanent = _permanent(node, need, classes)
    if permanent is not None:
        return permanent
    if not site.isolated:
        return "isolation"
    if need.jupyterlab and not site.jupyterlab:
        return "jupyterlab"
    if not site.reachable:
        return "reachable"
    if _pick(node, "cpu", need.cpus_milli) is None:
        return "cpu_free"
    if _pick(node, "memory", need.memory_mib) is None:
        return "memory_free"
    if need.accelerators and _cards(node, need, classes, free=True) is None:
        return "accelerator_free"
    return None


def _permanent(node: NodeState, need: Need, classes: dict[str, ClassFacts]) -> str | None:
    """What this node could never give, even empty."""
    for name, _ in need.accelerators:
        wanted = class_ids_named(name, classes)
        cards = [d for d in node.devices if d.kind == "accelerator" and d.class_id in wanted]
        if not cards:
            return "accelerator_class"
        if all(classes[str(d.class_id)].rate_udu_per_hour is None for d in cards):
            return "rated"
    if need.accelerators and _cards(node, need, classes, free=False) is None:
        return "accelerator_capacity"
    if max((d.capacity for d in node.devices if d.kind == "cpu"), default=0) < need.cpus_milli:
        return "cpu_capacity"
    if max((d.capacity for d in node.devices if d.kind == "memory"), default=0) < need.memory_mib:
        return "memory_capacity"
    return None


def _fits_when_empty(site: SiteState, node: NodeState, need: Need, classes: dict[str, ClassFacts]) -> bool:
    return site.state in ("open", "draining", "verified", "joining") and _permanent(node, need, classes) is None


def _pick(node: NodeState, kind: str, amount: int) -> DeviceState | None:
    """The device of ``kind`` with the least left over that still has ``amount`` free."""
    fitting = [d for d in node.devices if d.kind == kind and d.free >= amount]
    return min(fitting, key=lambda d: (d.free, d.id), default=None)


def _cards(
    node: NodeState, need: Need, classes: dict[str, ClassFacts], *, free: bool
) -> tuple[DeviceState, ...] | None:
    """Whole cards of one class for each accelerator asked for, or None. ``free`` false asks of an empty node."""
    chosen: list[DeviceState] = []
    for name, count in need.accelerators:
        by_class: dict[str, list[DeviceState]] = {}
        for device in sorted(node.devices, key=lambda d: d.id):
            facts = classes.get(device.class_id or "")
            if device.kind != "accelerator" or facts is None or facts.rate_udu_per_hour is None:
                continue
            amount = device.free if free else device.capacity
            if device.class_id in class_ids_named(name, classes) and amount >= MILLI_CARD and device not in chosen:
                by_class.setdefault(facts.class_id, []).append(device)
        enough = {cid: cards for cid, cards in by_class.items() if len(cards) >= count}
        if not enough:
            return None
        cheapest = min(enough, key=lambda cid: (classes[cid].rate_udu_per_hour or 0, cid))
        chosen += enough[cheapest][:count]
    return tuple(chosen)


def _shares(site: SiteState, node: NodeState, need: Need, classes: dict[str, ClassFacts]) -> NodeShares:
    """What ``need`` takes of a node that has it free."""
    cpu, memory = _pick(node, "cpu", need.cpus_milli), _pick(node, "memory", need.memory_mib)
    cards = _cards(node, need, classes, free=True) if need.accelerators else ()
    if cpu is None or memory is None or cards is None:
        raise ValueError("shares were asked for of a node that does not fit")
    taken = [(cpu, need.cpus_milli), (memory, need.memory_mib), *((card, MILLI_CARD) for card in cards)]
    factors = dict(site.factors_ppm)
    shares = tuple(
        Share(d.id, d.key, d.kind, None if d.kind == "memory" else d.class_id, amount, d.free - amount, factors.get(d.class_id or "", PPM))
        for d, amount in taken
    )
    return NodeShares(node.id, node.hostname, shares)
