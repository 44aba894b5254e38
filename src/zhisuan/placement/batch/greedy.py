"""Jobs one after the other, each where it is cheapest among the room that is left: the baseline, and how fractions become a plan."""

import copy

import numpy as np

from zhisuan.placement.batch.options import NEVER, Ints, Options


class Room:
    """``taken[w, s, t]`` jobs of a wish start there; ``free`` is what is left."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.free = options.free.copy()
        self.taken = np.zeros(options.cost.shape, np.int64)
        self.left = options.count.copy()
        self.objective = int((options.count * options.value).sum())

    def copy(self) -> "Room":
        other = copy.copy(self)
        other.free, other.taken, other.left = self.free.copy(), self.taken.copy(), self.left.copy()
        return other

    def fits(self, wish: int, site: int, slot: int) -> int:
        """How many of it still fit in there."""
        span = self.free[site, slot : slot + self.options.length[wish, site]]
        return int(span.min() // self.options.cards[wish])

    def put(self, wish: int, site: int, slot: int, count: int) -> None:
        """``count`` of it, or fewer than none to take them out."""
        self.free[site, slot : slot + self.options.length[wish, site]] -= count * self.options.cards[wish]
        self.taken[wish, site, slot] += count
        self.left[wish] -= count
        self.objective += count * int(self.options.cost[wish, site, slot] - self.options.value[wish])

    def put_cheapest(self, wish: int, rank: Ints) -> None:
        """All of it that finds room at less than its value, in the order of ``rank`` (an array of sites × slots)."""
        worth = (self.options.cost[wish] < self.options.value[wish]) & (self.free >= self.options.cards[wish])
        starts = np.flatnonzero(worth & (rank < NEVER))
        for at in starts[np.argsort(rank.ravel()[starts], kind="stable")]:
            if not self.left[wish]:
                return
            site, slot = divmod(int(at), self.options.cost.shape[2])
            if count := min(self.fits(wish, site, slot), int(self.left[wish])):
                self.put(wish, site, slot, count)


def greedy(options: Options) -> Room:
    """The most worth a card first, then the nearest deadline; each where it is cheapest."""
    room = Room(options)
    worth = options.value // np.maximum(options.cards, 1)
    deadline = np.array([wish.deadline for wish in options.wishes])
    for wish in np.lexsort((deadline, -worth)).tolist():
        room.put_cheapest(wish, options.cost[wish])
    return room


def finish(room: Room, prices: Ints) -> None:
    """What is not placed goes where it is cheapest at the prices of card-slots, the largest first; then each looks once more."""
    priced = at_prices(room.options, prices)
    for wish in np.lexsort((-room.options.value, -room.options.cards)).tolist():
        if room.left[wish]:
            room.put_cheapest(wish, priced[wish])
    improve(room)


def at_prices(options: Options, prices: Ints) -> Ints:
    """Costs with the price of the card-slots they hold."""
    sums = np.concatenate((np.zeros((len(prices), 1), np.int64), prices.cumsum(axis=1)), axis=1)
    slots = np.arange(prices.shape[1])
    last = np.minimum(slots + options.length[:, :, None], prices.shape[1])
    sites = np.arange(len(prices))[:, None]
    held = (sums[sites, last] - sums[sites, slots]) * options.cards[:, None, None]
    return np.where(options.cost == NEVER, NEVER, options.cost + held)


def improve(room: Room, rounds: int = 3) -> None:
    """Each job moves to a cheaper start where there is room, until none finds one."""
    options = room.options
    for _ in range(rounds):
        before = room.objective
        for wish in range(len(options.count)):
            held = list(zip(*np.nonzero(room.taken[wish]), strict=True))
            for site, slot in held:
                room.put(wish, int(site), int(slot), -int(room.taken[wish, site, slot]))
            room.put_cheapest(wish, options.cost[wish])
        if room.objective >= before:
            return
