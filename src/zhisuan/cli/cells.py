"""Text measured in terminal cells: Chinese characters take two.

Help must show before anything heavy is imported, so the little that it needs of this is here.
"""

import re
import unicodedata

CLOSING = "，。；：、）】》！？”’…,.;:)]!?"
_TOKEN = re.compile(r"\s+|[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]|[^\s\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]+")


def width_of(text: str) -> int:
    """How many cells ``text`` takes on one line."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def padded(text: str, width: int) -> str:
    return text + " " * max(0, width - width_of(text))


def wrapped(text: str, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` cells: words stay whole where they can, Chinese breaks between characters,
    and no line begins with closing punctuation. A path or an address is never cut: it must be good for copying."""
    if width_of(text) <= width:
        return [text.strip()]
    lines: list[str] = []
    line = ""
    for token in _units(text):
        if line and width_of(line + token.rstrip()) > width:
            lines.append(line.rstrip())
            line = token.lstrip()
        else:
            line += token
        while "/" not in token and width_of(line.rstrip()) > width:
            cut = _fitting(line, width)
            lines.append(line[:cut])
            line = line[cut:]
    return [*lines, line.rstrip()] if line.strip() or not lines else lines


def _units(text: str) -> list[str]:
    """What may not be split further: words, blanks, single Chinese characters with the punctuation that closes them."""
    units: list[str] = []
    for token in _TOKEN.findall(text):
        if units and token[0] in CLOSING and not units[-1].isspace():
            units[-1] += token
        else:
            units.append(token)
    return units


def _fitting(text: str, width: int) -> int:
    """The most characters of ``text``, at least one, that fit into ``width`` cells."""
    count = 1
    while count < len(text) and width_of(text[: count + 1]) <= width:
        count += 1
    return count


def printable(text: str) -> str:
    """``text`` without what could steer a terminal; other people's names pass through here."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)
