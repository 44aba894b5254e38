"""Stop sequences, however the text is cut."""

from hypothesis import example, given
from hypothesis import strategies as st

from zhisuan.models.serving.stopping import StopMatcher

LETTERS = st.sampled_from("ab云")
STOPS = st.lists(st.text(LETTERS, min_size=1, max_size=4), max_size=4)


def until_stop(text: str, stops: list[str]) -> str:
    """By definition: read on until some stop sequence is complete, and leave out the longest that is."""
    for end in range(1, len(text) + 1):
        ending = [stop for stop in stops if text[:end].endswith(stop)]
        if ending:
            return text[: end - max(map(len, ending))]
    return text


@given(st.lists(st.text(LETTERS, max_size=5), max_size=8), STOPS)
@example(["a", "b"], ["ab"])
@example(["aa", "ab云"], ["aab"])
@example(["a", "b", "a"], ["ab云", "ba"])
def test_outcome_is_by_definition_and_does_not_depend_on_the_cuts(pieces: list[str], stops: list[str]) -> None:
    matcher = StopMatcher(stops)
    given_out = "".join(matcher.feed(piece) for piece in pieces)
    stopped = matcher.stopped
    given_out += matcher.flush()
    text = "".join(pieces)
    assert given_out == until_stop(text, stops)
    assert stopped == (given_out != text)


@given(st.text(LETTERS, max_size=12), STOPS)
def test_no_more_is_held_back_than_could_become_a_stop_sequence(text: str, stops: list[str]) -> None:
    matcher = StopMatcher(stops)
    given_out = matcher.feed(text)
    if not matcher.stopped:
        held = text[len(given_out) :]
        assert held == "" or any(stop.startswith(held) and stop != held for stop in stops)


def test_nothing_comes_after_a_stop() -> None:
    matcher = StopMatcher(["。"])
    assert matcher.feed("云海。奇松") == "云海"
    assert matcher.stopped
    assert matcher.feed("怪石") == ""
    assert matcher.flush() == ""
