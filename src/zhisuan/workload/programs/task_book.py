"""What the runner of an order of tasks writes: the log, the table of what has finished, and the record that outlives it.

Sent to the site before ``task_runner``, which says how it is used.
"""

from __future__ import annotations

import os
import time

RECORD, TABLE = ".zhisuan-tasks", "tasks.csv"
HEAD = b"index,tries,exit_status,began,ended\n"
PART_ROWS = 256
SAVE_SECONDS = 1.0


class Order:
    """``parallel`` counts on each node; 0: one for each core. ``token`` and ``ports`` are how the nodes of one order find each other."""

    def __init__(self, count: int, parallel: int, retries: int, token: str, ports: tuple[int, ...]) -> None:
        self.count = count
        self.parallel = parallel
        self.retries = retries
        self.token = token
        self.ports = ports
        self.rank = int(os.environ.get("ZHISUAN_NODE_RANK") or 0)
        self.nodes = int(os.environ.get("ZHISUAN_NUM_NODES") or 1)
        self.addresses = (os.environ.get("ZHISUAN_NODE_IPS") or "127.0.0.1").split()


class Log:
    """Standard output, in whole lines."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def add(self, lines: bytes) -> None:
        self._pieces.append(lines)

    def say(self, text: str) -> None:
        self.add(b"[zhisuan] " + text.encode("utf-8", "replace") + b"\n")

    def flush(self) -> None:
        data = memoryview(b"".join(self._pieces))
        self._pieces.clear()
        while data:
            try:
                data = data[os.write(1, data) :]
            except OSError:
                return  # nobody reads any more: the work is being ended


LOG = Log()


class Book:
    """What has finished, by index and in the order of finishing: the row of the table, the tries it took and its exit status.

    The record is a folder of files of ``PART_ROWS`` rows. A full one is not written again, so that a checkpoint that is saved often
    sends little, and storing it costs no more than the table.
    """

    def __init__(self, order: Order) -> None:
        self.count = order.count
        self.rows: dict[int, bytes] = {}
        self.failed: dict[int, tuple[int, int]] = {}
        self._finished: list[int] = []
        self._kept = 0
        self._due = 0.0
        self._complaints: set[str] = set()

    def load(self) -> None:
        """Rows that are cut short, or of other tasks than there are, are passed over."""
        for path in self._parts():
            try:
                with open(path, "rb") as file:
                    lines = file.read().splitlines(keepends=True)
            except OSError as error:
                self._complain(RECORD, error)
                continue
            for line in lines[1:]:
                self.take(line)

    def take(self, row: bytes) -> None:
        parts = row.rstrip(b"\n").split(b",")
        if len(parts) != 5 or not row.endswith(b"\n") or not all(part.isdigit() for part in parts[:3]):
            return
        index, tries, status = map(int, parts[:3])
        if index >= self.count or index in self.rows:
            return
        self.rows[index] = row
        self._finished.append(index)
        if status:
            self.failed[index] = tries, status

    def summary(self) -> str:
        failed = f", {len(self.failed):,} failed" if self.failed else ""
        return f"{len(self.rows):,} of {self.count:,} tasks done{failed}"

    def save(self, *, at_once: bool = False) -> None:
        """Write what the record lacks, when it is time."""
        now = time.monotonic()
        if len(self._finished) == self._kept or (now < self._due and not at_once):
            return
        self._due = now + SAVE_SECONDS
        self._keep(self._finished, self._kept // PART_ROWS)
        self._kept = len(self._finished)

    def close(self, *, complete: bool) -> None:
        """The last word. Of a complete order the record keeps what succeeded: who has it run again wants the others."""
        self._write(os.path.join(os.environ["ZHISUAN_ARTIFACTS"], TABLE), sorted(self.rows))
        self.save(at_once=True)
        if complete and self.failed:
            succeeded = [index for index in self._finished if index not in self.failed]
            changed = next(at for at, index in enumerate(self._finished) if index in self.failed)
            self._keep(succeeded, changed // PART_ROWS)
            for path in self._parts()[-(-len(succeeded) // PART_ROWS) :]:
                os.unlink(path)

    def _keep(self, finished: list[int], part: int) -> None:
        """Write the parts of the record from this one on."""
        for first in range(part * PART_ROWS, len(finished), PART_ROWS):
            path = os.path.join(_record_folder(), f"{first // PART_ROWS:05d}.csv")
            self._write(path, finished[first : first + PART_ROWS])

    def _parts(self) -> list[str]:
        folder = _record_folder()
        names = os.listdir(folder) if os.path.isdir(folder) else []
        return [os.path.join(folder, name) for name in sorted(names) if name.endswith(".csv")]

    def _write(self, path: str, indices: list[int]) -> None:
        """A full disk costs the table, never the work."""
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path + ".new", "wb") as file:
                file.write(HEAD + b"".join([self.rows[index] for index in indices]))
            os.replace(path + ".new", path)
        except OSError as error:
            self._complain(os.path.basename(path), error)

    def _complain(self, name: str, error: OSError) -> None:
        """Each trouble once."""
        if str(error) not in self._complaints:
            self._complaints.add(str(error))
            LOG.say(f"{name} cannot be read or written: {error.strerror}. The tasks go on.")


def _record_folder() -> str:
    return os.path.join(os.environ["ZHISUAN_CHECKPOINT"], RECORD)


class Clock:
    """The wall clock as text, UTC."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def stamp(self) -> str:
        second, rest = divmod(time.time_ns() // 1_000_000, 1000)
        if second != self._second:
            self._second, self._text = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._text}.{rest:03d}Z"
