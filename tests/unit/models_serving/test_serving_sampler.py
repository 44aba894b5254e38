"""Choosing tokens."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from zhisuan.models.serving.language_model import Logits
from zhisuan.models.serving.sampler import BrokenLogits, Sampler, Sampling

LOGITS = arrays(np.float32, st.integers(1, 12), elements=st.floats(-20, 20, width=32))


def draw(
    logits: Logits, count: int, *, temperature: float = 1.0, top_p: float = 1.0, seed: int | None = 5
) -> list[int]:
    sampler = Sampler(Sampling(temperature, top_p, seed))
    return [sampler.pick(logits) for _ in range(count)]


def nucleus(logits: Logits, temperature: float, top_p: float) -> set[int]:
    """The fewest likeliest tokens that reach ``top_p``, by adding them one by one."""
    scaled = np.exp((logits.astype(float) - logits.max()) / temperature)
    chances = scaled / scaled.sum()
    kept: set[int] = set()
    for token in sorted(range(len(chances)), key=lambda index: (-chances[index], index)):
        kept.add(token)
        if sum(chances[list(kept)]) >= top_p - 1e-9:
            break
    return kept


@given(LOGITS)
def test_temperature_zero_and_top_p_zero_take_the_likeliest(logits: Logits) -> None:
    likeliest = int(np.argmax(logits))
    assert draw(logits, 3, temperature=0) == [likeliest] * 3
    assert draw(logits, 3, top_p=0) == [likeliest] * 3


@given(LOGITS, st.floats(0.3, 2), st.floats(0.05, 0.999), st.integers(-(2**63), 2**63 - 1))
def test_nothing_outside_the_nucleus_is_drawn(logits: Logits, temperature: float, top_p: float, seed: int) -> None:
    drawn = draw(logits, 30, temperature=temperature, top_p=top_p, seed=seed)
    assert set(drawn) <= nucleus(logits, temperature, top_p + 1e-6)


@given(LOGITS, st.integers(-(2**63), 2**63 - 1))
def test_a_seed_repeats_the_answer(logits: Logits, seed: int) -> None:
    assert draw(logits, 20, seed=seed) == draw(logits, 20, seed=seed)


def test_frequencies_follow_temperature() -> None:
    logits = np.log(np.array([0.6, 0.3, 0.1], dtype=np.float32))
    plain = np.bincount(draw(logits, 20_000), minlength=3) / 20_000
    np.testing.assert_allclose(plain, [0.6, 0.3, 0.1], atol=0.02)
    sharp = np.bincount(draw(logits, 20_000, temperature=0.5), minlength=3) / 20_000
    np.testing.assert_allclose(sharp, np.array([0.36, 0.09, 0.01]) / 0.46, atol=0.02)


def test_without_a_seed_answers_differ() -> None:
    logits = np.zeros(1000, dtype=np.float32)
    assert draw(logits, 8, seed=None) != draw(logits, 8, seed=None)


def test_a_forbidden_token_is_never_drawn() -> None:
    assert set(draw(np.array([0.0, -np.inf], dtype=np.float32), 50)) == {0}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_broken_logits_are_an_error(bad: float, temperature: float) -> None:
    with pytest.raises(BrokenLogits, match="not a number"):
        draw(np.array([0.0, bad], dtype=np.float32), 1, temperature=temperature)
