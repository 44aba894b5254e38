"""The combined output of a run. One node's is its file; that of several is put together here, line by line.

``merged`` says how much of each node's file is in ``log`` and how long ``log`` is; what lies beyond that length was
written by a process that died before it could say so, and is written again.
"""

import os
import stat
from pathlib import Path

from zhisuan.engines.local import records
from zhisuan.engines.slurm.paths import RunPaths

_AT_ONCE_BYTES = 4 << 20
_LINE_BYTES_MAX = 64 << 10


def read_at(path: Path, offset: int, limit: int) -> bytes:
    """Follows no link; empty when there is no such file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return b""
        return os.pread(fd, max(limit, 0), max(offset, 0))
    finally:
        os.close(fd)


def whole_lines(data: bytes, *, ended: bool) -> bytes:
    """The part of ``data`` that may be shown: up to the last line end, or all when nothing follows or the line is too
    long to wait for."""
    cut = data.rfind(b"\n") + 1
    return data if ended or len(data) - cut > _LINE_BYTES_MAX else data[:cut]


def prefixed(data: bytes, rank: int) -> bytes:
    """Every line of ``data`` with the rank before it and an end after it."""
    lines = data.removesuffix(b"\n").split(b"\n") if data else []
    return b"".join(b"[%d] %s\n" % (rank, line) for line in lines)


class MergedLog:
    """The caller holds the lease's lock."""

    def __init__(self, paths: RunPaths, nodes: int, bytes_max: int) -> None:
        self._paths = paths
        self._nodes = nodes
        self._bytes_max = bytes_max
        self._state = {key: int(value) for key, value in records.read(paths.merged) or []}

    def extend(self, *, ended: bool) -> None:
        """Bring in what the nodes have written since; ``ended``: nothing more will come."""
        while self._step(ended=ended):
            pass

    def _step(self, *, ended: bool) -> bool:
        length = self._state.get("bytes", 0)
        if length >= self._bytes_max:
            return False
        parts, state = [], dict(self._state)
        for rank in range(self._nodes):
            key = f"node_{rank}"
            done = state.get(key, 0)
            data = read_at(self._paths.node(rank) / "out", done, _AT_ONCE_BYTES)
            shown = whole_lines(data, ended=ended and len(data) < _AT_ONCE_BYTES)
            parts.append(prefixed(shown, rank))
            state[key] = done + len(shown)
        added = b"".join(parts)
        if not added:
            return False
        note = (
            f"[zhisuan] the log has reached its limit of {self._bytes_max} bytes; further output is not kept\n".encode()
        )
        if length + len(added) > self._bytes_max:
            added = added[: added.rfind(b"\n", 0, self._bytes_max - length) + 1] + note
            state["bytes"] = max(self._bytes_max, length + len(added))
        else:
            state["bytes"] = length + len(added)
        fd = os.open(self._paths.log, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(fd, length)
            os.pwrite(fd, added, length)
        finally:
            os.close(fd)
        records.write_atomic(self._paths.merged, [(name, str(value)) for name, value in state.items()], durable=False)
        self._state = state
        return True

    def read(self, offset: int, limit: int) -> bytes:
        """Only what is surely there for good."""
        return read_at(self._paths.log, offset, min(limit, self._state.get("bytes", 0) - offset))
