"""Feasible nodes, then ranked: price, then carbon, then how tightly the work packs; ties by id."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from zhisuan.base.money import cost_ucny
from zhisuan.base.text import Text
from zhisuan.catalog.rules import PPM, device_rate
from zhisuan.placement.candidates import Ranked
from zhisuan.placement.columns import MILLI_CARD, Columns, Ints, columns_of
from zhisuan.placement.gangs import Gangs, find_gangs
from zhisuan.placement.search import Ceilings, Compared, Prices, Wanted, best_first, compare, sort_out
from zhisuan.placement.types import (
    Candidate,
    ClassFacts,
    DeviceState,
    Need,
    NodeShares,
    NodeState,
    Part,
    Plan,
    Rejection,
    Share,
    SiteState,
    Snapshot,
)
from zhisuan.placement.words import rejection


def plan(snapshot: Snapshot, need: Need, tiers: Mapping[str, int] | None = None) -> Plan:
    """All nodes that can take ``need`` now, best first, and what kept the others out.

    Each node is counted under the first constraint it fails, in the order below; a permanent constraint cannot be met by
    waiting. A plan never gives a device more than it has free. ``tiers``: the sites that are looked at, by id, each with its place in
    an order that comes before price (None: all, alike).
    """
    columns = columns_of(snapshot.sites, snapshot.columns)
    prices = Prices(
        {c.class_id: c for c in snapshot.classes}, snapshot.price_e8_per_du, snapshot.cpu_with_accelerator_free
    )
    tier = None if tiers is None else np.array([tiers.get(site.id, -1) for site in columns.sites], np.int64)
    among = None if tier is None else tier >= 0
    wanted = _wanted(need, prices.classes)
    found = sort_out(columns, wanted, prices, among)
    failed = Counter(found.failed)
    if need.nodes == 1:
        compared = compare(columns, wanted, prices, found.fitting)
        fitting = _within(compared, wanted.ceilings, failed) if wanted.ceilings.any else compared
        ranked = _ranked_nodes(snapshot, columns, need, fitting, tier, prices.classes)
        ever = bool((found.usable & (columns.by_site.gang_nodes_max[columns.site_of] >= 1)).any())
    else:
        variants = _of_one_class(need, prices.classes)
        gangs = find_gangs(columns, [_wanted(v, prices.classes) for v in variants], need.nodes, prices, among)
        failed.update(gangs.unfit(columns, found.fitting))
        ranked = _ranked_gangs(snapshot, columns, variants, gangs, tier, prices.classes)
        ever = bool(gangs.enough.any())
    rejections = tuple(rejection(name, failed[name], need, permanent=name in PERMANENT) for name in CONSTRAINTS if name in failed)
    return Plan(ranked, rejections, ever, _reason(snapshot, need, ranked, rejections, tiers))


def _within(compared: Compared, ceilings: Ceilings, failed: Counter[str]) -> Compared:
    dear = ceilings.over_price(compared.price, compared.rate)
    dirty = ceilings.over_carbon(compared.carbon) & ~dear
    for name, over in (("price_max", dear), ("carbon_max", dirty)):
        if over.any():
            failed[name] += int(over.sum())
    return compared.of(~dear & ~dirty)


def _wanted(need: Need, classes: dict[str, ClassFacts]) -> Wanted:
    cards = tuple((class_ids_for(need, name, classes), count) for name, count in need.accelerators)
    named = tuple(class_ids_named(name, classes) for name, _ in need.accelerators) if need.device_memory_mib else ()
    ceilings = Ceilings(need.price_max_ucny, need.rate_max_udu, need.carbon_most_mg)
    return Wanted(need.cpus_milli, need.memory_mib, cards, need.jupyterlab, named, ceilings)


def _of_one_class(need: Need, classes: dict[str, ClassFacts]) -> tuple[Need, ...]:
    """A gang's cards are of one class on all its nodes: the need once for each choice of classes that have the names."""
    named = (sorted(class_ids_for(need, name, classes)) for name, _ in need.accelerators)
    counts = [count for _, count in need.accelerators]
    return tuple(
        replace(need, accelerators=tuple(zip(chosen, counts, strict=True))) for chosen in itertools.product(*named)
    )


def _ranked_nodes(
    snapshot: Snapshot, columns: Columns, need: Need, compared: Compared, tier: Ints | None, classes: dict[str, ClassFacts]
) -> Sequence[Candidate]:
    rows = compared.rows
    keys = (*_by_tier(columns, tier, rows), compared.price, compared.carbon, compared.left)

    def make(number: int) -> Candidate:
        return _made(snapshot, columns, need, rows[number : number + 1], classes)

    return Ranked(len(rows), lambda first: best_first(keys, first), make, columns.site_of[rows].tolist())


