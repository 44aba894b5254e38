"""Choosing the next token from logits: greedy, or by temperature and nucleus (top-p) sampling."""

from dataclasses import dataclass

import numpy as np

from zhisuan.models.serving.language_model import Logits


class BrokenLogits(Exception):
    """The model's output has no usable number."""


@dataclass(frozen=True)
class Sampling:
    """``temperature`` 0 takes the likeliest token. ``top_p`` keeps the fewest tokens that reach this probability
    together (Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration"). The same ``seed`` gives the same
    answer on the same machine and version; without one every answer is drawn afresh."""

    temperature: float
    top_p: float
    seed: int | None


class Sampler:
    """Draws the tokens of one answer."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        seed = sampling.seed
        self._random = np.random.default_rng(None if seed is None else seed % 2**64)

    def pick(self, logits: Logits) -> int:
        """The index of the chosen token; ``logits`` has shape (vocabulary,). Ties go to the lowest index.

        Raises BrokenLogits when a logit is not a number, or all are minus infinity.
        """
        top = logits.max()
        if not np.isfinite(top):
            raise BrokenLogits("the model's output is not a number; its weights or its number format are broken")
        if self._sampling.temperature == 0 or self._sampling.top_p == 0:
            return int(logits.argmax())
        weights = np.exp((logits.astype(np.float64) - top) / self._sampling.temperature)
        order = np.argsort(-weights, kind="stable")
        cumulative = np.cumsum(weights[order])
        total = cumulative[-1]
        kept = int(np.searchsorted(cumulative, self._sampling.top_p * total)) + 1 if self._sampling.top_p < 1 else None
        reach = cumulative[:kept]
        return int(order[np.searchsorted(reach, self._random.random() * reach[-1], side="right")])
