"""Prefix affinity: calls with one beginning go to one replica, as long as it is not much busier than the others."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from zhisuan.gateway.routing.asks import Ask
from zhisuan.gateway.routing.known import Known, ReplicaKey
from zhisuan.gateway.routing.policies import tie

LOAD_PERCENT = 125
PREFIX_BLOCKS = 4
MASK = (1 << 64) - 1


@dataclass(slots=True)
class PrefixAffinity:
    """Highest-random-weight hashing of the first ``prefix_blocks`` blocks, with bounded loads (after Mirrokni, Thorup and
    Zadimoghaddam 2018): a replica with more than ``load_percent`` of the mean of calls in flight is passed over. A call without
    blocks goes to the least busy."""

    prefix_blocks: int = PREFIX_BLOCKS
    load_percent: int = LOAD_PERCENT
    _salts: dict[ReplicaKey, int] = field(default_factory=dict)

    def choose(self, ask: Ask, able: Sequence[Known], now_us: int) -> Known:
        if not ask.blocks:
            return min(able, key=tie)
        most = load_bound(sum(replica.in_flight for replica in able), len(able), self.load_percent)
        prefix = ask.blocks[min(len(ask.blocks), self.prefix_blocks) - 1]
        free = (replica for replica in able if replica.in_flight < most)
        return max(free, key=lambda replica: (_mixed(prefix ^ self._salt(replica.key)), replica.key))

    def _salt(self, key: ReplicaKey) -> int:
        found = self._salts.get(key)
        if found is None:
            named = blake2b(f"{key[0]}/{key[1]}".encode(), digest_size=8).digest()
            found = self._salts[key] = int.from_bytes(named, "big")
        return found


def load_bound(in_flight: int, replicas: int, load_percent: int) -> int:
    """The most calls one of ``replicas`` may have once the next has come: a share of the mean, rounded up. Some replica is always
    below it."""
    return -(-load_percent * (in_flight + 1) // (100 * replicas))


def _mixed(value: int) -> int:
    """All bits of ``value`` in all bits of the result (the finaliser of SplitMix64)."""
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & MASK
    return value ^ (value >> 31)
