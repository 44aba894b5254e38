"""Why each job is where it is planned, and what keeps the others out."""

import numpy as np

from zhisuan.base.text import Text
from zhisuan.placement.batch.greedy import Room
from zhisuan.placement.batch.options import NEVER, Options, counted
from zhisuan.placement.batch.types import CONSTRAINTS, BatchPlan, LeftOut, Problem, Start

_WORDS = {
    "denied": Text("{n} sites are not allowed by its list", "{n} 个站点被其名单排除"),
    "region": Text("{n} sites are in other regions", "{n} 个站点位于其他区域"),
    "class": Text("{n} sites have no device class that will do", "{n} 个站点没有合适的设备类别"),
    "node": Text("the nodes of {n} sites are too small", "{n} 个站点的节点太小"),
    "gang": Text("{n} sites cannot start that many nodes together", "{n} 个站点无法同时启动这么多节点"),
    "window": Text("{n} sites would not be done before its deadline", "{n} 个站点无法在截止前完成"),
    "capacity": Text(
        "at {n} sites the cards are worth more to others, or too few are free",
        "{n} 个站点的卡对其他作业更有价值，或空闲卡不足",
    ),
}
_REMEDY = {
    "denied": Text("Allow more sites or providers.", "请允许更多站点或供方。"),
    "region": Text("Allow more regions.", "请允许更多区域。"),
    "class": Text("Name more device classes.", "请增加可用的设备类别。"),
    "node": Text("Ask for fewer cards a node.", "请减少每节点卡数。"),
    "gang": Text("Ask for fewer nodes.", "请减少节点数。"),
    "window": Text("Give a later deadline, or faster device classes.", "请推迟截止时间，或使用更快的设备类别。"),
    "capacity": Text(
        "Give a later deadline or a higher value, or add capacity.", "请推迟截止时间、提高价值，或增加容量。"
    ),
}


def told(problem: Problem, options: Options, room: Room, bound: int, stopped: str) -> BatchPlan:
    """The plan with names. The jobs of one wish take its starts in the order of slots, then sites; the last ones are left out."""
    starts: list[Start | None] = [None] * len(problem.jobs)
    left: list[LeftOut | None] = [None] * len(problem.jobs)
    for wish, members in enumerate(options.members):
        waiting = list(members)
        held = sorted((int(t), int(s)) for s, t in zip(*np.nonzero(room.taken[wish]), strict=True))
        for slot, site in held:
            reason = _why_there(problem, options, room, wish, site, slot)
            for _ in range(int(room.taken[wish, site, slot])):
                job = waiting.pop(0)
                length, cost = int(options.length[wish, site]), int(options.cost[wish, site, slot])
                starts[job] = Start(problem.jobs[job].id, problem.sites[site].id, slot, length, cost, reason)
        for job in waiting:
            left[job] = _why_not(problem, options, wish, problem.jobs[job].id)
    placed = tuple(one for one in starts if one is not None)
    return BatchPlan(placed, tuple(one for one in left if one is not None), room.objective, bound, stopped)


def _why_there(problem: Problem, options: Options, room: Room, wish: int, site: int, slot: int) -> Text:
    """Against the best start at another site: what it costs, and whether there is room for it."""
    cost = options.cost[wish].copy()
    here = int(cost[site, slot])
    cost[site] = NEVER
    if cost.min() >= NEVER:
        return Text("No other site will do.", "没有其他可用站点。")
    other, at = divmod(int(cost.argmin()), cost.shape[1])
    name, more = problem.sites[other].id, int(cost[other, at]) - here
    if more >= 0:
        return Text(
            f"Next is {name} in slot {at}, which costs {yuan(more)} more.",
            f"其次为 {name} 第 {at} 时段，多 {yuan(more)} 元。",
        )
    if not room.fits(wish, other, at):
        return Text(
            f"{name} in slot {at} would cost {yuan(-more)} less, but its cards go to jobs to which they are worth more.",
            f"{name} 第 {at} 时段便宜 {yuan(-more)} 元，但其卡已分给更需要的作业。",
        )
    return Text(
        f"{name} in slot {at} would cost {yuan(-more)} less; the search ended before it was moved there.",
        f"{name} 第 {at} 时段便宜 {yuan(-more)} 元；搜索在移动前已结束。",
    )


def yuan(ucny: int) -> str:
    """10⁻⁶ yuan as yuan, to the fen."""
    fen = (ucny + 5_000) // 10_000
    return f"{fen // 100}.{fen % 100:02}"


def _why_not(problem: Problem, options: Options, wish: int, job: str) -> LeftOut:
    failed = counted(options.wishes[wish], problem.sites, problem.slots)
    if not failed:
        none = Text("There are no sites.", "没有站点。")
        return LeftOut(job, (), "capacity", none)
    binding = max((name for name, _ in failed), key=CONSTRAINTS.index)
    said = [(_WORDS[name].en.format(n=n), _WORDS[name].zh.format(n=n)) for name, n in failed]
    en, zh = "; ".join(one for one, _ in said), "；".join(two for _, two in said)
    remedy = _REMEDY[binding]
    reason = Text(f"{en[0].upper()}{en[1:]}. {remedy.en}", f"{zh}。{remedy.zh}")
    return LeftOut(job, failed, binding, reason)
