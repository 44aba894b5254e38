"""The plan of a batch: a linear program over the starts that matter, a plan near it, and a mixed-integer program that closes the gap."""

from collections.abc import Iterator
from dataclasses import dataclass

import highspy
import numpy as np
from numpy.typing import NDArray

from zhisuan.base.solver import Solver
from zhisuan.placement.batch.greedy import Room, at_prices, finish, greedy
from zhisuan.placement.batch.options import NEVER, Ints, Options, options_of
from zhisuan.placement.batch.reasons import told
from zhisuan.placement.batch.repair import repair
from zhisuan.placement.batch.types import BatchPlan, Problem

PER_WISH = 6
ROUNDS = 60
COLUMNS_MAX = 20_000
DIVES, DIVE_SHARE = 60, 8
REPAIRS = 150_000
GRAIN = np.divide(1, 10**6)
CLOSE_PPM = 200


def plan(problem: Problem, *, time_limit_s: int = 4, gap_ppm: int = 2_000) -> BatchPlan:
    """Starts for ``problem.jobs`` that cost little, and a proof of how little could be possible.

    1. Jobs that wish the same are one column with a count.
    2. The linear relaxation is solved by making columns where prices of card-slots call for them. At any prices, each wish's
       best start less what all card-slots are worth bounds the objective from below, in whole numbers (Lagrange).
    3. Diving: whole parts of it are kept, the largest fractions made whole where there is room, and the program solved again, until
       nothing is split. Greedy makes other plans, with and without these prices. Of the best of them, sites are emptied and filled anew
       (``repair``), as long as it helps.
    4. Where it is not within ``gap_ppm`` of the bound, HiGHS searches over the starts whose reduced cost is less than
       the gap (no better plan has another), until ``gap_ppm``, or for ``time_limit_s`` of the machine's time.

    The same problem gives the same plan wherever the search ends by gap or optimality; ``stopped`` says ``time`` where it did not.
    """
    options = options_of(problem)
    if not problem.jobs or not problem.sites:
        none = Room(options)
        return told(problem, options, none, none.objective, "optimal")
    relaxed = _relax(options)
    best = min(_first_plans(options, relaxed), key=lambda room: room.objective)
    bound, stopped = relaxed.bound, "gap"
    best = repair(best, relaxed.prices, REPAIRS, bound + bound * gap_ppm // 1_000_000)
    if best.objective <= bound:
        stopped = "optimal"
    elif (best.objective - bound) * 1_000_000 > gap_ppm * abs(best.objective):
        best, bound, stopped = _search(options, relaxed, best, time_limit_s, gap_ppm)
    return told(problem, options, best, bound, stopped)


def _first_plans(options: Options, relaxed: "_Relaxed") -> Iterator[Room]:
    yield greedy(options)
    yield _dive(options, relaxed)
    for times in (1, 2):
        room = Room(options)
        finish(room, relaxed.prices * times)
        yield room


@dataclass(frozen=True, slots=True)
class _Relaxed:
    """``columns`` are the starts that were called for, ``prices`` what a card-slot is worth, ``bound`` the least possible."""

    columns: Ints
    prices: Ints
    bound: int


class _Master:
    """Rows: one a wish (its count), one a card-slot of a site (its free cards). Columns: starts, and leaving out."""

    def __init__(self, options: Options, unit: int, columns: Ints, **settings: bool | int | str) -> None:
        self.options, self.unit = options, unit
        self.shape = options.cost.shape
        self.solver = Solver(**settings)
        rows = len(options.count) + options.free.size
        count = options.count.astype(np.float64)
        free = options.free.ravel().astype(np.float64)
        lower = np.concatenate((count, np.full(len(free), -highspy.kHighsInf)))
        empty = np.zeros(0, np.int32)
        self.solver.addRows(rows, lower, np.concatenate((count, free)), 0, np.zeros(rows, np.int32), empty, np.zeros(0))
        number = np.arange(len(count), dtype=np.int32)
        ones = np.ones(len(count))
        self.solver.addCols(len(count), options.value / unit, ones * 0, count, len(count), number, number, ones)
        self.columns = np.zeros(0, np.int64)
        self.add(columns)

    def add(self, columns: Ints) -> None:
        """``columns`` are flat numbers of starts in the array of costs."""
        wish, site, slot = np.unravel_index(columns, self.shape)
        length = self.options.length[wish, site]
        start = np.concatenate((np.zeros(1, np.int64), np.cumsum(length + 1)))
        index, value = np.empty(start[-1], np.int32), np.empty(start[-1])
        index[start[:-1]], value[start[:-1]] = wish, 1
        for step in range(int(length.max(initial=0))):
            on = np.flatnonzero(length > step)
            index[start[on] + 1 + step] = len(self.options.count) + site[on] * self.shape[2] + slot[on] + step
            value[start[on] + 1 + step] = self.options.cards[wish[on]]
        cost = self.options.cost.ravel()[columns] / self.unit
        most = self.options.count[wish].astype(np.float64)
        self.solver.addCols(len(columns), cost, most * 0, most, len(index), start[:-1].astype(np.int32), index, value)
        self.columns = np.concatenate((self.columns, columns))

    def values(self) -> NDArray[np.float64]:
        """How many start, by column; may be fractions."""
        return np.asarray(self.solver.getSolution().col_value, np.float64)[len(self.options.count) :]

    def duals(self) -> tuple[Ints, Ints]:
        """What one more of each wish would cost, and what a card of each slot of a site is worth."""
        dual = np.asarray(self.solver.getSolution().row_dual) * self.unit
        wishes, cells = dual[: len(self.options.count)], dual[len(self.options.count) :]
        prices = np.maximum(np.rint(-cells), 0).astype(np.int64).reshape(self.options.free.shape)
        return np.rint(wishes).astype(np.int64), prices


def _relax(options: Options) -> _Relaxed:
    unit = _unit(options)
    flat = options.cost.reshape(len(options.count), -1)
    master = _Master(options, unit, _cheapest(flat, flat < options.value[:, None]), solver="simplex")
    known = np.zeros(flat.shape, bool)
    known.ravel()[master.columns] = True
    best, kept = -int(NEVER), np.zeros_like(options.free)
    for _ in range(ROUNDS):
        master.solver.run()
        worth, prices = master.duals()
        bound, priced = _bound(options, prices)
        if bound > best:
            best, kept = bound, prices
        reached = round(master.solver.getInfo().objective_function_value * unit)
        fresh = _cheapest(priced, (priced < worth[:, None]) & ~known)
        if not len(fresh) or (reached - best) * 1_000_000 <= CLOSE_PPM * abs(reached):
            break
        known.ravel()[fresh] = True
        master.add(fresh)
    return _Relaxed(np.sort(master.columns), kept, best)


def _dive(options: Options, relaxed: _Relaxed) -> Room:
    """A plan near the fractional one."""
    columns = relaxed.columns
    master = _Master(options, _unit(options), columns, solver="simplex")
    wish, site, slot = np.unravel_index(columns, options.cost.shape)
    first = len(options.count)
    room = Room(options)
    fixed = np.zeros(len(columns), np.int64)
    for _ in range(DIVES):
        master.solver.run()
        value = master.values()
        whole = np.floor(value + GRAIN).astype(np.int64)
        part = np.where(value - whole > GRAIN, value - whole, 0)
        split = np.flatnonzero(part)
        rank = np.lexsort((split, -options.cards[wish[split]] * part[split]))
        chosen = split[rank[: max(len(split) // DIVE_SHARE, 1)]]
        whole[chosen] += 1
        for at in np.flatnonzero(whole > fixed).tolist():
            where = int(wish[at]), int(site[at]), int(slot[at])
            count = min(int(whole[at] - fixed[at]), room.fits(*where), int(room.left[where[0]]))
            if count > 0:
                room.put(*where, count)
                fixed[at] += count
            most = fixed[at] if fixed[at] < whole[at] else options.count[wish[at]]
            master.solver.changeColBounds(first + at, np.float64(fixed[at]), np.float64(most))
        if not len(split):
            break
    finish(room, relaxed.prices)
    return room


def _unit(options: Options) -> int:
    """The solver's unit of cost, so that its numbers are neither huge nor tiny."""
    return max(int(np.median(options.value)) // 1000, 1)


def _bound(options: Options, prices: Ints) -> tuple[int, Ints]:
    """The Lagrangian bound at ``prices``, and what each start costs at them (wishes × starts)."""
    priced = at_prices(options, prices).reshape(len(options.count), -1)
    best = np.minimum(priced.min(axis=1), options.value)
    return int((best * options.count).sum()) - int((prices * options.free).sum()), priced


def _cheapest(rank: Ints, among: NDArray[np.bool_]) -> Ints:
    """Of each row the ``PER_WISH`` least of ``among``, as flat numbers in order."""
    masked = np.where(among, rank, NEVER)
    most = min(PER_WISH, masked.shape[1])
    at = np.argpartition(masked, most - 1, axis=1)[:, :most]
    row = np.arange(len(masked))[:, None]
    return np.sort((row * masked.shape[1] + at)[masked[row, at] < NEVER])


def _search(options: Options, relaxed: _Relaxed, best: Room, time_limit_s: int, gap_ppm: int) -> tuple[Room, int, str]:
    """A better plan than ``best``, or a better bound. A plan that costs less than ``best`` has no start whose reduced cost is the gap or
    more; where even the others are too many, what is left out keeps the bound below its least reduced cost."""
    unit = _unit(options)
    bound, priced = _bound(options, relaxed.prices)
    reduced = priced - np.minimum(priced.min(axis=1), options.value)[:, None]
    gap = best.objective - bound
    wanted = np.flatnonzero(((reduced < gap) & (priced < NEVER)).ravel() | (best.taken.ravel() > 0))
    beyond = best.objective
    if len(wanted) > COLUMNS_MAX:
        order = np.lexsort((wanted, reduced.ravel()[wanted], best.taken.ravel()[wanted] == 0))
        beyond = bound + int(reduced.ravel()[wanted[order[COLUMNS_MAX]]])
        wanted = np.sort(wanted[order[:COLUMNS_MAX]])
    master = _Master(options, unit, wanted, time_limit=time_limit_s)
    master.solver.setOptionValue("mip_rel_gap", np.divide(gap_ppm, 1_000_000))
    number = np.arange(len(options.count) + len(wanted), dtype=np.int32)
    master.solver.changeColsIntegrality(len(number), number, np.full(len(number), highspy.HighsVarType.kInteger))
    start = highspy.HighsSolution()
    start.col_value = np.concatenate((best.left, best.taken.ravel()[wanted])).astype(np.float64).tolist()
    master.solver.setSolution(start)
    master.solver.run()
    proven = int(np.floor(master.solver.getInfo().mip_dual_bound * unit)) if _sound(master.solver) else bound
    bound = max(bound, min(proven, beyond))
    share = np.zeros(options.cost.size, np.int64)
    share[wanted] = np.rint(master.values()).astype(np.int64)
    found = _room(options, share.reshape(options.cost.shape))
    best = min(best, found, key=lambda room: room.objective)
    if best.objective <= bound:
        return best, min(bound, best.objective), "optimal"
    timed = master.solver.getModelStatus() == highspy.HighsModelStatus.kTimeLimit
    return best, bound, "time" if timed else "gap"


def _sound(solver: Solver) -> bool:
    return bool(np.isfinite(solver.getInfo().mip_dual_bound))


def _room(options: Options, taken: Ints) -> Room:
    """The plan with these starts; each is counted anew, so that a solver's tolerance cannot overfill a site."""
    room = Room(options)
    for wish, site, slot in zip(*np.nonzero(taken), strict=True):
        count = min(int(taken[wish, site, slot]), room.fits(wish, site, slot), int(room.left[wish]))
        if count > 0:
            room.put(int(wish), int(site), int(slot), count)
    finish(room, np.zeros_like(options.free))
    return room
