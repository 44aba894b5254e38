"""Our policy: where is the first token soonest? What waits there already, and what of this call was not read there before."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from zhisuan.gateway.routing.asks import Ask
from zhisuan.gateway.routing.known import Known
from zhisuan.gateway.routing.policies import tie

RUNNING_US = 500.0
DEBTS_MAX = 4_096


@dataclass(slots=True)
class PrefixAware:
    """Cost: time to read what was sent before and is unread, plus time to read what of this call is not cached, plus
    ``running_us`` for each call in flight, which slows the reading and holds memory.

    The cheapest replica for each call alone would keep a popular prefix at one replica until its queue is as long as the prefix.
    So what calls lose by waiting where a prefix is, against the replica with the least to do, is added up for that prefix; when it
    would have paid for reading the prefix there, the next call does so (the rule for whether to rent or buy skis)."""

    running_us: float = RUNNING_US
    _debts: OrderedDict[int, float] = field(default_factory=OrderedDict)

    def choose(self, ask: Ask, able: Sequence[Known], now_us: int) -> Known:
        waits = [replica.backlog_us(now_us) + replica.in_flight * self.running_us for replica in able]
        reads = [replica.missing(ask) * replica.pace.us_per_token for replica in able]
        places = range(len(able))
        cheapest = min(places, key=lambda at: (waits[at] + reads[at], tie(able[at])))
        calmest = min(places, key=lambda at: (waits[at], reads[at], tie(able[at])))
        lost, price = waits[cheapest] - waits[calmest], reads[calmest] - reads[cheapest]
        if lost > 0 and price > 0:
            matched = able[cheapest].cache.matched(ask.blocks)
            if matched and self._paid(ask.blocks[matched - 1], lost, price):
                return able[calmest]
        return able[cheapest]

    def _paid(self, prefix: int, lost: float, price: float) -> bool:
        """Add ``lost`` to what waiting for this prefix has cost; whether that is ``price``, and then begin anew."""
        debt = self._debts.pop(prefix, 0.0) + lost
        if debt >= price:
            return True
        self._debts[prefix] = debt
        if len(self._debts) > DEBTS_MAX:
            self._debts.popitem(last=False)
        return False
