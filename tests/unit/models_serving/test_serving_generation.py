"""The course of one answer: counting, ends, cancelling."""

from hypothesis import given
from hypothesis import strategies as st
from scripted_model import ScriptedModel

from zhisuan.models.serving.generation import PREFILL_TOKENS, Finished, GenerationRequest, Piece, Usage, generate
from zhisuan.models.serving.sampler import Sampling

GREEDY = Sampling(temperature=0.0, top_p=1.0, seed=None)
ANSWERS = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1, max_size=30)


def run(
    model: ScriptedModel, *, tokens_max: int = 1000, stops: tuple[str, ...] = (), prompt: tuple[int, ...] = (65,),
    cancel_after: int | None = None,
) -> tuple[str, Finished]:  # fmt: skip
    request = GenerationRequest(prompt, tokens_max, GREEDY, stops)
    *pieces, finished = generate(model, request, lambda: cancel_after is not None and len(model.fed) >= cancel_after)
    assert all(isinstance(piece, Piece) and piece.text for piece in pieces)
    assert isinstance(finished, Finished)
    return "".join(piece.text for piece in pieces if isinstance(piece, Piece)), finished


@given(ANSWERS, st.integers(1, 40))
def test_text_and_usage_agree(answer: str, tokens_max: int) -> None:
    text, finished = run(ScriptedModel(answer), tokens_max=tokens_max)
    assert text == answer[:tokens_max]
    assert finished.usage == Usage(prompt_tokens=1, completion_tokens=len(text))
    assert finished.reason == ("length" if tokens_max <= len(answer) else "stop")


def test_no_step_is_made_after_the_last_token_allowed() -> None:
    model = ScriptedModel("云海奇松怪石")
    run(model, tokens_max=3)
    assert model.fed == [1, 1, 1]


def test_the_context_limits_the_answer() -> None:
    model = ScriptedModel("云", endless=True, context_tokens=10, prompt_length=4)
    text, finished = run(model, prompt=(1, 2, 3, 4))
    assert (len(text), finished) == (6, Finished("length", Usage(4, 6)))


def test_a_stop_sequence_ends_the_answer_and_its_tokens_are_counted() -> None:
    text, finished = run(ScriptedModel("云海奇松"), stops=("奇松", "x"))
    assert (text, finished) == ("云海", Finished("stop", Usage(1, 4)))


def test_what_only_began_like_a_stop_sequence_is_delivered() -> None:
    assert run(ScriptedModel("云海奇"), stops=("奇松",)) == ("云海奇", Finished("stop", Usage(1, 3)))
    assert run(ScriptedModel("云海奇松"), stops=("奇松",), tokens_max=3)[0] == "云海奇"


def test_a_long_prompt_is_fed_in_parts() -> None:
    prompt = tuple([65] * (2 * PREFILL_TOKENS + 5))
    model = ScriptedModel("好", context_tokens=5000, prompt_length=len(prompt))
    assert run(model, prompt=prompt) == ("好", Finished("stop", Usage(len(prompt), 1)))
    assert model.fed == [PREFILL_TOKENS, PREFILL_TOKENS, 5, 1]


def test_cancelling_ends_before_the_next_step() -> None:
    model = ScriptedModel("云", endless=True)
    text, finished = run(model, cancel_after=3)
    assert (text, finished) == ("云云云", Finished("cancelled", Usage(1, 3)))
    assert model.fed == [1, 1, 1]


def test_cancelling_ends_a_long_prompt_too() -> None:
    prompt = tuple([65] * (3 * PREFILL_TOKENS))
    model = ScriptedModel("好", context_tokens=5000, prompt_length=len(prompt))
    assert run(model, prompt=prompt, cancel_after=1) == ("", Finished("cancelled", Usage(len(prompt), 0)))
    assert model.fed == [PREFILL_TOKENS]
