"""The plan for work that can wait: each job's cheapest hours, made to share what room there is."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from zhisuan.base.text import Text
from zhisuan.placement.deferral.allocate import Room, fill, improve
from zhisuan.placement.deferral.choice import NOWHERE, Chosen, Table, choose, table_of, used
from zhisuan.placement.deferral.types import DeferralPlan, Ints, Outlook, Planned, Slot, Work

PRICE_STEPS = 24
BOOSTS = 8


def plan(works: Sequence[Work], outlook: Outlook) -> DeferralPlan:
    """Hours and regions for each of ``works``, from ``outlook.now`` on.

    1. Each job by itself takes its cheapest hours. If that fits, it is the plan, and no plan is cheaper.
    2. Else card-hours that too many want are given a price, raised and lowered until wishes and room agree roughly.
    3. Jobs choose one after the other at these prices among the hours with room, those with the least slack first; who finds no room
       goes to the front, and all choose anew. Where that does not end well, they take hours in the order of deadlines, as
       early as they can. What is still without room is late, and runs as soon as there is room.
    4. Each looks once more for cheaper hours in the room that is left.

    Nothing random: ties go by deadline, then id.
    """
    works = sorted(works, key=lambda w: (w.deadline, w.id))
    if not works:
        return DeferralPlan((), np.zeros_like(outlook.cost))
    regions, hours = outlook.cost.shape
    jobs = table_of(works, outlook.now, regions, hours)
    chosen, _ = choose(jobs, outlook.cost, np.zeros_like(outlook.cost))
    alone = chosen
    enough = bool(((chosen != NOWHERE).sum(axis=1) == jobs.hours).all())
    if enough and bool((used(jobs, chosen, regions, hours) <= outlook.free - outlook.expected).all()):
        return DeferralPlan(_told(works, jobs, chosen, alone, outlook, frozenset()), np.zeros_like(outlook.cost))
    prices = _prices(jobs, outlook)
    room, late = _shared(jobs, outlook, prices)
    planned = _told(works, jobs, room.chosen, alone, outlook, late)
    return DeferralPlan(planned + _late(works, late, outlook, room.free), prices)


def _prices(jobs: Table, outlook: Outlook) -> Ints:
    """Prices of card-hours under which the jobs' own choices use about what there is (a subgradient of the Lagrangian)."""
    cost, free = outlook.cost, np.maximum(outlook.free - outlook.expected, 0)
    prices = np.zeros_like(cost) if outlook.prices is None else outlook.prices.copy()
    scale = int(np.ptp(cost)) * int(jobs.watts.sum()) // max(int(jobs.cards.sum()), 1)
    for turn in range(PRICE_STEPS):
        chosen, _ = choose(jobs, cost, prices)
        over = used(jobs, chosen, *cost.shape) - free
        change = np.clip(over * 1024 // np.maximum(free, 1), -1024, 1024) * (scale // 1024 + 1)
        prices = np.maximum(prices + change // (4 + turn), 0)
    return prices


def _shared(jobs: Table, outlook: Outlook, prices: Ints) -> tuple[Room, frozenset[int]]:
    slack = np.where(jobs.rigid, jobs.width - jobs.hours, (jobs.width - jobs.hours) * 2)
    order = np.lexsort((-jobs.cards, slack)).tolist()
    room = Room(jobs, outlook.cost, outlook.free - outlook.expected)
    without = fill(room, order, prices)
    room.free += outlook.expected
    without = fill(room, without, prices)
    for _ in range(BOOSTS):
        if not without:
            break
        order = without + [job for job in order if job not in set(without)]
        room = Room(jobs, outlook.cost, outlook.free)
        without = fill(room, order, prices)
    if without:
        room, without = _by_deadline(jobs, outlook)
    late = frozenset(without)
    placed = [job for job in order if job not in late]
    room.free -= outlook.expected
    if improve(room, placed):
        improve(room, placed)
    room.free += outlook.expected
    return room, late


def _by_deadline(jobs: Table, outlook: Outlook) -> tuple[Room, list[int]]:
    """As early as can be, in the order of deadlines: what keeps the most deadlines where room is short."""
    early = np.broadcast_to(np.arange(outlook.cost.shape[1]), outlook.cost.shape).astype(np.int64)
    room = Room(jobs, early, outlook.free)
    without = fill(room, range(len(jobs.begin)), np.zeros_like(early))
    room.cost = outlook.cost
    return room, without


def _told(
    works: Sequence[Work], jobs: Table, chosen: Chosen, alone: Chosen, outlook: Outlook, late: frozenset[int]
) -> tuple[Planned, ...]:
    planned = []
    for number, work in enumerate(works):
        if number in late:
            continue
        slots = _slots(jobs, chosen, number, outlook.now)
        best = bool((chosen[number] == alone[number]).all())
        planned.append(Planned(work.id, slots, False, _reason(work, slots, outlook, best)))
    return tuple(planned)


def _late(works: Sequence[Work], late: frozenset[int], outlook: Outlook, free: Ints) -> tuple[Planned, ...]:
    """As soon as there is room, after all that can be in time."""
    if not late:
        return ()
    regions, hours = outlook.cost.shape
    those = [works[number] for number in sorted(late)]
    jobs = table_of([replace(w, deadline=outlook.now + hours) for w in those], outlook.now, regions, hours)
    early = np.broadcast_to(np.arange(hours), outlook.cost.shape).astype(np.int64)
    room = Room(jobs, early, free)
    fill(room, range(len(those)), np.zeros_like(early))
    planned = []
    for number, work in enumerate(those):
        reason = Text(
            f"No room for {work.hours} h on {work.cards} cards before hour {work.deadline}; it runs as soon as there is room.",
            f"第 {work.deadline} 小时前没有 {work.cards} 卡运行 {work.hours} 小时的空位；一有空位即运行。",
        )
        planned.append(Planned(work.id, _slots(jobs, room.chosen, number, outlook.now), True, reason))
    return tuple(planned)


def _slots(jobs: Table, chosen: Chosen, number: int, now: int) -> tuple[Slot, ...]:
    steps = np.flatnonzero(chosen[number] != NOWHERE)
    first = now + int(jobs.begin[number])
    return tuple(Slot(first + int(step), int(chosen[number, step])) for step in steps)


def _reason(work: Work, slots: tuple[Slot, ...], outlook: Outlook, best: bool) -> Text:
    first = slots[0]
    slack = work.deadline - 1 - slots[-1].hour
    if slots[0].hour == outlook.now:
        en, zh = "starts now", "立即运行"
    else:
        en, zh = f"waits {first.hour - outlook.now} h", f"等待 {first.hour - outlook.now} 小时"
    if best:
        why_en, why_zh = "these are its cheapest hours", "这些是其最优时段"
    else:
        why_en, why_zh = "its cheapest hours are worth more to others", "其最优时段对其他作业更有价值"
    return Text(f"{en}: {why_en}, {slack} h before its deadline.", f"{zh}：{why_zh}，距截止 {slack} 小时。")
