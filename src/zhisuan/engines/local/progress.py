"""Reads the last progress a run wrote. Everything in the file is the tenant's: it is bounded, cleaned and never trusted."""

import json
import os
import stat

from zhisuan.engines.contract import Progress

_TAIL_BYTES = 64 << 10
_LINES_MAX = 32
_MESSAGE_CHARS_MAX = 500
_PPM = 1_000_000


def read_progress(path: str) -> Progress | None:
    """The last whole line that is a JSON object, or None. Follows no link and never blocks."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return None
        tail = os.pread(fd, _TAIL_BYTES, max(0, status.st_size - _TAIL_BYTES))
    finally:
        os.close(fd)
    return parse_progress(tail)


def parse_progress(tail: bytes) -> Progress | None:
    """From the end of a file of JSON lines; lines that are cut short or no objects are passed over."""
    for line in tail.splitlines()[: -_LINES_MAX - 1 : -1]:
        try:
            value = json.loads(line.decode("utf-8", "replace"), parse_constant=lambda _: None)
            if isinstance(value, dict):
                return _progress(_clean(value))
        except (ValueError, RecursionError):
            continue
    return None


def _clean(value: object) -> dict[str, object]:
    cleaned = _clean_value(value)
    return cleaned if isinstance(cleaned, dict) else {}


def _clean_value(value: object) -> object:
    """Without the characters that neither UTF-8 nor PostgreSQL's text can hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8").replace("\0", "�")
    if isinstance(value, list):
        return [_clean_value(item) for item in value]
    if isinstance(value, dict):
        return {str(_clean_value(key)): _clean_value(item) for key, item in value.items()}
    return value


def _progress(value: dict[str, object]) -> Progress:
    fraction = value.pop("fraction", None)
    message = value.pop("message", None)
    ppm = None
    if isinstance(fraction, int | float) and not isinstance(fraction, bool):
        ppm = round(min(1, max(0, fraction)) * _PPM)
    return Progress(ppm, str(message)[:_MESSAGE_CHARS_MAX] if message is not None else None, value)
