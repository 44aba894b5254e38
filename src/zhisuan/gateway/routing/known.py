"""What a gateway knows of its replicas, from its own calls alone: how many run, how much is unread, what was read where, how fast."""

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from zhisuan.gateway.routing.asks import Ask

ReplicaKey = tuple[str, int]
PACE_PRIOR_US = 60.0
"""Microseconds for a token of input while nothing is known of a replica; an assumption that its answers soon outweigh."""
PACE_PRIOR_TOKENS = 8_000.0
PACE_KEPT = 0.98
"""What an older answer weighs against the next one; about the last fifty decide."""


class Cache:
    """Prefix blocks that a replica has probably kept: the last ``size`` that were sent to it. A prefix outlives what follows it."""

    __slots__ = ("_blocks", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._blocks: OrderedDict[int, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._blocks)

    def matched(self, blocks: Sequence[int]) -> int:
        """How many of ``blocks``, from the first on, are there."""
        have = self._blocks
        count = 0
        for block in blocks:
            if block not in have:
                break
            count += 1
        return count

    def add(self, blocks: Sequence[int]) -> None:
        have = self._blocks
        for block in reversed(blocks[: self.size]):
            have[block] = None
            have.move_to_end(block)
        while len(have) > self.size:
            have.popitem(last=False)

    def drop(self, blocks: Sequence[int]) -> None:
        for block in blocks:
            self._blocks.pop(block, None)


@dataclass(slots=True, eq=False)
class Pace:
    """How fast replicas of one kind read, by their latest answers. They share it: the pace of one replica alone would follow chance,
    and whichever looked fastest would draw all calls."""

    us: float = PACE_PRIOR_US * PACE_PRIOR_TOKENS
    tokens: float = PACE_PRIOR_TOKENS

    @property
    def us_per_token(self) -> float:
        return self.us / self.tokens

    def add(self, us: int, tokens: int) -> None:
        self.us = self.us * PACE_KEPT + us
        self.tokens = self.tokens * PACE_KEPT + tokens


@dataclass(slots=True, eq=False)
class Sent:
    """One call on its way: ``unread`` is the input that was not thought to be cached, 0 from its first token on."""

    ask: Ask
    unread: int
    matched: int


@dataclass(slots=True, eq=False)
class Known:
    """One replica. ``waiting`` are the calls without a first token, oldest first; ``reading_since`` is when the oldest began
    to be read, as far as can be told."""

    key: ReplicaKey
    cache: Cache
    pace: Pace
    in_flight: int = 0
    served: int = 0
    unread: int = 0
    reading_since: int = 0
    waiting: dict[int, Sent] = field(default_factory=dict)

    def backlog_us(self, now_us: int) -> float:
        """How long what was sent before will still be read."""
        if not self.waiting:
            return 0.0
        oldest = next(iter(self.waiting.values()))
        pace = self.pace.us_per_token
        return self.unread * pace - min(float(now_us - self.reading_since), oldest.unread * pace)

    def missing(self, ask: Ask) -> int:
        """Tokens of ``ask`` that this replica has to read."""
        return uncached(ask, self.cache.matched(ask.blocks) if ask.blocks else 0)


def uncached(ask: Ask, matched: int) -> int:
    """Tokens to read when ``matched`` blocks are cached; the last token is always read, or nothing would come of it."""
    return ask.tokens - min(_of(ask, matched), max(0, ask.tokens - 1))


def _of(ask: Ask, matched: int) -> int:
    """Tokens in the first ``matched`` blocks; the blocks share the input evenly where a tokenizer cuts otherwise than we do."""
    return ask.tokens * matched // len(ask.blocks) if ask.blocks else 0


@dataclass(slots=True)
class Book:
    """``cache_blocks`` bounds what is remembered of each replica's cache; 0 remembers nothing."""

    cache_blocks: int = 0
    replicas: dict[ReplicaKey, Known] = field(default_factory=dict)
    paces: dict[str, Pace] = field(default_factory=dict)

    def known(self, key: ReplicaKey, kind: str = "") -> Known:
        """What is known of ``key``; a new one is of this ``kind`` (its model and device class, say)."""
        found = self.replicas.get(key)
        if found is None:
            pace = self.paces.setdefault(kind, Pace())
            found = self.replicas[key] = Known(key, Cache(self.cache_blocks), pace)
        return found

    def sent(self, key: ReplicaKey, ask: Ask, now_us: int) -> Sent:
        """A call leaves for ``key``. Give the answer back to ``first_token`` and ``ended``."""
        replica = self.known(key)
        matched = replica.cache.matched(ask.blocks) if self.cache_blocks else 0
        call = Sent(ask, uncached(ask, matched), matched)
        if not replica.waiting:
            replica.reading_since = now_us
        replica.waiting[id(call)] = call
        replica.unread += call.unread
        replica.in_flight += 1
        replica.served += 1
        if self.cache_blocks:
            replica.cache.add(ask.blocks)
        return call

    def first_token(self, key: ReplicaKey, call: Sent, now_us: int) -> None:
        replica = self.known(key)
        if replica.waiting.pop(id(call), None) is None:
            return
        replica.pace.add(now_us - replica.reading_since, call.unread)
        replica.reading_since = now_us
        replica.unread -= call.unread

    def ended(self, key: ReplicaKey, call: Sent) -> None:
        """The call is over, well or not."""
        replica = self.known(key)
        replica.in_flight -= 1
        if replica.waiting.pop(id(call), None) is not None:
            replica.unread -= call.unread

    def forget_all_but(self, keys: Collection[ReplicaKey]) -> None:
        """Drop what is known of replicas that are gone and idle."""
        self.replicas = {key: known for key, known in self.replicas.items() if key in keys or known.in_flight}
