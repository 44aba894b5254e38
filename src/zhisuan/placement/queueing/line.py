"""The line: what each waiting order, in its order, may do now. Pure.

| state | means |
| --- | --- |
| starts | there is a place for it now, and room in its quotas |
| quota | a quota is used up; it holds up nobody |
| reserved | nothing is free for it; what it will take is kept for it (``reserving``) |
| no_place | nothing is free for it now; what fits behind it goes ahead |

Of each wish the first on demand that has no place and has waited for ``PATIENCE_SECONDS`` gets a reservation, at most ``RESERVED_MAX`` in all;
it binds those behind it. The oldest of all that has no place gets one when it has waited for ``OLDEST_SECONDS``, which binds
everybody, also those with smaller shares, until it has started: however many of them come, it starts.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from zhisuan.placement.alternatives import plan_wish
from zhisuan.placement.queueing.arranging import Place
from zhisuan.placement.queueing.quotas import Accounts, Blocked
from zhisuan.placement.queueing.reserving import Ending, Reservation, emptied, kept, reserve
from zhisuan.placement.queueing.types import Order, amounts_of
from zhisuan.placement.site_wishes import Wish
from zhisuan.placement.types import Snapshot

PATIENCE_SECONDS = 30
RESERVED_MAX = 8
OLDEST_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Standing:
    """One order in the line. ``blocked``: by which quota; ``reservation``: what is kept for it, from everybody for the ``oldest``."""

    place: Place
    state: str
    blocked: Blocked | None = None
    reservation: Reservation | None = None
    oldest: bool = False


@dataclass(frozen=True)
class Line:
    """All that wait, first first, as of ``now``."""

    standings: tuple[Standing, ...]
    now: int

    @cached_property
    def _by_id(self) -> dict[str, Standing]:
        return {standing.place.order.id: standing for standing in self.standings}

    @cached_property
    def _reserved(self) -> tuple[Standing, ...]:
        return tuple(standing for standing in self.standings if standing.reservation is not None)

    def of(self, order_id: str) -> Standing | None:
        return self._by_id.get(order_id)

    @cached_property
    def oldest(self) -> str | None:
        return next((s.place.order.id for s in self.standings if s.oldest), None)

    @cached_property
    def starting(self) -> tuple[Order, ...]:
        """Those that have a place now, in the order in which they are asked."""
        found = [s for s in self.standings if s.state == "starts"]
        return tuple(s.place.order for s in sorted(found, key=lambda s: not s.oldest))

    def reserved_before(self, order_id: str | None) -> tuple[Reservation, ...]:
        """What is kept for those before this one; for all, where it is not in the line yet."""
        mine = self._by_id.get(order_id or "")
        number = mine.place.number if mine is not None else len(self.standings) + 1
        others = [s for s in self._reserved if s is not mine and (s.oldest or s.place.number < number)]
        return tuple(s.reservation for s in others if s.reservation is not None)


def line_up(
    places: Sequence[Place], accounts: Accounts, snapshots: Callable[[bool], Snapshot], endings: Callable[[], Sequence[Ending]],
    now: int, before: Line | None = None,
) -> Line:
    """``snapshots``: that of spot work, or of work on demand; ``endings`` is asked only where something is reserved anew; ``before``: the
    line before this one, whose reservations hold on."""
    walk = _Walk(accounts.copy(), snapshots, endings, now, before)
    walk.keep_for_oldest(places, before.oldest if before is not None else None)
    return Line(tuple(walk.standing(place) for place in places), now)


def affordable(wish: Wish, order: Order, accounts: Accounts) -> Wish | None:
    """The wish with those of its alternatives that its quotas have room for; None where they have for none."""
    needs = tuple(n for n in wish.needs if accounts.blocked(order.org_id, order.project_id, amounts_of(n)) is None)
    return replace(wish, needs=needs) if needs else None


class _Walk:
    """Down the line; what an order would take of its quotas counts for those behind."""

    def __init__(
        self,
        accounts: Accounts,
        snapshots: Callable[[bool], Snapshot],
        endings: Callable[[], Sequence[Ending]],
        now: int,
        before: Line | None,
    ) -> None:
        self._accounts, self._snapshots, self._endings, self._now = accounts, snapshots, endings, now
        self._before = before
        self._empty: tuple[Sequence[Ending], Snapshot] | None = None
        self._reserved: list[Reservation] = []
        self._oldest: tuple[Reservation, str] | None = None
        self._wishes: set[Wish] = set()
        self._kept: dict[tuple[bool, frozenset[str]], Snapshot] = {}
        self._fitting: dict[tuple[bool, frozenset[str], Wish], bool] = {}

    def keep_for_oldest(self, places: Iterable[Place], kept_for: str | None) -> None:
        """Reserve for the oldest on demand that has no place, be its share what it may; first for whom that was done before."""
        old = [p.order for p in places if not p.order.spot and self._now - p.order.since >= OLDEST_SECONDS]
        for order in sorted(old, key=lambda o: (o.id != kept_for, o.since, o.id)):
            wish = affordable(order.wish, order, self._accounts)
            fits = wish is not None and self._fits(order, wish)
            if wish is None or (fits and order.id != kept_for):
                continue
            made = self._reserve(order, wish)
            if made is not None:
                if fits:
                    self._accounts.take(order.org_id, order.project_id, amounts_of(wish.needs[0]))
                self._wishes.add(wish)
                self._reserved.append(made)
                self._oldest = made, "starts" if fits else "reserved"
                return

    def standing(self, place: Place) -> Standing:
        order = place.order
        if self._oldest is not None and self._oldest[0].order_id == order.id:
            return Standing(place, self._oldest[1], reservation=self._oldest[0], oldest=True)
        wish = affordable(order.wish, order, self._accounts)
        if wish is None:
            return Standing(place, "quota", blocked=self._accounts.blocked(order.org_id, order.project_id, order.asks))
        if self._fits(order, wish):
            self._accounts.take(order.org_id, order.project_id, amounts_of(wish.needs[0]))
            return Standing(place, "starts")
        if self._may_reserve(order, wish):
            self._wishes.add(wish)
            made = self._reserve(order, wish)
            if made is not None:
                self._reserved.append(made)
                return Standing(place, "reserved", reservation=made)
        return Standing(place, "no_place")

    def _reserve(self, order: Order, wish: Wish) -> Reservation | None:
        """That of the line before while it is good; else one beside those made already."""
        last = self._before.of(order.id) if self._before is not None else None
        if last is not None and last.reservation is not None and last.reservation.is_good(self._now):
            return last.reservation
        if self._empty is None:
            found = self._endings()
            self._empty = found, emptied(self._snapshots(False), found)
        endings, empty = self._empty
        empty = kept(empty, self._reserved, None, self._now)
        return reserve(self._seen(False, self._reserved), empty, order, wish, endings, self._now)

    def _may_reserve(self, order: Order, wish: Wish) -> bool:
        waited = self._now - order.since >= PATIENCE_SECONDS
        return waited and not order.spot and wish not in self._wishes and len(self._reserved) < RESERVED_MAX

    def _fits(self, order: Order, wish: Wish) -> bool:
        binding = [r for r in self._reserved if not r.lets_pass(order.seconds_max, self._now)]
        key = order.spot, frozenset(r.order_id for r in binding), wish
        if key not in self._fitting:
            self._fitting[key] = plan_wish(self._seen(order.spot, binding), wish).chosen is not None
        return self._fitting[key]

    def _seen(self, spot: bool, binding: Iterable[Reservation]) -> Snapshot:
        found = tuple(binding)
        key = spot, frozenset(r.order_id for r in found)
        if key not in self._kept:
            self._kept[key] = kept(self._snapshots(spot), found, None, self._now)
        return self._kept[key]