def _ranked_gangs(
    snapshot: Snapshot, columns: Columns, variants: Sequence[Need], gangs: Gangs, tier: Ints | None, classes: dict[str, ClassFacts]
) -> Sequence[Candidate]:
    keys = (*_by_tier(columns, tier, gangs.rows[:, 0]), *gangs.keys())

    def make(number: int) -> Candidate:
        return _made(snapshot, columns, variants[gangs.variant[number]], gangs.rows[number], classes)

    sites = columns.site_of[gangs.rows[:, 0]].tolist()
    return Ranked(len(gangs.rows), lambda first: best_first(keys, first), make, sites)


def _by_tier(columns: Columns, tier: Ints | None, rows: Ints) -> tuple[Ints, ...]:
    return () if tier is None or not (tier > 0).any() else (tier[columns.site_of[rows]],)


def _made(
    snapshot: Snapshot, columns: Columns, need: Need, rows: Ints, classes: dict[str, ClassFacts]
) -> Candidate:
    """The candidate of these rows, all of one site."""
    site = columns.sites[columns.site_of[rows[0]]]
    shares = (_shares(site, columns.nodes[row], need, classes) for row in rows)
    return _candidate(snapshot, site, *shares, classes=classes)


def class_ids_named(name: str, classes: dict[str, ClassFacts]) -> frozenset[str]:
    """The device classes a user means by ``name``: an id, or a model name, in any case."""
    wanted = _plain(name)
    return frozenset(c.class_id for c in classes.values() if wanted in c.names or wanted == _plain(c.class_id))


def class_ids_for(need: Need, name: str, classes: dict[str, ClassFacts]) -> frozenset[str]:
    """Those of ``name`` whose cards have as much memory as ``need`` asks for; one whose memory nobody knows has not."""
    named = class_ids_named(name, classes)
    if not need.device_memory_mib:
        return named
    return frozenset(ident for ident in named if (classes[ident].memory_mib or 0) >= need.device_memory_mib)


def plain_names(class_id: str, model: str) -> frozenset[str]:
    """How users may write a class: its id, its model, and the model's leading words (``A100 SXM4 80GB`` is an A100), also
    without a brand before them (``Ascend 910B`` is a 910B)."""
    words = model.split()
    starts = (words, words[1:]) if words and words[0].isalpha() else (words,)
    return frozenset({_plain(class_id)} | {_plain("".join(w[:n])) for w in starts for n in range(1, len(w) + 1)})


@lru_cache(maxsize=4096)
def _plain(name: str) -> str:
    return "".join(ch for ch in name.lower() if ch.isalnum())


def _pick(node: NodeState, kind: str, amount: int) -> DeviceState | None:
    """The device of ``kind`` with the least left over that still has ``amount`` free."""
    fitting = [d for d in node.devices if d.kind == kind and d.free >= amount]
    return min(fitting, key=lambda d: (d.free, d.id), default=None)


def _cards(node: NodeState, need: Need, classes: dict[str, ClassFacts]) -> tuple[DeviceState, ...] | None:
    """Free whole cards of one class for each accelerator asked for, or None."""
    chosen: list[DeviceState] = []
    for name, count in need.accelerators:
        wanted = class_ids_for(need, name, classes)
        by_class: dict[str, list[DeviceState]] = {}
        for device in sorted(node.devices, key=lambda d: d.id):
            facts = classes.get(device.class_id or "")
            if device.kind != "accelerator" or facts is None or facts.rate_udu_per_hour is None:
                continue
            if device.class_id in wanted and device.free >= MILLI_CARD and device not in chosen:
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
    cards = _cards(node, need, classes) if need.accelerators else ()
    if cpu is None or memory is None or cards is None:
        raise ValueError("shares were asked for of a node that does not fit")
    taken = [(cpu, need.cpus_milli), (memory, need.memory_mib), *((card, MILLI_CARD) for card in cards)]
    factors = dict(site.factors_ppm)
    shares = tuple(
        Share(d.id, d.key, d.kind, None if d.kind == "memory" else d.class_id, amount, d.free - amount, factors.get(d.class_id or "", PPM))
        for d, amount in taken
    )
    return NodeShares(node.id, node.hostname, shares)


