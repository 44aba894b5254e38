"""What the server needs of a language model; ``huggingface.py`` has the real one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.float32]


class PromptRefused(Exception):
    """The model cannot make a prompt of these messages; the message says why, for the person who sent them."""


class Session(Protocol):
    """One text in the making, with its key-value cache."""

    def feed(self, tokens: Sequence[int]) -> Logits:
        """Append ``tokens`` (at least one) and give the logits, shape (vocabulary,), of the token that follows."""
        ...


@dataclass(frozen=True)
class SamplingDefaults:
    """How the model wants to be sampled where a request does not say; temperature 0 takes the likeliest token."""

    temperature: float
    top_p: float


class LanguageModel(Protocol):
    """A loaded model with its tokenizer. ``encode_…`` may be called from any thread, ``start`` and sessions from one."""

    @property
    def context_tokens(self) -> int:
        """The most tokens that prompt and answer may have together."""
        ...

    @property
    def end_tokens(self) -> frozenset[int]:
        """Tokens that end an answer; they carry no text and are not counted."""
        ...

    @property
    def defaults(self) -> SamplingDefaults: ...

    def encode_chat(self, messages: Sequence[dict[str, Any]]) -> list[int]:
        """The prompt that the model's chat template makes of OpenAI messages whose contents are plain text.

        Raises PromptRefused where the template does not take them.
        """
        ...

    def encode_text(self, text: str) -> list[int]:
        """The tokens of a plain text, with the start token where the model wants one."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens; special tokens have none, and bytes that are no whole character show as U+FFFD."""
        ...

    def start(self) -> Session:
        """A session with nothing in it yet."""
        ...
