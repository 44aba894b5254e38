"""Forecasts of hourly conditions: what they must find, and that they see nothing of the future."""

import numpy as np
import pytest

from zhisuan.supply.forecasts import fit, forecast


def weekly(hours: int) -> np.ndarray:
    at = np.arange(hours)
    return 300 + 100 * np.sin(at % 24 * np.pi / 12) + 40.0 * (at // 24 % 7 >= 5)


def test_a_week_that_repeats_is_foreseen() -> None:
    line = weekly(24 * 80)
    hour = 24 * 60
    ahead = forecast(fit(line[:hour], hour, 72), line[:hour], hour)
    assert np.abs(ahead - line[hour : hour + 72]).mean() < 4


def test_a_level_that_moves_is_followed() -> None:
    line = weekly(24 * 80) * np.where(np.arange(24 * 80) < 24 * 58, 1, 0.3)
    hour = 24 * 60
    ahead = forecast(fit(line[:hour], hour, 24), line[:hour], hour)
    assert np.abs(ahead - line[hour : hour + 24]).mean() < 60


@pytest.mark.parametrize("hour", [1, 5, 23, 24, 30, 100, 168, 200, 400, 600, 2000])
def test_it_has_an_answer_however_short_the_past(hour: int) -> None:
    line = weekly(hour)
    ahead = forecast(fit(line, hour, 48), line, hour)
    assert ahead.shape == (48,) and np.isfinite(ahead).all() and (ahead >= 0).all()


@pytest.mark.parametrize("hour", [30, 300, 1500])
def test_the_future_may_be_anything(hour: int) -> None:
    line = weekly(1600) + np.random.default_rng(1).normal(0, 20, 1600)
    poisoned = line.copy()
    poisoned[hour:] = np.nan
    clean = forecast(fit(line[:hour], hour, 48), line[:hour], hour)
    assert np.array_equal(clean, forecast(fit(poisoned[:hour], hour, 48), poisoned[:hour], hour))


def test_it_beats_yesterday_on_made_weather() -> None:
    rng = np.random.default_rng(3)
    weather = np.zeros(24 * 90)
    for hour in range(1, len(weather)):
        weather[hour] = 0.97 * weather[hour - 1] + rng.normal(0, 8)
    line = weekly(len(weather)) + weather
    ours = naive = 0.0
    for hour in range(24 * 60, 24 * 88, 11):
        ahead = forecast(fit(line[:hour], hour, 24), line[:hour], hour)
        ours += np.abs(ahead - line[hour : hour + 24]).mean()
        naive += np.abs(line[hour - 24 : hour] - line[hour : hour + 24]).mean()
    assert ours < 0.85 * naive
