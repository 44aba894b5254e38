"""What one process remembers of one database between transactions, so that it need not be read again each time.

Nothing may depend on it but time: each thing kept here knows how to find out that it is out of date. A new ``Database`` begins
with an empty memory.
"""

import threading
from typing import Any, TypeVar, cast

Kept = TypeVar("Kept")


class Memory:
    """One thing of each type, made at its first use."""

    def __init__(self) -> None:
        self._kept: dict[type[Any], Any] = {}
        self._lock = threading.Lock()

    def of(self, kind: type[Kept]) -> Kept:
        with self._lock:
            if kind not in self._kept:
                self._kept[kind] = kind()
            return cast(Kept, self._kept[kind])
