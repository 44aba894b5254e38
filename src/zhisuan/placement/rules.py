"""Feasible nodes, then ranked: price, then carbon, then how tightly the work packs; ties by id."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from zhisuan.base.money import cost_ucny
from zhisuan.base.text import Text
from zhisuan.catalog.rules import PPM, device_rate
from zhisuan.placement.candidates import Ranked
from zhisuan.placement.columns import MILLI_CARD, Columns, Ints, columns_of
from zhisuan.placement.gangs import Gangs, find_gangs
from zhisuan.placement.search import Prices, Wanted, best_first, compare, sort_out
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


def plan(snapshot: Snapshot, need: Need) -> Plan:
    """All nodes that can take ``need`` now, best first, and what kept the others out.

    Each node is counted under the first constraint it fails, in the order below; a permanent constraint cannot be met by
    waiting. A plan never gives a device more than it has free.
    """
    columns = columns_of(snapshot.sites, snapshot.columns)
    prices = Prices(
        {c.class_id: c for c in snapshot.classes}, snapshot.price_e8_per_du, snapshot.cpu_with_accelerator_free
    )
    found = sort_out(columns, _wanted(need, prices.classes), prices.classes)
    failed = Counter(found.failed)
    if need.nodes == 1:
        ranked = _ranked_nodes(snapshot, columns, need, prices, found.fitting)
        ever = bool((found.usable & (columns.by_site.gang_nodes_max[columns.site_of] >= 1)).any())
    else:
        variants = _of_one_class(need, prices.classes)
        gangs = find_gangs(columns, [_wanted(v, prices.classes) for v in variants], need.nodes, prices)
        failed.update(gangs.unfit(columns, found.fitting))
        ranked = _ranked_gangs(snapshot, columns, variants, gangs, prices.classes)
        ever = bool(gangs.enough.any())
    rejections = tuple(_rejection(name, failed[name], need) for name in CONSTRAINTS if name in failed)
    return Plan(ranked, rejections, ever, _reason(snapshot, need, ranked, rejections))


def _wanted(need: Need, classes: dict[str, ClassFacts]) -> Wanted:
    cards = tuple((class_ids_named(name, classes), count) for name, count in need.accelerators)
    return Wanted(need.cpus_milli, need.memory_mib, cards, need.jupyterlab)


def _of_one_class(need: Need, classes: dict[str, ClassFacts]) -> tuple[Need, ...]:
    """A gang's cards are of one class on all its nodes: the need once for each choice of classes that have the names."""
    named = (sorted(class_ids_named(name, classes)) for name, _ in need.accelerators)
    counts = [count for _, count in need.accelerators]
    return tuple(
        replace(need, accelerators=tuple(zip(chosen, counts, strict=True))) for chosen in itertools.product(*named)
    )


def _ranked_nodes(
    snapshot: Snapshot, columns: Columns, need: Need, prices: Prices, rows: Ints
) -> Sequence[Candidate]:
    compared = compare(columns, _wanted(need, prices.classes), prices, rows)
    keys = (compared.price, compared.carbon, compared.left)

    def make(number: int) -> Candidate:
        return _made(snapshot, columns, need, rows[number : number + 1], prices.classes)

    return Ranked(len(rows), lambda first: best_first(keys, first), make)


def _ranked_gangs(
    snapshot: Snapshot, columns: Columns, variants: Sequence[Need], gangs: Gangs, classes: dict[str, ClassFacts]
) -> Sequence[Candidate]:
    def make(number: int) -> Candidate:
        return _made(snapshot, columns, variants[gangs.variant[number]], gangs.rows[number], classes)

    return Ranked(len(gangs.rows), lambda first: best_first(gangs.keys(), first), make)


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
        wanted = class_ids_named(name, classes)
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
    "site_open", "offered", "node_present", "accelerator_class", "rated", "accelerator_capacity", "cpu_capacity", "memory_capacity",
    "gang_capacity", "isolation", "jupyterlab", "reachable", "cpu_free", "memory_free", "accelerator_free", "gang_free",
)  # fmt: skip
PERMANENT = {"accelerator_class", "rated", "accelerator_capacity", "cpu_capacity", "memory_capacity", "gang_capacity"}