def _candidate(snapshot: Snapshot, site: SiteState, *nodes: NodeShares, classes: dict[str, ClassFacts]) -> Candidate:
    shares = tuple(share for node in nodes for share in node.shares)
    rate, power = _rate_and_power(snapshot, shares, classes)
    hour_ucny = cost_ucny(rate, snapshot.price_e8_per_du)
    # milliwatts for one hour are mWh; × PUE(10⁻³) × g/MWh gives 10⁻¹² g: 10⁹ of those are a milligram.
    carbon_mg = power * site.pue_milli * site.grid_g_per_mwh // 10**9
    parts = (
        Part("price", hour_ucny, "ucny_per_hour", Text("price an hour", "每小时价格")),
        Part(
            "carbon",
            carbon_mg,
            "mg_per_hour",
            Text("carbon an hour (location-based, modelled)", "每小时碳排放（基于位置，按额定功率估算）"),
        ),
        Part(
            "packing",
            sum(s.left for s in shares if s.kind == "cpu"),
            "millicores",
            Text("cores left over on the node", "节点剩余核数"),
        ),
    )
    return Candidate(
        site_id=site.id, site_name=site.name, provider_id=site.provider_id, region=site.region, pue_milli=site.pue_milli,
        nodes=nodes, rate_udu_per_hour=rate, power_milliwatts=power, parts=parts, hour_ucny=hour_ucny,
        carbon_g_per_hour_milli=carbon_mg,
    )  # fmt: skip


def _rate_and_power(snapshot: Snapshot, shares: tuple[Share, ...], classes: dict[str, ClassFacts]) -> tuple[int, int]:
    accelerated = any(s.kind == "accelerator" for s in shares)
    rate = power = 0
    for share in shares:
        facts = classes.get(share.class_id or "")
        if facts is None:
            continue
        power += facts.power_milliwatts * share.amount // 1000
        if not (share.kind == "cpu" and accelerated and snapshot.cpu_with_accelerator_free):
            rate += device_rate(facts.rate_udu_per_hour or 0, share.amount, share.factor_ppm)
    return rate, power


CONSTRAINTS = (
    "site_open", "offered", "node_present", "accelerator_class", "device_memory", "rated", "accelerator_capacity", "cpu_capacity",
    "memory_capacity", "price_least", "carbon_least", "gang_capacity", "isolation", "jupyterlab", "reachable", "cpu_free", "memory_free",
    "accelerator_free", "gang_free", "price_max", "carbon_max",
)  # fmt: skip
PERMANENT = {
    "accelerator_class", "device_memory", "rated", "accelerator_capacity", "cpu_capacity", "memory_capacity", "price_least", "carbon_least",
    "gang_capacity",
}  # fmt: skip


def _reason(
    snapshot: Snapshot,
    need: Need,
    ranked: Sequence[Candidate],
    rejections: tuple[Rejection, ...],
    tiers: Mapping[str, int] | None = None,
) -> Text:
    out = sum(r.count for r in rejections)
    looked = (site for site in snapshot.sites if tiers is None or site.id in tiers)
    if rejections and need.jupyterlab and not any(site.jupyterlab for site in looked):
        return Text("No site offers JupyterLab now; it waits for one that does.", "目前没有站点提供 JupyterLab，正在等待。")
    if not ranked:
        if not rejections and tiers is not None and len(tiers) < len(snapshot.sites):
            return Text("No site is left that it may run on.", "没有符合要求的站点。")
        if not rejections:
            return Text("No site has joined yet.", "尚无站点加入。")
        worst = max(rejections, key=lambda r: (r.count, -CONSTRAINTS.index(r.constraint)))
        return Text(
            f"None of {out} nodes can take it now; for {worst.count} of them: {worst.text.en}.",
            f"{out} 个节点当前都无法承接；其中 {worst.count} 个：{worst.text.zh}。",
        )
    best = ranked[0]
    where = f"{best.site_name}/{'+'.join(best.hostnames)}"
    if len(ranked) == 1:
        return Text(
            f"{where} is the only place that fits now; {out} nodes do not.",
            f"当前仅 {where} 可承接，另有 {out} 个节点不可用。",
        )
    for part, other in zip(best.parts, ranked[1].parts, strict=True):
        if part.value != other.value:
            return Text(
                f"{where} is best of {len(ranked)} that fit: lowest {part.text.en}.",
                f"在 {len(ranked)} 个可承接节点中，{where} 的{part.text.zh}最低。",
            )
    return Text(
        f"{where} is one of {len(ranked)} equals; the first by id was taken.",
        f"{len(ranked)} 个节点条件相同，按编号取 {where}。",
    )
