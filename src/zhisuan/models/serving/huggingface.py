"""A Hugging Face causal language model on the CPU. Importing this module imports PyTorch and transformers."""

import inspect
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jinja2 import TemplateError
from transformers import AutoModelForCausalLM, AutoTokenizer

from zhisuan.models.serving.language_model import Logits, PromptRefused, SamplingDefaults
from zhisuan.models.serving.model_directory import CannotServe, ModelDirectory

# A tokenizer's model_max_length is this or more where nobody set it.
LENGTH_UNSET = 10**9


class HuggingFaceSession:
    """A growing text; the cache keeps keys and values of all tokens fed so far."""

    def __init__(self, model: Any, extra: dict[str, Any]) -> None:
        self._model = model
        self._extra = extra
        self._cache: Any = None

    def feed(self, tokens: Sequence[int]) -> Logits:
        with torch.inference_mode():
            output = self._model(
                input_ids=torch.tensor([list(tokens)]), past_key_values=self._cache, use_cache=True, **self._extra
            )
        self._cache = output.past_key_values
        logits: Logits = output.logits[0, -1].float().numpy().astype(np.float32, copy=False)
        return logits


class HuggingFaceModel:
    """The model and tokenizer of one directory. Nothing is fetched, and no code from the directory is run."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model = model.eval()
        self._tokenizer = tokenizer
        # Tokenizers change their padding state while they encode, and two threads at once make that fail.
        self._tokenizer_lock = threading.Lock()
        last_only = "logits_to_keep" in inspect.signature(model.forward).parameters
        self._forward_extra: dict[str, Any] = {"logits_to_keep": 1} if last_only else {}
        self._context_tokens = _context_tokens(model.config, tokenizer)
        self._end_tokens = _end_tokens(model.generation_config, tokenizer)
        self._defaults = _defaults(model.generation_config)

    @classmethod
    def load(cls, directory: ModelDirectory, threads: int) -> "HuggingFaceModel":
        """Read the directory; the number format is the one the weights are stored in.

        Raises CannotServe where the files do not fit together.
        """
        torch.set_num_threads(threads)
        path = str(directory.path)
        try:
            tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
            model = AutoModelForCausalLM.from_pretrained(
                path, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype="auto"
            )
        except Exception as error:
            raise CannotServe(f"{path} cannot be loaded as a causal language model: {error}") from error
        loaded = cls(model, tokenizer)
        loaded.start().feed((0,))  # the first step sets up PyTorch's kernels; no client should wait for that
        return loaded

    @property
    def context_tokens(self) -> int:
        return self._context_tokens

    @property
    def end_tokens(self) -> frozenset[int]:
        return self._end_tokens

    @property
    def defaults(self) -> SamplingDefaults:
        return self._defaults

    def encode_chat(self, messages: Sequence[dict[str, Any]]) -> list[int]:
        if not self._tokenizer.chat_template:
            raise PromptRefused("this model has no chat template; use POST /v1/completions with a plain prompt")
        try:
            with self._tokenizer_lock:
                encoded = self._tokenizer.apply_chat_template(
                    list(messages),
                    add_generation_prompt=True,
                    tokenize=True,
                    return_dict=True,
                    tokenizer_kwargs={"verbose": False},
                )
        except TemplateError as error:
            raise PromptRefused(f"the model's chat template does not take these messages: {error.message}") from error
        return [int(token) for token in encoded["input_ids"]]

    def encode_text(self, text: str) -> list[int]:
        with self._tokenizer_lock:
            return [int(token) for token in self._tokenizer(text, verbose=False)["input_ids"]]

    def decode(self, tokens: Sequence[int]) -> str:
        with self._tokenizer_lock:
            text = self._tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(text)

    def start(self) -> HuggingFaceSession:
        return HuggingFaceSession(self._model, self._forward_extra)


def _context_tokens(config: Any, tokenizer: Any) -> int:
    limits = [getattr(config, "max_position_embeddings", None), getattr(tokenizer, "model_max_length", None)]
    known = [int(limit) for limit in limits if isinstance(limit, int | float) and 0 < limit < LENGTH_UNSET]
    if not known:
        raise CannotServe("neither config.json (max_position_embeddings) nor the tokenizer says how long a text may be")
    return min(known)


def _end_tokens(generation: Any, tokenizer: Any) -> frozenset[int]:
    ends: set[int] = set()
    for value in (getattr(generation, "eos_token_id", None), tokenizer.eos_token_id):
        if value is not None:
            ends.update(value if isinstance(value, list) else [value])
    return frozenset(ends)


def _defaults(generation: Any) -> SamplingDefaults:
    if not getattr(generation, "do_sample", None):
        return SamplingDefaults(temperature=0.0, top_p=1.0)
    temperature, top_p = getattr(generation, "temperature", None), getattr(generation, "top_p", None)
    return SamplingDefaults(1.0 if temperature is None else float(temperature), 1.0 if top_p is None else float(top_p))
