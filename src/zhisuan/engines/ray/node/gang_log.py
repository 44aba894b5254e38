"""Makes one log of the logs of all nodes: whole lines, each with its node's rank before it."""

import os

_CHUNK_BYTES = 1 << 18
_LINE_BYTES_MAX = 1 << 16


class _Source:
    def __init__(self, path: str, rank: int) -> None:
        self.path = path
        self.prefix = f"[{rank}] ".encode()
        self.offset = 0
        self.begun = b""

    def lines(self) -> bytes:
        """What has come since, as far as it is whole lines; a line of more than 64 KiB counts as several."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        try:
            chunk = os.pread(fd, _CHUNK_BYTES, self.offset)
        finally:
            os.close(fd)
        self.offset += len(chunk)
        *whole, self.begun = (self.begun + chunk).split(b"\n")
        while len(self.begun) > _LINE_BYTES_MAX:
            whole.append(self.begun[:_LINE_BYTES_MAX])
            self.begun = self.begun[_LINE_BYTES_MAX:]
        return b"".join(self.prefix + line + b"\n" for line in whole)

    def rest(self) -> bytes:
        """The last line when it has no end."""
        rest, self.begun = self.begun, b""
        return self.prefix + rest + b"\n" if rest else b""


class GangLog:
    def __init__(self, path: str, sources: list[str]) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._sources = [_Source(source, rank) for rank, source in enumerate(sources)]
        self._unwritten = b""

    def read(self) -> None:
        """Take up what the nodes have written since."""
        if not self._unwritten:
            self._unwritten = b"".join(source.lines() for source in self._sources)

    def write(self) -> bool:
        """Show what was taken up; False when that was nothing. On a full disk the lines wait for room."""
        shown = bool(self._unwritten)
        try:
            while self._unwritten:
                self._unwritten = self._unwritten[os.write(self._fd, self._unwritten) :]
        except OSError:
            return False
        return shown

    def close(self) -> None:
        self.read()
        while self.write():
            self.read()
        self._unwritten += b"".join(source.rest() for source in self._sources)
        self.write()
        os.close(self._fd)
