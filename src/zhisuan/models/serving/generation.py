"""From a prompt to the pieces of an answer, one token at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from zhisuan.models.serving.detokenizer import IncrementalDetokenizer
from zhisuan.models.serving.language_model import LanguageModel, Logits, Session
from zhisuan.models.serving.sampler import Sampler, Sampling
from zhisuan.models.serving.stopping import StopMatcher

# A long prompt goes in by parts of this size, so that a client that leaves does not hold the model for long.
PREFILL_TOKENS = 512


@dataclass(frozen=True)
class GenerationRequest:
    """What to generate: at most ``tokens_max`` tokens after ``prompt``, and nothing from a stop sequence on."""

    prompt: tuple[int, ...]
    tokens_max: int
    sampling: Sampling
    stops: tuple[str, ...] = ()


@dataclass(frozen=True)
class Piece:
    """Text to pass on; never empty, never part of a character."""

    text: str


@dataclass(frozen=True)
class Usage:
    """Tokens read and made. The token that ends an answer carries no text and is not counted."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class Finished:
    """The end: ``stop`` (the model or a stop sequence ended it), ``length`` (``tokens_max`` or the context is used up)
    or ``cancelled`` (nobody waits for it any more)."""

    reason: Literal["stop", "length", "cancelled"]
    usage: Usage


def generate(
    model: LanguageModel, request: GenerationRequest, cancelled: Callable[[], bool]
) -> Iterator[Piece | Finished]:
    """The pieces of the answer, then one Finished. ``cancelled`` is asked before every step."""
    session = model.start()
    sampler = Sampler(request.sampling)
    detokenizer = IncrementalDetokenizer(model.decode)
    stops = StopMatcher(request.stops)
    made = 0

    def end(reason: Literal["stop", "length", "cancelled"]) -> Finished:
        return Finished(reason, Usage(len(request.prompt), made))

    logits = _prefill(session, request.prompt, cancelled)
    tokens_max = min(request.tokens_max, model.context_tokens - len(request.prompt))
    reason: Literal["stop", "length"] = "length"
    while logits is not None:
        token = sampler.pick(logits)
        if token in model.end_tokens:
            reason = "stop"
            break
        made += 1
        if text := stops.feed(detokenizer.add(token)):
            yield Piece(text)
        if stops.stopped:
            yield end("stop")
            return
        if made >= tokens_max:
            break
        logits = None if cancelled() else session.feed((token,))
    if logits is None:
        yield end("cancelled")
        return
    rest = stops.feed(detokenizer.flush())
    rest += stops.flush()
    if rest:
        yield Piece(rest)
    yield end("stop" if stops.stopped else reason)


def _prefill(session: Session, prompt: tuple[int, ...], cancelled: Callable[[], bool]) -> Logits | None:
    """The logits after the prompt, or None where the request was cancelled first."""
    logits = None
    for first in range(0, len(prompt), PREFILL_TOKENS):
        if cancelled():
            return None
        logits = session.feed(prompt[first : first + PREFILL_TOKENS])
    return logits