def _rejection(name: str, count: int, need: Need) -> Rejection:
    cards = ", ".join(f"{n}:{c}" for n, c in need.accelerators)
    cores, gib = f"{need.cpus_milli / 1000:g}", f"{need.memory_mib / 1024:g}"
    text, unblock = {
        "site_open": (
            Text("their site is not open for work", "所在站点未开放"),
            Text("the operator opens the site", "由运营方开放站点"),
        ),
        "offered": (
            Text("their provider does not offer them now", "提供方当前未开放这些设备"),
            Text("their next offer window opens", "等待下一个开放时段"),
        ),
        "node_present": (
            Text("the node was not in its site's last report", "节点未出现在站点最近一次上报中"),
            Text("the provider brings the node back", "由提供方恢复节点"),
        ),
        "accelerator_class": (
            Text(f"they have no {cards}", f"没有 {cards}"),
            Text(
                "ask for another accelerator; `zhisuan catalog` lists the classes",
                "换用其他加速卡；zhisuan catalog 列出全部型号",
            ),
        ),
        "rated": (
            Text(f"their {cards} has no published rate yet", f"{cards} 尚无公布的 度 费率"),
            Text("the operator publishes a rate", "由运营方公布费率"),
        ),
        "accelerator_capacity": (
            Text(f"they have fewer cards than {cards}", f"卡数少于 {cards}"),
            Text("ask for fewer cards", "减少卡数"),
        ),
        "cpu_capacity": (
            Text(f"they have fewer than {cores} cores", f"核数少于 {cores}"),
            Text("ask for fewer cores", "减少核数"),
        ),
        "memory_capacity": (
            Text(f"they have less than {gib} GiB of memory", f"内存少于 {gib} GiB"),
            Text("ask for less memory", "减少内存"),
        ),
        "isolation": (
            Text("they cannot isolate tenants' work", "无法隔离租户作业"),
            Text(
                "the site installs what `zhisuan doctor` names, or its operator allows unisolated work",
                "站点安装 zhisuan doctor 指出的组件，或由其运营者允许非隔离运行",
            ),
        ),
        "jupyterlab": (
            Text("their site does not offer JupyterLab", "所在站点不提供 JupyterLab"),
            Text(
                "start a shell workspace instead (zhisuan.workspace: shell), or wait until a site offers JupyterLab",
                "改用终端工作空间（zhisuan.workspace: shell），或等待有站点提供 JupyterLab",
            ),
        ),
        "reachable": (
            Text("their site has not been heard from", "站点失联"),
            Text("the site comes back", "等待站点恢复"),
        ),
        "cpu_free": (
            Text(f"fewer than {cores} cores are free now", f"当前空闲核数不足 {cores}"),
            Text("other work there ends", "等待其他作业结束"),
        ),
        "memory_free": (
            Text(f"less than {gib} GiB of memory is free now", f"当前空闲内存不足 {gib} GiB"),
            Text("other work there ends", "等待其他作业结束"),
        ),
        "accelerator_free": (
            Text(f"fewer free cards than {cards} now", f"当前空闲卡不足 {cards}"),
            Text("other work there ends", "等待其他作业结束"),
        ),
        "gang_capacity": (
            Text(f"their site cannot give {need.nodes} such nodes to one workload", f"所在站点无法为一个作业提供 {need.nodes} 个这样的节点"),
            Text("ask for fewer nodes", "减少节点数"),
        ),
        "gang_free": (
            Text(f"their site has fewer than {need.nodes} such nodes free now", f"所在站点当前空闲的此类节点不足 {need.nodes} 个"),
            Text("other work there ends", "等待其他作业结束"),
        ),
    }[name]
    return Rejection(name, count, name in PERMANENT, text, unblock)


def _reason(
    snapshot: Snapshot, need: Need, ranked: Sequence[Candidate], rejections: tuple[Rejection, ...]
) -> Text:
    out = sum(r.count for r in rejections)
    if rejections and need.jupyterlab and not any(site.jupyterlab for site in snapshot.sites):
        return Text("No site offers JupyterLab now; it waits for one that does.", "目前没有站点提供 JupyterLab，正在等待。")
    if not ranked:
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
