"""Candidates in the order of their ranks, each made when it is looked at: of thousands that fit, a few ever are."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import overload

from zhisuan.placement.types import CANDIDATES_SHOWN, Candidate


class Ranked(Sequence[Candidate]):
    """Best first. ``order`` gives the numbers of the ``n`` best candidates (all for None), ``make`` a candidate of its number;
    ``sites``: by number, which site it is of."""

    def __init__(
        self,
        count: int,
        order: Callable[[int | None], Iterator[int]],
        make: Callable[[int], Candidate],
        sites: Sequence[int],
    ) -> None:
        self._count = count
        self._sites = sites
        self._order = order
        self._make = make
        self._numbers = list(order(CANDIDATES_SHOWN))
        self._made: dict[int, Candidate] = {}

    def __len__(self) -> int:
        return self._count

    def best_of_sites(self) -> Iterator[Candidate]:
        """The best of each site, best first; no other is made."""
        seen: set[int] = set()
        for rank, number in enumerate(self._order(None)):
            if self._sites[number] not in seen:
                seen.add(self._sites[number])
                yield self[rank]

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


class Together(Sequence[Candidate]):
    """Several sequences, each best first, as one; of each as many are looked at as are needed."""

    def __init__(self, parts: Sequence[Sequence[Candidate]], dressed: Callable[[Candidate, int], Candidate]) -> None:
        """``dressed`` makes of a candidate and the number of its part what is compared; it keeps the order within a part."""
        self._count = sum(len(part) for part in parts)
        self._parts, self._dressed = parts, dressed

        def each(part: Sequence[Candidate], number: int) -> Iterator[Candidate]:
            return (dressed(part[rank], number) for rank in range(len(part)))

        self._merged = heapq.merge(*map(each, parts, range(len(parts))), key=lambda c: c.order)
        self._found: list[Candidate] = []

    def __len__(self) -> int:
        return self._count

    def best_of_sites(self) -> Iterator[Candidate]:
        """The best of each part at each site, best first."""
        bests = (part.best_of_sites() if isinstance(part, Ranked) else iter(part) for part in self._parts)
        made = [self._dressed(candidate, number) for number, best in enumerate(bests) for candidate in best]
        return iter(sorted(made, key=lambda c: c.order))

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
        self._found += islice(self._merged, max(0, rank + 1 - len(self._found)))
        return self._found[rank]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"<{self._count} candidates>"
