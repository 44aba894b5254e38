"""The order in which what waits is asked, as a pure function.

1. Work on demand before spot work.
2. Organisations: first those that stay within what they are guaranteed; then the smallest share of late (``shares``), counting what
   was already put before; then whose first order came first.
3. In an organisation: first projects that stay within what they are guaranteed; then the highest priority, raised by one for every
   ``AGEING_SECONDS`` of waiting; then the project with the smallest share; then order of coming.

So priority orders an organisation's own work, and never puts one organisation before another: a place in the line is not for sale. A burst of
one keeps nobody else waiting, since after each of its orders the next of somebody with a smaller share comes first.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace

from zhisuan.placement.queueing.quotas import Accounts
from zhisuan.placement.queueing.shares import dominant
from zhisuan.placement.queueing.types import NOTHING, Amounts, Order

PRIORITY_MAX = 100
AGEING_SECONDS = 360


@dataclass(frozen=True, slots=True)
class Place:
    """One order where it stands. ``share``: of its organisation when it was put there; ``rank`` is its priority with its age;
    ``guaranteed``: whether its organisation stays within what it is guaranteed."""

    order: Order
    number: int
    guaranteed: bool
    share: int
    rank: int


def rank_of(order: Order, now: int) -> int:
    """Its priority, raised by its waiting."""
    return min(PRIORITY_MAX, order.priority + max(0, now - order.since) // AGEING_SECONDS)


def arrange(
    orders: Iterable[Order], accounts: Accounts, used: Mapping[str, Amounts], capacity: Amounts, now: int
) -> tuple[Place, ...]:
    """``used``: what organisations and projects have used of late (``shares.recent``), by id."""
    virtual = accounts.copy()
    kinds: dict[bool, list[Order]] = {False: [], True: []}
    for order in orders:
        kinds[order.spot].append(order)
    places: list[Place] = []
    for spot in (False, True):
        _arrange_kind(kinds[spot], virtual, used, capacity, now, places)
    return tuple(places)


class _Organisation:
    """The orders of one organisation that are not placed yet, by project, the next of each last."""

    def __init__(self, org_id: str, orders: Sequence[Order], now: int) -> None:
        self.id = org_id
        self.ranks = {order.id: rank_of(order, now) for order in orders}
        self.projects: dict[str, list[Order]] = defaultdict(list)
        for order in sorted(orders, key=lambda o: (-self.ranks[o.id], o.since, o.id), reverse=True):
            self.projects[order.project_id].append(order)

    def next(self, accounts: Accounts, used: Mapping[str, Amounts], capacity: Amounts) -> Order:
        def key(project_id: str) -> tuple[bool, int, int, int, str]:
            head = self.projects[project_id][-1]
            within = accounts.guaranteed(project_id, head.asks)
            return not within, -self.ranks[head.id], _share(project_id, accounts, used, capacity), head.since, head.id

        return self.projects[min(self.projects, key=key)][-1]

    def pop(self, order: Order) -> None:
        waiting = self.projects[order.project_id]
        waiting.pop()
        if not waiting:
            del self.projects[order.project_id]


def _share(subject: str, accounts: Accounts, used: Mapping[str, Amounts], capacity: Amounts) -> int:
    return dominant(used.get(subject, NOTHING), accounts.held(subject), capacity, accounts.quota(subject).weight)


def _arrange_kind(
    orders: Sequence[Order], accounts: Accounts, used: Mapping[str, Amounts], capacity: Amounts, now: int, places: list[Place]
) -> None:
    by_org: dict[str, list[Order]] = defaultdict(list)
    for order in orders:
        by_org[order.org_id].append(order)
    organisations = {org_id: _Organisation(org_id, mine, now) for org_id, mine in by_org.items()}

    def entry(one: _Organisation) -> tuple[bool, int, int, str, Order]:
        head = one.next(accounts, used, capacity)
        within = accounts.guaranteed(one.id, head.asks)
        return not within, _share(one.id, accounts, used, capacity), head.since, head.id, head

    heap = [entry(one) for one in organisations.values()]
    heapify(heap)
    while heap:
        borrows, share, _, _, head = heap[0]
        one = organisations[head.org_id]
        places.append(Place(head, len(places) + 1, not borrows, share, one.ranks[head.id]))
        one.pop(head)
        accounts.take(head.org_id, head.project_id, head.asks)
        if one.projects:
            heapreplace(heap, entry(one))
        else:
            heappop(heap)
