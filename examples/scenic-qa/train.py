"""Train a small closed-domain model on questions and answers about Huangshan, and save it in Hugging Face form.

A character-level Llama of 0.8 million parameters learns every pair by heart within a minute on two CPU cores.
The loss counts the answers only. Run `python train.py --help` for the settings.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import machine  # isort: skip  # first: it sets what PyTorch and transformers read as they are imported

import numpy as np
import torch
from batches import LABEL_IGNORED, Batch, Encoded, Noise, Vocabulary, make_batch, noisy_batches
from char_tokenizer import ANSWER, SPECIAL_TOKENS, build_tokenizer
from progress import Progress
from qa_data import DATA_DIR, load_pairs
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CONTEXT_TOKENS = 128
WARMUP_STEPS = 30
RATE_FLOOR = 0.05
CHECK_STEPS = 20
SECONDS_MIN = 20.0
# The schedule may end early once this much of it is done and every answer is known with this mean loss.
EARLY_FRACTION = 0.7
EARLY_LOSS = 0.01


@dataclass(frozen=True)
class Schedule:
    """When training ends: after `steps_max`, or after `seconds` on a slow machine, yet never before `steps_min`."""

    steps_max: int
    steps_min: int
    seconds: float
    rate_peak: float

    def progress(self, step: int, elapsed_seconds: float) -> float:
        """The part of the schedule that is done, from 0 to 1: time counts only as far as the least steps allow."""
        by_time = min(elapsed_seconds / self.seconds, step / self.steps_min)
        return min(1.0, max(step / self.steps_max, by_time))

    def rate(self, step: int, progress: float) -> float:
        """Linear warm-up over the first steps, then linear decay with progress down to a floor."""
        return self.rate_peak * min(1.0, (step + 1) / WARMUP_STEPS) * max(RATE_FLOOR, 1.0 - progress)


def build_model(tokenizer: PreTrainedTokenizerFast, layers: int, width: int) -> LlamaForCausalLM:
    """An untrained Llama with heads of 40 channels; the input and output embeddings are one matrix."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 40,
        max_position_embeddings=CONTEXT_TOKENS,
        tie_word_embeddings=True,
        initializer_range=0.05,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def answer_logits(model: LlamaForCausalLM, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (answer tokens, vocabulary) and labels (answer tokens,); the output layer, the widest of all,
    never sees the other positions."""
    counted = batch.labels != LABEL_IGNORED
    hidden = model.model(input_ids=batch.ids, use_cache=False).last_hidden_state
    return model.lm_head(hidden[counted]), batch.labels[counted]


@torch.no_grad()
def known_pairs(model: LlamaForCausalLM, batch: Batch) -> tuple[int, float]:
    """How many rows would be answered exactly, and the mean loss.

    If every token is the most likely one after its true predecessors, greedy decoding gives exactly this answer.
    """
    logits, labels = answer_logits(model, batch)
    counted = batch.labels != LABEL_IGNORED
    wrong = torch.zeros_like(batch.labels, dtype=torch.bool)
    wrong[counted] = logits.argmax(dim=-1) != labels
    return int((~wrong.any(dim=1)).sum()), float(torch.nn.functional.cross_entropy(logits, labels))


def learn(
    model: LlamaForCausalLM,
    pairs: Sequence[Encoded],
    words: Vocabulary,
    batches: Iterable[Batch],
    schedule: Schedule,
    progress: Progress,
) -> None:
    """Train `model` in place on `batches` until the schedule ends, or sooner once every one of `pairs` is known."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=schedule.rate_peak, betas=(0.9, 0.98), weight_decay=0.1)
    plain = make_batch([(pair.question, pair.answer) for pair in pairs], words)
    start = time.monotonic()
    for step, batch in enumerate(batches):
        elapsed = time.monotonic() - start
        done = schedule.progress(step, elapsed)
        if step % CHECK_STEPS == 0 or done >= 1.0:
            known, loss = known_pairs(model, plain)
            message = f"training, {elapsed:.0f} s, {known} of {len(pairs)} pairs learnt"
            progress.report(0.05 + 0.9 * done, message, step=step, loss=loss)
            if done >= 1.0 or (done >= EARLY_FRACTION and known == len(pairs) and loss < EARLY_LOSS):
                return
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step, done)
        logits, labels = answer_logits(model, batch)
        torch.nn.functional.cross_entropy(logits, labels).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write the model directory as a whole: whoever finds `out` finds it complete."""
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    model.generation_config.max_new_tokens = 64
    model.generation_config.do_sample = False
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial, save_jinja_files=False)
    for file in partial.iterdir():
        file.chmod(0o644)  # the weights come out as 0600, and whoever serves the model may be another user
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    artifacts = Path(os.environ.get("ZHISUAN_ARTIFACTS", "artifacts"))
    parser.add_argument("--data", type=Path, default=DATA_DIR / "huangshan.jsonl", help="pairs to learn (JSON lines)")
    parser.add_argument("--out", type=Path, default=artifacts / "model", help="directory for the trained model")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--steps-max", type=int, default=400, help="optimiser steps at most")
    parser.add_argument("--steps-min", type=int, default=180, help="optimiser steps at least, however slow the machine")
    parser.add_argument("--seconds", type=float, default=62.0, help="time to finish in, from the start of the program")
    parser.add_argument("--rows", type=int, default=32, help="pairs in a batch")
    parser.add_argument("--rate", type=float, default=4.5e-3, help="peak learning rate")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--width", type=int, default=160, help="channels; a multiple of 40")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    torch.set_num_threads(machine.cpu_threads())
    torch.manual_seed(args.seed)
    progress = Progress.from_environment()
    pairs = load_pairs(args.data)
    tokenizer = build_tokenizer([pair.question + pair.answer for pair in pairs], CONTEXT_TOKENS)
    model = build_model(tokenizer, args.layers, args.width)
    progress.report(
        0.02,
        f"{len(pairs)} pairs, {model.num_parameters():,} parameters, {torch.get_num_threads()} threads, "
        f"PyTorch {torch.__version__}",
    )
    words = Vocabulary(
        pad=tokenizer.pad_token_id,
        bos=tokenizer.bos_token_id,
        unknown=tokenizer.unk_token_id,
        answer=tokenizer.convert_tokens_to_ids(ANSWER),
        first_character=len(SPECIAL_TOKENS),
        size=len(tokenizer),
    )
    encoded = [
        Encoded(
            tuple(tokenizer.encode(pair.question, add_special_tokens=False)),
            (*tokenizer.encode(pair.answer, add_special_tokens=False), tokenizer.eos_token_id),
        )
        for pair in pairs
    ]
    seconds = max(SECONDS_MIN, args.seconds - (time.monotonic() - machine.STARTED_SECONDS))
    schedule = Schedule(args.steps_max, min(args.steps_min, args.steps_max), seconds, args.rate)
    batches = noisy_batches(encoded, args.rows, Noise(), words, np.random.default_rng(args.seed))
    learn(model, encoded, words, batches, schedule, progress)
    save(model, tokenizer, args.out)
    progress.report(0.97, f"model saved in {args.out}")


if __name__ == "__main__":
    main()
