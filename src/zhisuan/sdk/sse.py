"""Server-sent events: bytes in, events out (WHATWG HTML, "Server-sent events", the parsing rules).

Lines end only with CR, LF or CRLF. Log text holds other line separators of Unicode, which a general line reader would
split at; so the bytes are cut here.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class ServerEvent:
    name: str
    data: str


def lines_of(chunks: Iterable[bytes]) -> Iterator[str]:
    """Complete lines without their ends; an unfinished last line is dropped, as the rules say."""
    rest = b""
    for chunk in chunks:
        rest += chunk
        # A CR at the very end may be half of a CRLF.
        usable = len(rest) - 1 if rest.endswith(b"\r") else len(rest)
        start = 0
        for end in _LINE_END.finditer(rest, 0, usable):
            yield rest[start : end.start()].decode(errors="replace")
            start = end.end()
        rest = rest[start:]


def events_of(chunks: Iterable[bytes]) -> Iterator[ServerEvent]:
    """Every complete event; comments and fields that are of no use here are passed over."""
    name, data = "", list[str]()
    for line in lines_of(chunks):
        if not line:
            if data:
                yield ServerEvent(name or "message", "\n".join(data))
            name, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
