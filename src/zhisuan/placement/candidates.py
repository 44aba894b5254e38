"""Candidates in the order of their ranks, each made when it is looked at: of thousands that fit, a few ever are."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import overload

from zhisuan.placement.types import CANDIDATES_SHOWN, Candidate


class Ranked(Sequence[Candidate]):
    """Best first. ``order`` gives the numbers of the ``n`` best candidates (all for None), ``make`` a candidate of its number."""

    def __init__(self, count: int, order: Callable[[int | None], Iterator[int]], make: Callable[[int], Candidate]) -> None:
        self._count = count
        self._order = order
        self._make = make
        self._numbers = list(order(CANDIDATES_SHOWN))
        self._made: dict[int, Candidate] = {}

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Candidate: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Candidate]: ...
    def __getitem__(self, index: int | slice) -> Candidate | Sequence[Candidate]:
        if isinstance(index, slice):
            return tuple(self[n] for n in range(*index.indices(self._count)))
        rank = index + self._count if index < 0 else index
        if not 0 <= rank < self._count:
            raise IndexError(index)
        if rank not in self._made:
            if rank >= len(self._numbers):
                self._numbers = list(self._order(None))
            self._made[rank] = self._make(self._numbers[rank])
        return self._made[rank]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"<{self._count} candidates>"


class Merged(Sequence[Candidate]):
    """The candidates of several plans as one sequence, best first. ``parts``: those of each plan, best first by ``Candidate.order``,
    ``count`` of them in all; of equals those of an earlier plan stand first."""

    def __init__(self, count: int, parts: Iterable[Iterable[Candidate]]) -> None:
        self._count = count
        self._coming = heapq.merge(*parts, key=lambda c: c.order)
        self._made: list[Candidate] = []

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Candidate: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Candidate]: ...
    def __getitem__(self, index: int | slice) -> Candidate | Sequence[Candidate]:
        if isinstance(index, slice):
            return tuple(self[n] for n in range(*index.indices(self._count)))
        rank = index + self._count if index < 0 else index
        if not 0 <= rank < self._count:
            raise IndexError(index)
        if rank >= len(self._made):
            self._made += islice(self._coming, rank + 1 - len(self._made))
        return self._made[rank]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"<{self._count} candidates>"
