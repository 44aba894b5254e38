"""Telling new events, duplicates and refusals of one batch apart."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from zhisuan.base.db import Tx
from zhisuan.usage.quarantine import keep_aside
from zhisuan.usage.rules import ID_REUSED, Refusal, is_storable
from zhisuan.wire.common import Accepted
from zhisuan.wire.gateway import TokenUsage
from zhisuan.wire.site import UsageWindow

E = TypeVar("E", UsageWindow, TokenUsage)
Body = tuple[Any, ...]


class Sorting(Generic[E]):
    """The events of one batch. ``body_of`` gives what must be equal for two events of one id to be the same event.

    ``fresh`` holds, by id, those that may be counted unless the database has them.
    """

    def __init__(self, body_of: Callable[[E], Body]) -> None:
        self._body_of: Callable[[E], Body] = body_of
        self.fresh: dict[str, E] = {}
        self._refused: list[tuple[E, Refusal]] = []
        self._retry: list[str] = []
        self._duplicates = 0

    def add(self, event: E, refusal: Refusal | None) -> None:
        """Take in one event of the batch with the judgement on it."""
        if refusal is not None and refusal.retry:
            self._retry.append(event.id)
        elif refusal is not None:
            self._refused.append((event, refusal))
        elif event.id not in self.fresh:
            self.fresh[event.id] = event
        elif self._body_of(self.fresh[event.id]) == self._body_of(event):
            self._duplicates += 1
        else:
            self._refused.append((event, ID_REUSED))

    def recognise(self, stored: Callable[[Sequence[str]], Mapping[str, Body]]) -> None:
        """What would be refused today but was counted before is a duplicate: a replay changes nothing."""
        known = stored([event.id for event, _ in self._refused if is_storable(event.id)]) if self._refused else {}
        still = [(event, refusal) for event, refusal in self._refused if known.get(event.id) != self._body_of(event)]
        self._duplicates += len(self._refused) - len(still)
        self._refused = still

    def refuse(self, ident: str, refusal: Refusal) -> None:
        """Turn a fresh event into a refused one."""
        self._refused.append((self.fresh.pop(ident), refusal))

    def drop_stored(self, stored: Mapping[str, Body]) -> int:
        """Turn the fresh events that the database has into duplicates, or refusals where the body differs."""
        for ident, body in stored.items():
            if body == self._body_of(self.fresh[ident]):
                self._duplicates += 1
                del self.fresh[ident]
            else:
                self.refuse(ident, ID_REUSED)
        return len(stored)

    def answer(self, tx: Tx, source: str) -> Accepted:
        """Keep the refused aside and say what became of the batch; ``fresh`` has been written."""
        keep_aside(tx, source, self._refused)
        refused = tuple(dict.fromkeys(event.id for event, _ in self._refused))
        return Accepted(
            accepted=len(self.fresh),
            duplicate=self._duplicates,
            refused=refused,
            retry=tuple(dict.fromkeys(self._retry)),
        )
