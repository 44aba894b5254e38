"""What the runner of an order of tasks writes: the log, the table of what has finished, and the record that outlives it.

Sent to the site before ``task_runner``, which says how it is used.
"""

from __future__ import annotations

import os
import time

RECORD, TABLE = ".zhisuan-tasks.csv", "tasks.csv"
HEAD = b"index,tries,exit_status,began,ended\n"
SAVE_SECONDS, SAVE_SHARE = 1.0, 50
"""The record is written each second, but seldom enough that no more than a fiftieth of the time goes into it."""


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
    """What has finished, by index: the row of the table, the tries it took and its exit status."""

    def __init__(self, order: Order) -> None:
        self.count = order.count
        self.rows: dict[int, bytes] = {}
        self.failed: dict[int, tuple[int, int]] = {}
        self._due = 0.0
        self._saved = -1

    def load(self) -> None:
        """Rows that are cut short, or of other tasks than there are, are passed over."""
        try:
            with open(_record_path(), "rb") as file:
                lines = file.read().splitlines(keepends=True)
        except OSError:
            return
        for line in lines[1:]:
            self.take(line)

    def take(self, row: bytes) -> None:
        parts = row.rstrip(b"\n").split(b",")
        if len(parts) != 5 or not row.endswith(b"\n") or not all(part.isdigit() for part in parts[:3]):
            return
        index, tries, status = map(int, parts[:3])
        if index < self.count:
            self.rows[index] = row
            self.failed.pop(index, None)
            if status:
                self.failed[index] = tries, status

    def summary(self) -> str:
        failed = f", {len(self.failed):,} failed" if self.failed else ""
        return f"{len(self.rows):,} of {self.count:,} tasks done{failed}"

    def save(self, *, at_once: bool = False) -> None:
        """Write the record, when it is time and there is something new."""
        began = time.monotonic()
        if len(self.rows) == self._saved or (began < self._due and not at_once):
            return
        self._saved = len(self.rows)
        _write(_record_path(), self.rows)
        now = time.monotonic()
        self._due = now + max(SAVE_SECONDS, (now - began) * SAVE_SHARE)

    def close(self, *, complete: bool) -> None:
        """The last word. Of a complete order the record keeps what succeeded: who has it run again wants the others."""
        _write(os.path.join(os.environ["ZHISUAN_ARTIFACTS"], TABLE), self.rows)
        kept = {index: row for index, row in self.rows.items() if not (complete and index in self.failed)}
        _write(_record_path(), kept)


def _record_path() -> str:
    return os.path.join(os.environ["ZHISUAN_CHECKPOINT"], RECORD)


def _write(path: str, rows: dict[int, bytes]) -> None:
    """A full disk costs the table, never the work."""
    try:
        with open(path + ".new", "wb") as file:
            file.write(HEAD + b"".join(rows[index] for index in sorted(rows)))
        os.replace(path + ".new", path)
    except OSError as error:
        LOG.say(f"{os.path.basename(path)} could not be written: {error.strerror}")


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
