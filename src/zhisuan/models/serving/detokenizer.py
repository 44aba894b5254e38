"""Text from tokens as they come, when one character may take several tokens."""

from collections.abc import Callable, Sequence

UNFINISHED = "\ufffd"


class IncrementalDetokenizer:
    """Gives out the text of a growing list of tokens, never a piece of a character.

    A Chinese character is three bytes, and byte-level vocabularies may split it over as many tokens; until the last
    one is there, ``decode`` shows the bytes as U+FFFD. Such an end is held back until it becomes a character, or
    until ``flush`` where it never does. The pieces joined together are the text of all tokens.

    Decoding goes over a window that starts at an earlier piece, because some decoders treat the first token of a
    text in a special way (they drop its leading space).
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._window: list[int] = []
        self._context_length = 0
        self._given = ""

    def add(self, token: int) -> str:
        """The text that ``token`` completes; empty while a character is unfinished."""
        self._window.append(token)
        text = self._decode(self._window)
        whole = text.rstrip(UNFINISHED)
        piece = whole[len(self._given) :]
        if piece and len(whole) == len(text):
            self._advance()
        elif piece:
            self._given = whole
        return piece

    def flush(self) -> str:
        """What was held back, as it is; the answer has ended."""
        piece = self._decode(self._window)[len(self._given) :]
        self._window, self._context_length, self._given = [], 0, ""
        return piece

    def _advance(self) -> None:
        """Everything so far is given out: the newest tokens become the context of those to come."""
        self._window = self._window[self._context_length :]
        self._context_length = len(self._window)
        self._given = self._decode(self._window)
