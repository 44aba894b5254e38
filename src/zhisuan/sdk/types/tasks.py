"""The tasks of an order of many: how each of them has ended."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

TASK_TABLE = "tasks.csv"
"""The artefact that holds them."""


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """One task that has finished: the tries that it took, and the exit status (above 128 a signal), begin and end of the last."""

    index: int
    tries: int
    exit_status: int
    began: datetime
    ended: datetime

    @property
    def failed(self) -> bool:
        return self.exit_status != 0

    def as_json(self) -> dict[str, int | str]:
        return {
            "index": self.index, "tries": self.tries, "exit_status": self.exit_status,
            "began": self.began.isoformat(), "ended": self.ended.isoformat(),
        }  # fmt: skip


def read_tasks(lines: Iterable[str]) -> list[TaskEnd]:
    """From the lines of the table. Raises ``ValueError`` or ``KeyError`` for what is no such table."""
    return [
        TaskEnd(
            int(row["index"]), int(row["tries"]), int(row["exit_status"]),
            datetime.fromisoformat(row["began"]), datetime.fromisoformat(row["ended"]),
        )
        for row in csv.DictReader(lines)
    ]  # fmt: skip
