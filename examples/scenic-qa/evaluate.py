"""Ask the trained model every trained question and every held-out paraphrase, and write what came out.

A trained question counts as right only if the whole answer is the same, character for character. Paraphrases were
never trained: their exact rate and the overlap of characters (F1) say how far the model understands other wordings.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import machine  # isort: skip  # first: it sets what PyTorch and transformers read as they are imported

import torch
from progress import Progress
from qa_data import DATA_DIR, load_pairs, load_paraphrases
from transformers import AutoModelForCausalLM, AutoTokenizer

BATCH_ROWS = 64
WRONG_SHOWN = 20


@dataclass(frozen=True)
class Asked:
    """One question with the answer it should get and the answer it got."""

    question: str
    expected: str
    got: str

    @property
    def exact(self) -> bool:
        """Whether the answer is the expected one, character for character."""
        return self.got == self.expected


def character_f1(expected: str, got: str) -> Fraction:
    """Harmonic mean of precision and recall over characters counted with repetition: 2·shared / (len + len).

    >>> character_f1("云海", "云海奇松")
    Fraction(2, 3)
    """
    shared = (Counter(expected) & Counter(got)).total()
    total = len(expected) + len(got)
    return Fraction(2 * shared, total) if total else Fraction(1)


def decimal(value: Fraction) -> str:
    """The fraction cut to four decimals, never rounded up, so that only a perfect rate reads 1.0000."""
    units = value.numerator * 10_000 // value.denominator
    return f"{units // 10_000}.{units % 10_000:04d}"


class Model:
    """The saved model directory, answering questions greedily with the prompt of its own chat template."""

    def __init__(self, directory: Path) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
        self._model = AutoModelForCausalLM.from_pretrained(directory, local_files_only=True, use_safetensors=True)
        self._model.eval()

    @torch.inference_mode()
    def answers(self, questions: Sequence[str]) -> list[str]:
        """One answer for each question, in order; generated in batches with the key-value cache."""
        found: list[str] = []
        for first in range(0, len(questions), BATCH_ROWS):
            chats = [[{"role": "user", "content": text}] for text in questions[first : first + BATCH_ROWS]]
            prompt = self._tokenizer.apply_chat_template(
                chats, add_generation_prompt=True, padding=True, return_dict=True, return_tensors="pt"
            )
            output = self._model.generate(**prompt, do_sample=False, use_cache=True)
            new_tokens = output[:, prompt["input_ids"].shape[1] :]
            found.extend(self._tokenizer.batch_decode(new_tokens, skip_special_tokens=True))
        return found


def ask(model: Model, items: Sequence[tuple[str, str]]) -> list[Asked]:
    """Put each (question, expected answer) to the model."""
    got = model.answers([question for question, _ in items])
    return [Asked(question, expected, answer) for (question, expected), answer in zip(items, got, strict=True)]


def summary(results: Sequence[Asked]) -> dict[str, Any]:
    """Counts, rates as decimal strings, and the first wrong answers of one set of questions."""
    exact = sum(result.exact for result in results)
    overlap = sum((character_f1(result.expected, result.got) for result in results), Fraction(0))
    wrong = [result for result in results if not result.exact][:WRONG_SHOWN]
    return {
        "asked": len(results),
        "exact": exact,
        "exact_rate": decimal(Fraction(exact, len(results))),
        "char_f1_mean": decimal(overlap / len(results)),
        "wrong": [{"question": item.question, "expected": item.expected, "got": item.got} for item in wrong],
    }


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    artifacts = Path(os.environ.get("ZHISUAN_ARTIFACTS", "artifacts"))
    parser.add_argument("--model", type=Path, default=artifacts / "model", help="directory that train.py saved")
    parser.add_argument("--data", type=Path, default=DATA_DIR / "huangshan.jsonl", help="pairs that were trained")
    parser.add_argument("--out", type=Path, default=artifacts / "evaluation.json")
    parser.add_argument("--paraphrases", type=Path, default=DATA_DIR / "paraphrases.jsonl")
    parser.add_argument("--minimum", type=Fraction, default=Fraction("0.95"), help="exact rate that must be reached")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if not (args.model / "config.json").is_file():
        sys.exit(f"evaluate: no model in {args.model}; run train.py first, or name its directory with --model")
    torch.set_num_threads(machine.cpu_threads())
    progress = Progress.from_environment()
    pairs = load_pairs(args.data)
    paraphrases = load_paraphrases(pairs, args.paraphrases)
    progress.report(0.98, f"asking {len(pairs)} trained questions and {len(paraphrases)} paraphrases")
    model = Model(args.model)
    trained = summary(ask(model, [(pair.question, pair.answer) for pair in pairs]))
    held_out = summary(ask(model, [(item.question, item.answer) for item in paraphrases]))
    report = {"exact_answer_rate": trained["exact_rate"], "trained": trained, "paraphrases": held_out}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(report, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    progress.report(
        1.0,
        f"evaluation: {trained['exact']} of {trained['asked']} trained questions answered exactly; of "
        f"{held_out['asked']} paraphrases never trained {held_out['exact']} exactly, "
        f"mean character F1 {held_out['char_f1_mean']}",
    )
    if Fraction(trained["exact"], trained["asked"]) < args.minimum:
        sys.exit(
            f"evaluate: the exact rate {trained['exact_rate']} is below {float(args.minimum):.2f}; train longer "
            "(train.py --steps-min) or give the training more cores"
        )


if __name__ == "__main__":
    main()
