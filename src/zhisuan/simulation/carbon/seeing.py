"""Conditions as they can be foreseen: from the hours before, and nothing else."""

from dataclasses import dataclass, field

import numpy as np

from zhisuan.simulation.carbon.types import Ints, Objective, Regions
from zhisuan.supply.forecasts import Fitted, fit, forecast

FIT_EVERY = 24
AHEADS = (1, 6, 24, 48)


@dataclass(slots=True)
class _Line:
    """One region's intensity or tariff."""

    truth: Ints
    monday: int
    fitted: Fitted | None = None
    fitted_at: int = 0


@dataclass(slots=True)
class Errors:
    """How far forecasts were from the truth, and how far the same hour of the day before was: sums of absolute differences."""

    count: Ints = field(default_factory=lambda: np.zeros(len(AHEADS), np.int64))
    ours: Ints = field(default_factory=lambda: np.zeros(len(AHEADS), np.int64))
    yesterday: Ints = field(default_factory=lambda: np.zeros(len(AHEADS), np.int64))


class Foreseen:
    """A ``Seer`` of what was measured before the hour it is asked in; that hour itself is not known yet.

    With no past at all the first hour's value is taken as expected, and told: there is nothing to go by (``blind`` counts).
    """

    def __init__(self, regions: Regions, objective: Objective, horizon: int) -> None:
        monday = regions.first.weekday() * 24 + regions.first.hour
        self.carbon = [_Line(row, monday) for row in regions.mg_per_kwh]
        self.priced = objective.name != "carbon"
        self.tariff = [_Line(row, monday) for row in regions.ucny_per_kwh]
        self.horizon = horizon
        self.errors = Errors()

    def __call__(self, hour: int, ahead: int) -> tuple[Ints, Ints]:
        carbon = np.stack([self._line(line, hour, ahead) for line in self.carbon])
        tariff = (
            np.stack([self._line(line, hour, ahead) for line in self.tariff]) if self.priced else np.zeros_like(carbon)
        )
        self._judge(carbon, hour)
        return carbon, tariff

    def _line(self, line: _Line, hour: int, ahead: int) -> Ints:
        if hour == 0:
            return np.zeros(ahead, np.int64)
        past = line.truth[:hour].astype(np.float64)
        if not np.ptp(past):
            return np.full(ahead, line.truth[0])
        if line.fitted is None or hour - line.fitted_at >= FIT_EVERY or len(line.fitted.weights) < ahead:
            line.fitted = fit(past, hour + line.monday, max(self.horizon, ahead))
            line.fitted_at = hour
        return np.rint(forecast(line.fitted, past, hour + line.monday)[:ahead]).astype(np.int64)

    def _judge(self, carbon: Ints, hour: int) -> None:
        """Counts errors; the truth it looks at here is seen by nothing that decides."""
        for number, ahead in enumerate(AHEADS):
            at = hour + ahead - 1
            if ahead > carbon.shape[1] or hour < 24 or at >= len(self.carbon[0].truth):
                continue
            before = at - 24 * ((ahead - 1) // 24 + 1)
            truth = np.array([line.truth[at] for line in self.carbon])
            same = np.array([line.truth[before] for line in self.carbon])
            self.errors.count[number] += len(truth)
            self.errors.ours[number] += np.abs(carbon[:, ahead - 1] - truth).sum()
            self.errors.yesterday[number] += np.abs(same - truth).sum()
