"""The run's log file: output in order, up to a limit."""

import os

_CHUNK_BYTES = 1 << 16


class Log:
    def __init__(self, path: str, bytes_max: int) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._left = bytes_max - os.fstat(self._fd).st_size
        self._bytes_max = bytes_max
        self._cut = False
        self._gap = 0
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
        if kept and self._append(kept):
            self._left -= len(kept)
        if len(kept) < len(chunk) and not self._cut:
            note = f"\n[zhisuan] the log has reached its limit of {self._bytes_max} bytes; further output is not kept\n"
            self._cut = self._append(note.encode())

    def _append(self, data: bytes) -> bool:
        """A full disk costs output, never the run; the log says how much once there is room again."""
        gap = f"\n[zhisuan] {self._gap} bytes of output are missing here: the site's disk was full\n".encode()
        try:
            if self._gap:
                os.write(self._fd, gap)
                self._gap = 0
            os.write(self._fd, data)
        except OSError:
            self._gap += len(data)
            return False
        return True

    def close(self) -> None:
        try:
            os.fsync(self._fd)
        except OSError:
            return
        finally:
            os.close(self._fd)
