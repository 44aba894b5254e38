"""Training batches: question noise, and labels on the answer only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

LABEL_IGNORED = -100


@dataclass(frozen=True)
class Noise:
    """How a question is disturbed, so that the model learns what is asked rather than one exact wording.

    Each value is a probability: `question` that a question is disturbed at all; `drop`, `unknown` and `insert` for
    each of its characters; `rotate` that its two halves change places.
    """

    question: float = 0.8
    drop: float = 0.25
    unknown: float = 0.12
    insert: float = 0.2
    rotate: float = 0.2


@dataclass(frozen=True)
class Encoded:
    """One pair as token ids: the question's characters, and the answer's with the end token."""

    question: tuple[int, ...]
    answer: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """`ids` and `labels`, both int64 of shape (rows, length); labels hold LABEL_IGNORED outside the answers."""

    ids: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class Vocabulary:
    """The token ids that batches need; ordinary characters are `first_character` to `size - 1`."""

    pad: int
    bos: int
    unknown: int
    answer: int
    first_character: int
    size: int


def disturb(question: Sequence[int], noise: Noise, words: Vocabulary, random: np.random.Generator) -> list[int]:
    """The question's ids with characters dropped, made unknown, inserted, and sometimes its halves exchanged."""
    if random.random() >= noise.question:
        return list(question)
    disturbed: list[int] = []
    for token, lot, insert in zip(question, random.random(len(question)), random.random(len(question)), strict=True):
        if lot < noise.drop:
            continue
        if insert < noise.insert:
            disturbed.append(int(random.integers(words.first_character, words.size)))
        disturbed.append(words.unknown if lot < noise.drop + noise.unknown else token)
    if len(disturbed) > 3 and random.random() < noise.rotate:
        cut = int(random.integers(1, len(disturbed)))
        disturbed = disturbed[cut:] + disturbed[:cut]
    return disturbed


def make_batch(rows: Sequence[tuple[Sequence[int], Sequence[int]]], words: Vocabulary) -> Batch:
    """Rows of (question ids, answer ids) padded on the right; position i is labelled with the token that follows."""
    length = max(len(question) + len(answer) for question, answer in rows) + 1
    ids = torch.full((len(rows), length), words.pad)
    labels = torch.full((len(rows), length), LABEL_IGNORED)
    for row, (question, answer) in enumerate(rows):
        start = len(question) + 1
        end = start + len(answer)
        ids[row, :end] = torch.tensor([words.bos, *question, words.answer, *answer[:-1]])
        labels[row, start:end] = torch.tensor(answer)
    return Batch(ids, labels)


def noisy_batches(
    pairs: Sequence[Encoded], rows: int, noise: Noise, words: Vocabulary, random: np.random.Generator
) -> Iterator[Batch]:
    """Endless batches; every pair is seen once before any is seen again."""
    order: list[int] = []
    while True:
        while len(order) < rows:
            order.extend(random.permutation(len(pairs)).tolist())
        chosen, order = [pairs[index] for index in order[:rows]], order[rows:]
        yield make_batch([(disturb(pair.question, noise, words, random), pair.answer) for pair in chosen], words)
