"""Leaving a terminal by ``~.``: everything else that is typed goes on as it was."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from zhisuan.cli.terminal import Leaving


def typed(*pieces: str) -> tuple[str, bool]:
    leaving, out = Leaving(), ""
    for piece in pieces:
        passed, left = leaving.passed(piece)
        out += passed
        if left:
            return out, True
    return out, False


@given(st.text(st.sampled_from("ab~.\r\n你"), max_size=40), st.lists(st.integers(0, 40), max_size=4))
def test_it_does_not_matter_how_keys_come_in_pieces(text: str, cuts: list[int]) -> None:
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[a:b] for a, b in pairwise(places)]
    assert typed(*pieces) == typed(text)


@given(st.text(st.characters(exclude_characters="~"), max_size=40))
def test_what_has_no_tilde_goes_on_unchanged(text: str) -> None:
    assert typed(text) == (text, False)


def test_only_at_the_beginning_of_a_line() -> None:
    assert typed("~.") == ("", True)
    assert typed("ls\r~.") == ("ls\r", True)
    assert typed("echo a~.b\r") == ("echo a~.b\r", False)
    assert typed("~~.\r") == ("~.\r", False)
    assert typed("~x\r~", ".more") == ("~x\r", True)
