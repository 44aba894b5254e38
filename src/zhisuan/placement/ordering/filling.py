"""Who fits, in an order: each job that has room is taken, one that has none lets others past."""

import numpy as np

from zhisuan.placement.ordering.types import Ints


def prefix(cards: Ints, room: int) -> int:
    """How many of these, from the first, have room at once."""
    return int(np.searchsorted(np.cumsum(cards), room, side="right"))


def fill(cards: Ints, room: int) -> Ints:
    """Places, rising, of those that are taken if each takes its cards in turn where they are still there."""
    taken = []
    places = np.flatnonzero(cards <= room)
    while len(places):
        run = np.cumsum(cards[places])
        count = int(np.searchsorted(run, room, side="right"))
        taken.append(places[:count])
        room -= int(run[count - 1]) if count else 0
        places = places[count:]
        places = places[cards[places] <= room]
    return np.concatenate(taken) if taken else np.zeros(0, np.int64)


def fill_two(cards: Ints, starts: np.ndarray, room: int, extra: int) -> Ints:
    """As ``fill``, where those that start may take no more than ``extra`` together."""
    taken = []
    for place, (width, is_start) in enumerate(zip(cards.tolist(), starts.tolist(), strict=True)):
        if width > room or (is_start and width > extra):
            continue
        taken.append(place)
        room -= width
        extra -= width if is_start else 0
        if not room:
            break
    return np.array(taken, np.int64)
