"""The run's log file: output in order, up to a limit."""

import os

_CHUNK_BYTES = 1 << 16


class Log:
    def __init__(self, path: str, bytes_max: int) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._left = bytes_max - os.fstat(self._fd).st_size
        self._bytes_max = bytes_max
        self._cut = False
        self.head = b""

    def pump(self, source_fd: int) -> bool:
        """Move what is there now from a non-blocking pipe into the file. False when the pipe has ended."""
        for _ in range(16):
            try:
                chunk = os.read(source_fd, _CHUNK_BYTES)
            except BlockingIOError:
                return True
            if not chunk:
                return False
            self._write(chunk)
        return True

    def _write(self, chunk: bytes) -> None:
        if len(self.head) < 2000:
            self.head += chunk[: 2000 - len(self.head)]
        kept = chunk[: self._left]
        if kept:
            os.write(self._fd, kept)
            self._left -= len(kept)
        if len(kept) < len(chunk) and not self._cut:
            self._cut = True
            note = f"\n[zhisuan] the log has reached its limit of {self._bytes_max} bytes; further output is not kept\n"
            os.write(self._fd, note.encode())

    def close(self) -> None:
        os.fsync(self._fd)
        os.close(self._fd)
