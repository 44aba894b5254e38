"""Which spot work may be ended for a waiting order, by who has a right to what. Pure.

Work on demand that stays within what it is guaranteed may end any spot work, that of borrowers first; work that would borrow itself ends only
spot work that is borrowed. Other borrowed work is never ended: it is let end by itself, and until then those who are owed come
first in the line. Where it is a quota that has no room, and an organisation's own projects have borrowed it from one another, spot work
of the borrowers is ended so far as that makes room.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from zhisuan.placement.queueing.quotas import Accounts
from zhisuan.placement.queueing.types import Amounts, Order


@dataclass(frozen=True, slots=True)
class Held:
    """A spot lease: whose it is, what it holds, what ending it loses (10⁻⁶ 度), and when it began (any scale)."""

    lease_id: str
    org_id: str
    project_id: str
    amounts: Amounts
    loss_udu: int
    began: int


def is_borrowed(accounts: Accounts, org_id: str, project_id: str) -> bool:
    """Whether the project, or what it stands under, holds more than it is guaranteed."""
    return any(accounts.borrowed(subject) != Amounts() for subject in accounts.path(org_id, project_id))


def is_owed(accounts: Accounts, order: Order) -> bool:
    """Whether the order stays within what its organisation is guaranteed."""
    return accounts.guaranteed(order.org_id, order.asks)


def reclaim(accounts: Accounts, order: Order, spot: Sequence[Held]) -> tuple[str, ...]:
    """The leases of its own organisation to end so that its quotas have room; none where that does not help, or where its project would
    itself hold more than it is guaranteed. The least loss first, then the newest; none that could be left out."""
    if accounts.blocked(order.org_id, order.project_id, order.asks) is None or not accounts.guaranteed(order.project_id, order.asks):
        return ()
    after = accounts.copy()
    chosen: list[Held] = []
    for one in sorted((h for h in spot if h.org_id == order.org_id), key=lambda h: (h.loss_udu, -h.began, h.lease_id)):
        if one.project_id != order.project_id and after.borrowed(one.project_id) != Amounts():
            after.take(one.org_id, one.project_id, Amounts() - one.amounts)
            chosen.append(one)
            if after.blocked(order.org_id, order.project_id, order.asks) is None:
                break
    else:
        return ()
    for one in list(chosen):
        after.take(one.org_id, one.project_id, one.amounts)
        if after.blocked(order.org_id, order.project_id, order.asks) is None:
            chosen.remove(one)
        else:
            after.take(one.org_id, one.project_id, Amounts() - one.amounts)
    return tuple(sorted(one.lease_id for one in chosen))
