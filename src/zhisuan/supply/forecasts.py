"""Forecasts of hourly conditions of a place (grid carbon intensity, tariff) from their past alone.

For each hour ahead a regression of its own (ridge, numpy): on the profile of the week (hour of day, working day or not), how far the
last hours lie from it, and how far the same hour lay from it a day and a week before. docs/decisions/0017-time-and-place.md says
what it was compared with.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

DAY, WEEK = 24, 168
PAST_MAX = 8 * WEEK
RIDGE = 1e-2


@dataclass(frozen=True, slots=True)
class Fitted:
    """A forecast fitted on the past: ``profile`` by (free day or not, hour of day) around nought, ``weights`` by hour ahead."""

    profile: Floats
    weights: Floats
    lowest: float
    highest: float


def fit(past: Floats, hour: int, horizon: int) -> Fitted:
    """Fit on ``past`` (without gaps, oldest first), whose last value is of hour ``hour - 1``; hour 0 begins a Monday."""
    past = past[-PAST_MAX:]
    numbers = np.arange(hour - len(past), hour)
    profile = _profile(past, numbers)
    weights = np.zeros((horizon, FEATURES))
    margin = np.ptp(past) / 2
    fitted = Fitted(profile, weights, max(past.min() - margin, min(past.min(), 0)), past.max() + margin)
    origins = np.arange(WEEK, len(past))
    if len(origins) < 2 * WEEK:
        weights[:, 0] = 1
        weights[:, 1] = np.power(0.9, np.arange(1, horizon + 1)) - 1
        return fitted
    shared = _shared(past, origins)
    for ahead in range(horizon):
        known = origins[origins + ahead < len(past)]
        if len(known) < WEEK:
            weights[ahead] = weights[ahead - 1]
            continue
        x = _features(past, fitted, shared[: len(known)], known, ahead, hour - len(past))
        square = x.T @ x
        square[np.diag_indices(FEATURES)] += RIDGE * (np.trace(square) / FEATURES + 1e-9)
        weights[ahead] = np.linalg.solve(square, x.T @ (past[known + ahead] - shared[: len(known), 0]))
    return fitted


def forecast(fitted: Fitted, past: Floats, hour: int) -> Floats:
    """The values of the hours ``hour``, ``hour + 1`` …; never far beyond what the past has seen."""
    horizon = len(fitted.weights)
    recent = past[-2 * WEEK :]
    if len(recent) < 2 * WEEK:
        recent = np.concatenate((np.full(2 * WEEK - len(recent), recent.mean()), recent))
    origin = np.full(horizon, len(recent))
    shared = np.repeat(_shared(recent, origin[:1]), horizon, axis=0)
    x = _features(recent, fitted, shared, origin, np.arange(horizon), hour - len(recent))
    ahead: Floats = np.clip(shared[0, 0] + (x * fitted.weights).sum(axis=1), fitted.lowest, fitted.highest)
    return ahead


FEATURES = 7


def _features(
    past: Floats, fitted: Fitted, shared: Floats, origins: Numbers, ahead: Numbers | int, first: int
) -> Floats:
    """What is known at each origin of the hour ``ahead`` after it, all against the mean of the last day, so that a level may move.

    The profile there; the last value, against the profile, and the change before it; the last six hours, against the profile; the same
    hour of the last day and of the week before, each against its own day; the mean of the week.
    """
    level = shared[:, 0]
    target = origins + ahead
    day = target - DAY * (ahead // DAY + 1)
    week = target - WEEK * (ahead // WEEK + 1)
    profile = _of(fitted.profile, first + target)
    last = shared[:, 1] - level - _of(fitted.profile, first + origins - 1)
    six = shared[:, 3] - level - np.mean([_of(fitted.profile, first + origins - k) for k in range(1, 7)], axis=0)
    return np.column_stack(
        (profile, last, shared[:, 2], six, past[day] - level, past[week] - shared[:, 4], shared[:, 4] - level)
    )


def _shared(past: Floats, origins: Numbers) -> Floats:
    """At each origin (the first hour not known): mean of a day, last value, last change, means of six hours and of a week."""
    sums = np.concatenate((np.zeros(1), np.cumsum(past)))
    mean = {n: (sums[origins] - sums[origins - n]) / n for n in (6, DAY, WEEK)}
    last = past[origins - 1]
    return np.column_stack((mean[DAY], last, last - past[origins - 2], mean[6], mean[WEEK]))


def _kind(numbers: Numbers) -> Numbers:
    return ((numbers // DAY) % 7 >= 5).astype(np.int64)


def _of(profile: Floats, numbers: Numbers) -> Floats:
    return profile[_kind(numbers), numbers % DAY]


def _profile(past: Floats, numbers: Numbers) -> Floats:
    """Mean difference from the mean of the day around, by hour of day; recent weeks count more, rare kinds of day lean on all days."""
    weight = np.power(0.5, (numbers[-1] - numbers) / (3 * WEEK))
    aside = past - _level(past)
    hours = numbers % DAY
    all_days = np.bincount(hours, weight * aside, DAY) / (np.bincount(hours, weight, DAY) + 0.5)
    profile = np.empty((2, DAY))
    for kind in (0, 1):
        these = _kind(numbers) == kind
        count = np.bincount(hours[these], weight[these], DAY)
        profile[kind] = (np.bincount(hours[these], (weight * aside)[these], DAY) + 2 * all_days) / (count + 2)
    return profile


def _level(past: Floats) -> Floats:
    """The mean of the day around each hour, as far as there is one."""
    sums = np.concatenate((np.zeros(1), np.cumsum(past)))
    at = np.arange(len(past))
    first, last = np.maximum(at - DAY // 2, 0), np.minimum(at + DAY // 2, len(past))
    level: Floats = (sums[last] - sums[first]) / (last - first)
    return level
