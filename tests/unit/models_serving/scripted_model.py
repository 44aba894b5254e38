"""A language model that says what a test wrote, one character a token; no PyTorch."""

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from zhisuan.models.serving.generation import Piece
from zhisuan.models.serving.language_model import Logits, PromptRefused, SamplingDefaults
from zhisuan.models.serving.worker import Event

END = 0
VOCABULARY = 0x3000 + 0x8000


class ScriptedSession:
    def __init__(self, model: "ScriptedModel") -> None:
        self._model = model
        self._said = 0
        self._prompt_done = False

    def feed(self, tokens: Sequence[int]) -> Logits:
        assert tokens
        self._model.fed.append(len(tokens))
        self._model.before_step()
        if self._prompt_done:
            self._said += 1
        text = self._model.answer
        self._prompt_done = self._prompt_done or sum(self._model.fed) >= self._model.prompt_length
        logits = np.zeros(VOCABULARY, dtype=np.float32)
        logits[ord(text[self._said % len(text)]) if self._model.endless or self._said < len(text) else END] = 1.0
        return logits


class ScriptedModel:
    """Answers ``answer`` to everything, over and over when ``endless``; notes the size of every step in ``fed``."""

    def __init__(
        self,
        answer: str,
        *,
        context_tokens: int = 1000,
        endless: bool = False,
        prompt_length: int = 1,
        before_step: Callable[[], None] = lambda: None,
    ) -> None:
        self.answer = answer
        self.context_tokens = context_tokens
        self.endless = endless
        self.prompt_length = prompt_length
        self.before_step = before_step
        self.fed: list[int] = []
        self.end_tokens = frozenset({END})
        self.defaults = SamplingDefaults(0.0, 1.0)

    def encode_chat(self, messages: Sequence[dict[str, Any]]) -> list[int]:
        if messages[-1]["role"] != "user":
            raise PromptRefused("the last message must be the user's")
        return self.encode_text(str(messages[-1]["content"]))

    def encode_text(self, text: str) -> list[int]:
        return [ord(character) for character in text]

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(chr(token) for token in tokens)

    def start(self) -> ScriptedSession:
        self.fed.clear()
        return ScriptedSession(self)


class Gate:
    """Lets a model's steps through one by one, and tells when a step is waiting; all waits end after 20 s."""

    def __init__(self) -> None:
        self._permits = threading.Semaphore(0)
        self._arrived = threading.Semaphore(0)

    def wait_here(self) -> None:
        self._arrived.release()
        assert self._permits.acquire(timeout=20)

    def wait_for_step(self) -> None:
        assert self._arrived.acquire(timeout=20)

    def let_pass(self, steps: int) -> None:
        self._permits.release(steps)


class Inbox:
    """Events of one job, in order."""

    def __init__(self) -> None:
        self.events: queue.Queue[Event] = queue.Queue()

    def __call__(self, event: Event) -> None:
        self.events.put(event)

    def next(self) -> Event:
        return self.events.get(timeout=20)

    def last(self) -> Event:
        while isinstance(event := self.next(), Piece):
            pass
        return event
