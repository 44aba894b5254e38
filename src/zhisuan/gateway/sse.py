"""Server-sent events: cut a byte stream into events, whatever its chunks. Format: WHATWG HTML, "Server-sent events"."""

import re

# A line ends with CRLF, LF or CR, and an event with an empty line. A CR that begins a CRLF is no line end of its own.
_EVENT_END = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_LONGEST_END = 4

EVENT_BYTES_MAX = 4 * 1024 * 1024


class EventTooLong(ValueError):
    """The stream goes on without the end of an event for longer than any answer of a model."""


class SseSplitter:
    """Feed it chunks, get whole events without their closing empty line."""

    def __init__(self) -> None:
        self._buffer = b""
        self._scanned = 0

    def feed(self, data: bytes) -> list[bytes]:
        buffer = self._buffer + data if self._buffer else data
        events, start = [], 0
        for match in _EVENT_END.finditer(buffer, self._scanned):
            if event := buffer[start : match.start()].lstrip(b"\r\n"):
                events.append(event)
            start = match.end()
        self._buffer = buffer[start:]
        self._scanned = max(0, len(self._buffer) - _LONGEST_END)
        if len(self._buffer) > EVENT_BYTES_MAX:
            raise EventTooLong(f"an event longer than {EVENT_BYTES_MAX} bytes")
        return events

    def rest(self) -> bytes:
        """What is left of an event whose closing empty line never came."""
        left, self._buffer, self._scanned = self._buffer.strip(b"\r\n"), b"", 0
        return left


def event_data(event: bytes) -> bytes | None:
    """The event's data, its lines joined by LF; None where there is none (a comment, a retry time)."""
    if event.startswith(b"data:") and b"\n" not in event and b"\r" not in event:
        return event[6:] if event[5:6] == b" " else event[5:]
    lines = [line for line in _LINE_END.split(event) if line.startswith(b"data:")]
    if not lines:
        return None
    return b"\n".join(line[6:] if line[5:6] == b" " else line[5:] for line in lines)


def as_event(data: bytes) -> bytes:
    """``data``, which has no line end in it, as one event."""
    return b"data: " + data + b"\n\n"
