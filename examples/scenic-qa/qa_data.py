"""The question-and-answer data: reading and checking."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA_DIR = Path(__file__).resolve().parent / "data"


class DataError(ValueError):
    """A data file cannot be used; the message names the file, the line and the remedy."""


@dataclass(frozen=True)
class Pair:
    """One trained question with the one right answer."""

    id: str
    topic: str
    question: str
    answer: str


@dataclass(frozen=True)
class Paraphrase:
    """A question in other words, never trained, with the answer it should get."""

    question: str
    answer: str


def _records(path: Path, fields: tuple[str, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); restore it from the example's folder") from error
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}:{number}: not a JSON object ({error.msg}); one object per line") from error
        bad = [name for name in fields if not isinstance(record, dict) or not isinstance(record.get(name), str)]
        if bad:
            raise DataError(f"{path}:{number}: needs the text field(s) {', '.join(bad)}")
        yield number, record


def load_pairs(path: Path = DATA_DIR / "huangshan.jsonl") -> list[Pair]:
    """All trained pairs in file order; a repeated id or question is an error, as a model cannot learn two answers."""
    pairs: list[Pair] = []
    seen: set[str] = set()
    for number, record in _records(path, ("id", "topic", "question", "answer")):
        pair = Pair(record["id"], record["topic"], record["question"], record["answer"])
        for key in (f"id {pair.id}", f"question {pair.question}"):
            if key in seen:
                raise DataError(f"{path}:{number}: {key} appears twice; keep one")
            seen.add(key)
        pairs.append(pair)
    if not pairs:
        raise DataError(f"{path}: holds no pairs")
    return pairs


def load_paraphrases(pairs: list[Pair], path: Path = DATA_DIR / "paraphrases.jsonl") -> list[Paraphrase]:
    """Held-out wordings; one that is also a trained question would not be held out, so it is refused."""
    answers = {pair.id: pair.answer for pair in pairs}
    trained = {pair.question for pair in pairs}
    found: list[Paraphrase] = []
    for number, record in _records(path, ("question", "answer_id")):
        if record["answer_id"] not in answers:
            raise DataError(f"{path}:{number}: answer_id {record['answer_id']} names no trained pair")
        if record["question"] in trained:
            raise DataError(f"{path}:{number}: this wording is trained, so it cannot test other wordings")
        found.append(Paraphrase(record["question"], answers[record["answer_id"]]))
    return found
