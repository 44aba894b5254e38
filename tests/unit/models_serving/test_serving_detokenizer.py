"""Text from tokens that are pieces of characters."""

from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from zhisuan.models.serving.detokenizer import IncrementalDetokenizer

# A byte-level vocabulary whose longer tokens cut across characters, as learnt ones do.
MERGED = ["黄山".encode()[1:4], "云海".encode()[:5], b" a", "é".encode(), b"\xe9\xbb", b""]
BYTE_TOKENS = [bytes([value]) for value in range(256)] + MERGED


def decode_bytes(tokens: Sequence[int]) -> str:
    return b"".join(BYTE_TOKENS[token] for token in tokens).decode("utf-8", errors="replace")


def decode_words(tokens: Sequence[int]) -> str:
    """Like SentencePiece: words carry their leading space, and the first word of a text loses it; 0 has no text."""
    return "".join(" " + chr(0x4E00 + token) if token else "" for token in tokens).removeprefix(" ")


def pieces_of(tokens: Sequence[int], decode: object = decode_bytes) -> list[str]:
    detokenizer = IncrementalDetokenizer(decode)  # type: ignore[arg-type]
    return [*(detokenizer.add(token) for token in tokens), detokenizer.flush()]


@given(st.lists(st.integers(0, len(BYTE_TOKENS) - 1), max_size=60))
@example(list("黄".encode())[:2])
@example([0xE4, ord("a"), *"云".encode()])
def test_pieces_join_to_the_text_of_all_tokens(tokens: list[int]) -> None:
    assert "".join(pieces_of(tokens)) == decode_bytes(tokens)


@given(st.text(max_size=20))
def test_bytes_of_a_text_give_whole_characters_and_nothing_else(text: str) -> None:
    tokens = list(text.encode())
    pieces = pieces_of(tokens)
    assert "".join(pieces) == text
    if "\ufffd" not in text:
        assert all(len(piece) <= 1 for piece in pieces)
        assert [piece for piece in pieces if piece] == list(text)


@given(st.lists(st.integers(0, 9), max_size=20))
def test_spaces_that_belong_to_words_are_kept(tokens: list[int]) -> None:
    assert "".join(pieces_of(tokens, decode_words)) == decode_words(tokens)


def test_an_unfinished_character_is_held_back_until_it_is_whole() -> None:
    detokenizer = IncrementalDetokenizer(decode_bytes)
    first, second, third = "黄".encode()
    assert [detokenizer.add(first), detokenizer.add(second), detokenizer.add(third)] == ["", "", "黄"]


def test_text_before_an_unfinished_character_is_not_held_back() -> None:
    detokenizer = IncrementalDetokenizer(decode_bytes)
    assert detokenizer.add(256 + 1) == "云"
    assert detokenizer.add("海".encode()[2]) == "海"


def test_decoding_stays_local() -> None:
    longest = 0

    def watched(tokens: Sequence[int]) -> str:
        nonlocal longest
        longest = max(longest, len(tokens))
        return decode_bytes(tokens)

    detokenizer = IncrementalDetokenizer(watched)
    for byte in "黄山归来不看岳".encode() * 20:
        detokenizer.add(byte)
    assert longest <= 6
