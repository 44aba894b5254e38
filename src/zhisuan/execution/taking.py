"""Taking devices for many orders in one transaction, a few statements for all of them together."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol, Self

from sqlalchemy import TextClause, text

from zhisuan.base.db import Tx
from zhisuan.execution.placing import as_good
from zhisuan.placement.types import Candidate, Plan

ROUNDS = 3
"""Others may take a device between the look and the lock: what they took is looked at again so often."""

_FREE = text(
    "SELECT id, reported_capacity - allocated FROM supply_device WHERE id = ANY(CAST(:ids AS text[])) AND present"
)
_LOCK = text(
    """SELECT id, reported_capacity - allocated FROM supply_device WHERE id = ANY(CAST(:ids AS text[])) AND present
       ORDER BY id FOR NO KEY UPDATE SKIP LOCKED"""
)
_GIVE = text(
    """UPDATE supply_device SET allocated = allocated + asked.amount
       FROM unnest(CAST(:ids AS text[]), CAST(:amounts AS bigint[])) AS asked(id, amount) WHERE supply_device.id = asked.id"""
)


class Room(Protocol):
    """What quotas leave for the orders, by their number: what one takes counts for those after it."""

    def copy(self) -> Self: ...

    def admits(self, number: int, candidate: Candidate) -> bool: ...

    def take(self, number: int, candidate: Candidate) -> None: ...


def take_together(tx: Tx, plans: Sequence[Plan | None], held: frozenset[str], room: Room) -> list[Candidate | None]:
    """For each plan the devices of the first of its best candidates that are free and have room, at sites that the transaction holds:
    all or none of a candidate, and never waiting for anybody. Where two plans want the same, the earlier one has it.

    Only what is taken is locked, and what was about to be and had just gone.
    """
    wished = [[c for c in as_good(plan) if c.site_id in held] if plan is not None else [] for plan in plans]
    taken: list[Candidate | None] = [None] * len(plans)
    beyond: set[str] = set()
    for _ in range(ROUNDS):
        left = {n: [c for c in wished[n] if not beyond & c.amounts.keys()] for n in range(len(plans)) if taken[n] is None}
        free = _look(tx, _FREE, _devices(c for options in left.values() for c in options))
        chosen = _first_fitting(left, free, room.copy())
        if not chosen:
            break
        free = _look(tx, _LOCK, wanted := _devices(chosen.values()))
        kept = _first_fitting({n: [c] for n, c in chosen.items()}, free, room)
        _give(tx, kept.values())
        for number, candidate in kept.items():
            taken[number] = candidate
        if len(kept) == len(chosen):
            break
        beyond |= set(wanted) - free.keys()
    return taken


def _devices(candidates: Iterable[Candidate]) -> list[str]:
    return sorted({ident for c in candidates for ident in c.amounts})


def _look(tx: Tx, statement: TextClause, ids: Sequence[str]) -> dict[str, int]:
    return {ident: free for ident, free in tx.session.execute(statement, {"ids": ids})} if ids else {}  # noqa: C416


def _first_fitting(options: dict[int, list[Candidate]], free: dict[str, int], room: Room) -> dict[int, Candidate]:
    """By number, in order, the first candidate that still fits beside those before it."""
    given: Counter[str] = Counter()
    found = {}
    for number, candidates in options.items():
        for candidate in candidates:
            fits = all(given[ident] + amount <= free.get(ident, 0) for ident, amount in candidate.amounts.items())
            if fits and room.admits(number, candidate):
                given.update(candidate.amounts)
                room.take(number, candidate)
                found[number] = candidate
                break
    return found


def _give(tx: Tx, candidates: Iterable[Candidate]) -> None:
    total: Counter[str] = Counter()
    for candidate in candidates:
        total.update(candidate.amounts)
    if total:
        ids = sorted(total)
        tx.session.execute(_GIVE, {"ids": ids, "amounts": [total[ident] for ident in ids]})
