"""The rules of placement said the plain way, one node after the other: what ``zhisuan.placement`` must always agree with."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from zhisuan.base.money import cost_ucny
from zhisuan.catalog.rules import PPM, device_rate
from zhisuan.placement.columns import MILLI_CARD
from zhisuan.placement.rules import CONSTRAINTS, PERMANENT, _candidate, _reason, class_ids_named
from zhisuan.placement.site_wishes import Wish
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
from zhisuan.placement.words import rejection


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
        enough = _could(snapshot, site, variants, need.nodes, classes)
        ever = ever or enough
        fitting = 0
        for node in site.nodes:
            constraint = _first_failed(snapshot, site, node, need, classes)
            if constraint is None:
                fitting += 1
            else:
                failed[constraint] += 1
        free = _of_site(snapshot, site, variants, classes)
        found = [c for c in free if _over(c, need) is None]
        candidates += found
        if need.nodes == 1:
            failed.update(_over(c, need) or "" for c in free if c not in found)
        elif fitting and not found:
            failed[_over(free[0], need) or "" if free else "gang_free" if enough else "gang_capacity"] += fitting
    ranked = tuple(sorted(candidates, key=lambda c: c.order))
    rejections = tuple(rejection(name, failed[name], need, permanent=name in PERMANENT) for name in CONSTRAINTS if name in failed)
    return Plan(ranked, rejections, ever, _reason(snapshot, need, ranked, rejections))


def _of_one_class(need: Need, classes: dict[str, ClassFacts]) -> tuple[Need, ...]:
    """A gang's cards are of one class on all its nodes: the need once for each choice of classes that have the names."""
    if need.nodes == 1:
        return (need,)
    named = (sorted(_classes_for(need, name, classes)) for name, _ in need.accelerators)
    counts = [count for _, count in need.accelerators]
    return tuple(
        replace(need, accelerators=tuple(zip(chosen, counts, strict=True))) for chosen in itertools.product(*named)
    )


def _classes_for(need: Need, name: str, classes: dict[str, ClassFacts]) -> set[str]:
    """The classes of that name whose cards have enough memory."""
    named = class_ids_named(name, classes)
    return {c for c in named if need.device_memory_mib == 0 or (classes[c].memory_mib or 0) >= need.device_memory_mib}


def _over(candidate: Candidate, need: Need) -> str | None:
    """The ceiling that a candidate is over."""
    if need.price_max_ucny is not None and candidate.hour_ucny > need.price_max_ucny:
        return "price_max"
    if need.rate_max_udu is not None and candidate.rate_udu_per_hour > need.rate_max_udu:
        return "price_max"
    if need.carbon_max_mg is not None and candidate.carbon_g_per_hour_milli > need.carbon_max_mg:
        return "carbon_max"
    cards = sum(1 for share in candidate.shares if share.kind == "accelerator")
    if cards and need.carbon_card_max_mg is not None and candidate.carbon_g_per_hour_milli > need.carbon_card_max_mg * cards:
        return "carbon_max"
    return None


def _could(
    snapshot: Snapshot, site: SiteState, variants: Sequence[Need], nodes: int, classes: dict[str, ClassFacts]
) -> bool:
    """Whether the site, empty and open, has enough nodes for one of the variants, at prices and carbon that may be below its ceilings."""
    if nodes > site.gang_nodes_max:
        return False
    for one in variants:
        usable = [node for node in site.nodes if _fits_when_empty(snapshot, site, node, one, classes)]
        if len(usable) < nodes:
            continue
        each = [_least(snapshot, site, node, one, classes) for node in usable]
        if _least_over(snapshot, site, one, nodes * min(r for r, _ in each), nodes * min(p for _, p in each)) is None:
            return True
    return False


