"""A character-level tokenizer in Hugging Face form: one token per character, plus five special tokens."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

PAD, BOS, EOS, UNKNOWN, ANSWER = "<|pad|>", "<|bos|>", "<|eos|>", "<|unk|>", "<|answer|>"
SPECIAL_TOKENS = (PAD, BOS, EOS, UNKNOWN, ANSWER)

# People type either form of these marks; the data has the full-width one.
FULL_WIDTH = {",": "，", "?": "？", "!": "！", ":": "：", ";": "；", "(": "（", ")": "）"}

# Only the last user message counts: the model answers one question and has learnt neither instructions nor dialogue.
CHAT_TEMPLATE = (
    "{%- set last = namespace(question='') -%}"
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'user' -%}{%- set last.question = message['content'] | trim -%}{%- endif -%}"
    "{%- endfor -%}"
    "{{- bos_token + last.question -}}"
    f"{{%- if add_generation_prompt -%}}{{{{- '{ANSWER}' -}}}}{{%- endif -%}}"
)


def build_tokenizer(texts: Iterable[str], length_max: int) -> PreTrainedTokenizerFast:
    """A tokenizer whose vocabulary is the characters of `texts`; any other character becomes the unknown token.

    `length_max` is the model's context in tokens. The chat template is `<|bos|>question<|answer|>`; the answer that
    follows ends with `<|eos|>`.
    """
    characters = sorted(set("".join(texts)))
    vocabulary = {token: index for index, token in enumerate((*SPECIAL_TOKENS, *characters))}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    replacements = {" ": "", **FULL_WIDTH}
    core.normalizer = normalizers.Sequence([normalizers.Replace(old, new) for old, new in replacements.items()])
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    core.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNKNOWN,
        additional_special_tokens=[ANSWER],
        chat_template=CHAT_TEMPLATE,
        padding_side="left",
        model_max_length=length_max,
        clean_up_tokenization_spaces=False,
    )
