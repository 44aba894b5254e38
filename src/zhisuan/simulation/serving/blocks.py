"""The memory of one replica in blocks of 512 tokens: what running calls hold, and prefixes kept for the next, least lately used out first."""

from collections import OrderedDict
from collections.abc import Sequence


class BlockMemory:
    """``private`` are blocks of single calls (output, and input being read); ``held`` are prefixes that running calls use, by how
    many of them; ``idle`` are prefixes nobody uses now. All together never exceed ``capacity``."""

    __slots__ = ("capacity", "held", "idle", "private")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.private = 0
        self.held: dict[int, int] = {}
        self.idle: OrderedDict[int, None] = OrderedDict()

    @property
    def used(self) -> int:
        return self.private + len(self.held) + len(self.idle)

    def reserve(self, prefix: Sequence[int], total: int) -> int | None:
        """Room for a call of ``total`` blocks whose input is ``prefix``: how many of its first blocks are there already and are now
        held; None where there is no room, and nothing has changed."""
        matched = 0
        for block in prefix:
            if block not in self.held and block not in self.idle:
                break
            matched += 1
        kept = {block for block in prefix[:matched] if block in self.idle}
        new = total - matched
        if self.private + len(self.held) + len(kept) + new > self.capacity:
            return None
        for block in kept:
            del self.idle[block]
        for block in prefix[:matched]:
            self.held[block] = self.held.get(block, 0) + 1
        self.private += new
        while self.used > self.capacity:
            self.idle.popitem(last=False)
        return matched

    def share(self, read: Sequence[int]) -> None:
        """These blocks, until now private to a call, have been read: others may use them. One that is there already is not kept twice."""
        for block in read:
            self.idle.pop(block, None)
            self.held[block] = self.held.get(block, 0) + 1
        self.private -= len(read)

    def release(self, shared: Sequence[int], private: int) -> None:
        """A call is over; of its prefix, the last blocks go first when room is needed."""
        for block in reversed(shared):
            left = self.held[block] - 1
            if left:
                self.held[block] = left
            else:
                del self.held[block]
                self.idle[block] = None
        self.private -= private