def _least(
    snapshot: Snapshot, site: SiteState, node: NodeState, need: Need, classes: dict[str, ClassFacts]
) -> tuple[int, int]:
    """Rate and power that work on the node could not come below: the cheapest class for each thing, the one that draws least."""
    factors = dict(site.factors_ppm)

    def rate_of(facts: ClassFacts | None, amount: int) -> int:
        return device_rate(facts.rate_udu_per_hour or 0, amount, factors.get(facts.class_id, PPM)) if facts else 0

    cpus = [classes.get(d.class_id or "") for d in node.devices if d.kind == "cpu"]
    free = bool(need.accelerators) and snapshot.cpu_with_accelerator_free
    rate = 0 if free else min((rate_of(facts, need.cpus_milli) for facts in cpus), default=0)
    power = min((facts.power_milliwatts * need.cpus_milli // 1000 if facts else 0 for facts in cpus), default=0)
    for name, count in need.accelerators:
        enough = []
        for class_id in _classes_for(need, name, classes):
            facts = classes[class_id]
            whole = [d for d in node.devices if d.class_id == class_id and d.kind == "accelerator" and d.capacity >= MILLI_CARD]
            if facts.rate_udu_per_hour is not None and len(whole) >= count:
                enough.append(facts)
        rate += count * min(rate_of(facts, MILLI_CARD) for facts in enough)
        power += count * min(facts.power_milliwatts for facts in enough)
    return rate, power


def _least_over(snapshot: Snapshot, site: SiteState, need: Need, rate: int, power: int) -> str | None:
    price = cost_ucny(rate, snapshot.price_e8_per_du)
    if need.price_max_ucny is not None and price > need.price_max_ucny:
        return "price_least"
    if need.rate_max_udu is not None and rate > need.rate_max_udu:
        return "price_least"
    carbon = power * site.pue_milli * site.grid_g_per_mwh // 10**9
    return "carbon_least" if need.carbon_most_mg is not None and carbon > need.carbon_most_mg else None


def _of_site(
    snapshot: Snapshot, site: SiteState, variants: Sequence[Need], classes: dict[str, ClassFacts]
) -> list[Candidate]:
    """The candidates of a site: each fitting node for work of one node; for a gang its best nodes, once for each variant."""
    found = []
    for need in variants:
        fitting = [node for node in site.nodes if _first_failed(snapshot, site, node, need, classes) is None]
        single = [_candidate(snapshot, site, _shares(site, node, need, classes), classes=classes) for node in fitting]
        if need.nodes == 1:
            found += single
        elif len(single) >= need.nodes <= site.gang_nodes_max:
            best = sorted(single, key=lambda c: c.order)[: need.nodes]
            found.append(_candidate(snapshot, site, *(c.nodes[0] for c in best), classes=classes))
    return found


def _first_failed(
    snapshot: Snapshot, site: SiteState, node: NodeState, need: Need, classes: dict[str, ClassFacts]
) -> str | None:
    if site.state != "open":
        return "site_open"
    if not site.offered:
        return "offered"
    if not node.present:
        return "node_present"
    permanent = _permanent(snapshot, site, node, need, classes)
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


def _permanent(
    snapshot: Snapshot, site: SiteState, node: NodeState, need: Need, classes: dict[str, ClassFacts]
) -> str | None:
    """What this node could never give, even empty."""
    for name, _ in need.accelerators:
        wanted = class_ids_named(name, classes)
        cards = [d for d in node.devices if d.kind == "accelerator" and d.class_id in wanted]
        if not cards:
            return "accelerator_class"
        cards = [d for d in cards if d.class_id in _classes_for(need, name, classes)]
        if not cards:
            return "device_memory"
        if all(classes[str(d.class_id)].rate_udu_per_hour is None for d in cards):
            return "rated"
    if need.accelerators and _cards(node, need, classes, free=False) is None:
        return "accelerator_capacity"
    if max((d.capacity for d in node.devices if d.kind == "cpu"), default=0) < need.cpus_milli:
        return "cpu_capacity"
    if max((d.capacity for d in node.devices if d.kind == "memory"), default=0) < need.memory_mib:
        return "memory_capacity"
    return _least_over(snapshot, site, need, *_least(snapshot, site, node, need, classes))


def _fits_when_empty(
    snapshot: Snapshot, site: SiteState, node: NodeState, need: Need, classes: dict[str, ClassFacts]
) -> bool:
    usual = site.state in ("open", "draining", "verified", "joining")
    return usual and _permanent(snapshot, site, node, need, classes) is None


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
            if device.class_id in _classes_for(need, name, classes) and amount >= MILLI_CARD and device not in chosen:
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


def left_out(site: SiteState, wish: Wish) -> str | None:
    """The first of its wishes about sites that a site does not fulfil."""
    mine, provider = {site.id, site.name}, {site.provider_id, site.provider_name}
    if mine & set(wish.avoid_sites):
        return "site_avoided"
    if wish.regions and site.region not in wish.regions:
        return "site_region"
    if site.region in wish.avoid_regions:
        return "site_region_avoided"
    if wish.providers and not provider & set(wish.providers):
        return "site_provider"
    if provider & set(wish.avoid_providers):
        return "site_provider_avoided"
    if wish.green_ppm_min > 0 and (site.green_ppm is None or site.green_ppm < wish.green_ppm_min):
        return "site_green"
    for place, most in wish.latency_us:
        if not any(name == place and us <= most for name, us in site.round_trips_us):
            return "site_latency"
    if wish.sites and not mine & {*wish.sites, *wish.standby}:
        return "site_named"
    return None


def plan_wish(snapshot: Snapshot, wish: Wish) -> tuple[list[tuple[int, Candidate]], Counter[tuple[int, str]], bool]:
    """The candidates with the number of their alternative, best first; how many nodes each constraint took out, by alternative (0: for
    all); whether any could ever fit."""
    out = Counter({(0, name): 0 for site in snapshot.sites if (name := left_out(site, wish)) is not None})
    for site in snapshot.sites:
        if (name := left_out(site, wish)) is not None:
            out[0, name] += len(site.nodes)
    narrowed = replace(snapshot, sites=tuple(site for site in snapshot.sites if left_out(site, wish) is None))
    found: list[tuple[int, Candidate]] = []
    ever = False
    for number, need in enumerate(wish.needs, 1):
        made = plan(narrowed, need)
        ever = ever or made.could_ever_fit
        found += [(number, candidate) for candidate in made.candidates]
        for one in made.rejections:
            out[number, one.constraint] += one.count

    def rank(one: tuple[int, Candidate]) -> tuple[int, int, tuple[tuple[int, ...], str, str]]:
        number, candidate = one
        names = (candidate.site_id, candidate.site_name)
        primary = not wish.sites or any(name in wish.sites for name in names)
        tier = 0 if primary else min(n for n, name in enumerate(wish.standby, 1) if name in names)
        return tier, number if wish.ordered and len(wish.needs) > 1 else 0, candidate.order

    return sorted(found, key=rank), out, ever
