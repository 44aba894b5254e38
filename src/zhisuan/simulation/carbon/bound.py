"""The least that any schedule could cost, by linear programming with the future known.

Each job's schedules are columns (which hours, which regions); the rows are one schedule a job, and cards by region and hour. A
job may be split over schedules, so it is a bound and not a plan. Columns are made where they are wanted: HiGHS prices the
card-hours, each job's best schedule at these prices is its next column, until none is better. At any prices, what the jobs' best
schedules cost less the price of all card-hours is a lower bound (Lagrange); the best of these is what is told, so the bound
holds also where the search is stopped early.
"""

from dataclasses import dataclass

import highspy
import numpy as np

from zhisuan.base.solver import Solver
from zhisuan.placement.deferral.choice import NEVER, NOWHERE, Chosen, Table, choose, table_of, used
from zhisuan.simulation.carbon.replay import Told, no_word
from zhisuan.simulation.carbon.types import Case, Ints

ROUNDS = 200
CLOSE_PPM = 20
LEAN, LEAN_OF = 1, 2


@dataclass(frozen=True, slots=True)
class Bound:
    """``least`` is a lower bound on the objective, ``reached`` what the best fractional schedule found costs. ``feasible`` is False
    where even splitting jobs cannot keep all deadlines."""

    least: int
    reached: int
    feasible: bool
    rounds: int


def lp_bound(case: Case, told: Told = no_word) -> Bound:
    regions, hours = case.regions.mg_per_kwh.shape
    cost = case.objective.of(case.regions.mg_per_kwh, case.regions.ucny_per_kwh)
    jobs = table_of([job.work for job in case.jobs], 0, regions, hours)
    free = np.repeat(case.regions.cards[:, None], hours, axis=1)
    chosen, total = choose(jobs, cost, np.zeros_like(cost))
    if (total == NEVER).any():
        return Bound(0, 0, False, 0)
    least = int(total.sum())
    if (used(jobs, chosen, regions, hours) <= free).all():
        return Bound(least, least, True, 1)
    return _Master(jobs, cost, free, least).solve(chosen, told)


class _Master:
    """The linear program over the columns made so far. Money and carbon stay whole numbers outside HiGHS; only duals come back."""

    def __init__(self, jobs: Table, cost: Ints, free: Ints, least: int) -> None:
        self.jobs, self.cost, self.free, self.least = jobs, cost, free, least
        self.count = len(jobs.begin)
        self.cells = np.flatnonzero(_most(jobs, *cost.shape).ravel() > free.ravel())
        self.row_of = np.full(cost.size, -1)
        self.row_of[self.cells] = self.count + np.arange(len(self.cells))
        self.unit = max(abs(least) // self.count, 1)
        spread = int(np.ptp(cost)) * int((jobs.watts * jobs.hours).max())
        self.penalty = 20 * (spread // self.unit + 1)
        self.known: set[bytes] = set()
        self.highs = self._started()

    def _started(self) -> Solver:
        highs = Solver(solver="simplex")
        ones = np.ones(self.count)
        caps = self.free.ravel()[self.cells].astype(np.float64)
        lower = np.concatenate((ones, np.full(len(caps), -highspy.kHighsInf)))
        empty = np.zeros(0, np.int32)
        rows = self.count + len(caps)
        highs.addRows(rows, lower, np.concatenate((ones, caps)), 0, np.zeros(rows, np.int32), empty, np.zeros(0))
        starts = np.arange(self.count, dtype=np.int32)
        dear = np.full(self.count, np.float64(self.penalty))
        highs.addCols(
            self.count, dear, np.zeros(self.count), dear * highspy.kHighsInf, self.count, starts, starts, ones
        )
        return highs

    def solve(self, chosen: Chosen, told: Told) -> Bound:
        self._add(chosen)
        kept = np.zeros_like(self.cost)
        best, reached, unmet, turn = self.least, 0, 0, 0
        for turn in range(1, ROUNDS + 1):
            reached, unmet, dual = self._run()
            prices = dual
            for lean in (LEAN, 0):
                prices = (kept * lean + dual * (LEAN_OF - lean)) // LEAN_OF
                chosen, total = choose(self.jobs, self.cost, prices)
                bound = int(np.minimum(total, self.penalty * self.unit).sum()) - int((prices * self.free).sum())
                fresh = self._add(chosen)
                if bound > best:
                    best, kept = bound, prices
                if fresh:
                    break
            told(turn)
            if not fresh or (not unmet and (reached - best) * 1_000_000 <= CLOSE_PPM * abs(reached)):
                break
        return Bound(best, reached, not unmet, turn)

    def _run(self) -> tuple[int, bool, Ints]:
        self.highs.run()
        values = np.asarray(self.highs.getSolution().col_value)
        duals = np.asarray(self.highs.getSolution().row_dual)[self.count :]
        prices = np.zeros(self.cost.size, np.int64)
        prices[self.cells] = np.maximum(np.rint(-duals * self.unit), 0).astype(np.int64)
        reached = round(self.highs.getInfo().objective_function_value * self.unit)
        return reached, bool(values[: self.count].max() > 1e-6), prices.reshape(self.cost.shape)

    def _add(self, chosen: Chosen) -> int:
        """Adds the schedules that are not there yet; returns how many."""
        costs, starts, index, value = [], [], [], []
        size = 0
        for job in range(self.count):
            key = job.to_bytes(4, "little") + chosen[job].tobytes()
            if key in self.known:
                continue
            self.known.add(key)
            steps = np.flatnonzero(chosen[job] != NOWHERE)
            at = (chosen[job, steps].astype(np.int64), self.jobs.begin[job] + steps)
            rows = self.row_of[at[0] * self.cost.shape[1] + at[1]]
            rows = rows[rows >= 0]
            costs.append(int(self.jobs.watts[job] * self.cost[at].sum()) / self.unit)
            starts.append(size)
            index.append(np.concatenate(([job], rows)))
            value.append(np.concatenate(([1.0], np.full(len(rows), np.float64(self.jobs.cards[job])))))
            size += 1 + len(rows)
        if costs:
            n = len(costs)
            nonzero = np.concatenate(index).astype(np.int32), np.concatenate(value)
            most = np.full(n, highspy.kHighsInf)
            self.highs.addCols(n, np.array(costs), np.zeros(n), most, size, np.array(starts, np.int32), *nonzero)
        return len(costs)


def _most(jobs: Table, regions: int, hours: int) -> Ints:
    """The cards that would be in use if all jobs ran in all their hours and regions."""
    change = np.zeros((regions, hours + 1), np.int64)
    for region in range(regions):
        cards = np.where(jobs.allowed[:, region], jobs.cards, 0)
        np.add.at(change[region], jobs.begin, cards)
        np.add.at(change[region], jobs.begin + jobs.width, -cards)
    return np.cumsum(change, axis=1)[:, :-1]
