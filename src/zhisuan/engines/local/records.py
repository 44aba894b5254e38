"""Small durable records: ``key=value`` lines, read and written by the agent, the supervisor and the sandbox alike.

Not JSON, because importing a JSON parser costs each of a run's two helper processes as much as all else they import.
"""

import os

Pairs = list[tuple[str, str]]

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}


def _escape(value: str) -> str:
    return "".join(_ESCAPES.get(char, char) for char in value) if any(c in value for c in _ESCAPES) else value


def _unescape(value: str) -> str:
    if "\\" not in value:
        return value
    parts = value.split("\\\\")
    return "\\".join(part.replace("\\n", "\n").replace("\\r", "\r") for part in parts)


def encode(pairs: Pairs) -> bytes:
    """Lines ``key=value``; keys may repeat and keep their order. Raises ValueError for a key with ``=`` or a line end."""
    lines = []
    for key, value in pairs:
        if not key or "=" in key or "\n" in key or "\\" in key:
            raise ValueError(f"a record key cannot be {key!r}")
        lines.append(f"{key}={_escape(value)}\n")
    return "".join(lines).encode("utf-8", "surrogateescape")


def decode(data: bytes) -> Pairs:
    """The inverse of ``encode``. Raises ValueError for a line that is no record."""
    pairs: Pairs = []
    for line in data.decode("utf-8", "surrogateescape").split("\n"):
        if not line:
            continue
        key, sep, value = line.partition("=")
        if not sep:
            raise ValueError(f"not a record line: {line[:80]!r}")
        pairs.append((key, _unescape(value)))
    return pairs


def _write_temporary(path: str, pairs: Pairs, *, durable: bool = True) -> str:
    temporary = f"{path}.{os.urandom(6).hex()}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(encode(pairs))
            file.flush()
            if durable:
                os.fsync(fd)
    except OSError:
        os.unlink(temporary)
        raise
    return temporary


def _sync_folder(path: str) -> None:
    fd = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_atomic(path: str, pairs: Pairs, *, durable: bool = True) -> None:
    """Replace ``path`` whole: a reader, and the host after a crash, finds the old record or the new, never a part.

    ``durable``: once this returns, a crash of the host keeps the new one.
    """
    os.rename(_write_temporary(path, pairs), path)
    if durable:
        _sync_folder(path)


def write_once(path: str, pairs: Pairs, *, durable: bool = True) -> bool:
    """Like ``write_atomic``, but the first writer wins for ever. True when this call was the first. Not ``durable``: after a
    crash of the host it may be empty or gone."""
    temporary = _write_temporary(path, pairs, durable=durable)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        os.unlink(temporary)
    if durable:
        _sync_folder(path)
    return True


def read(path: str) -> Pairs | None:
    """The record at ``path``, or None when there is none."""
    try:
        with open(path, "rb") as file:
            return decode(file.read())
    except FileNotFoundError:
        return None
