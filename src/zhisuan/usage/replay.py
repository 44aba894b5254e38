"""Trying quarantined events again once the cause of their refusal is gone (a lease that was unknown, a clock put right)."""

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import select

from zhisuan.base.db import Tx
from zhisuan.usage.accounts import judge_again
from zhisuan.usage.intake import accept_token_events, accept_windows
from zhisuan.usage.tables import Quarantined
from zhisuan.wire.common import Accepted
from zhisuan.wire.gateway import TokenUsage
from zhisuan.wire.site import UsageWindow


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many events a replay took in (now or before), and how many stay in quarantine."""

    resolved: int
    remaining: int


def replay_quarantined(tx: Tx, *, source: str | None = None, limit: int = 1000) -> Replayed:
    """Judge the oldest unresolved events afresh, of one site or gateway or of all."""
    query = select(Quarantined).where(Quarantined.resolved_at.is_(None))
    if source is not None:
        query = query.where(Quarantined.source == source)
    query = query.order_by(Quarantined.received_at, Quarantined.id).limit(limit).with_for_update(skip_locked=True)
    groups: dict[tuple[str, str], list[Quarantined]] = defaultdict(list)
    for row in tx.session.scalars(query):
        groups[row.kind, row.source].append(row)
    resolved = remaining = 0
    for (kind, sender), rows in sorted(groups.items()):
        for row in rows:
            answer = _again(tx, kind, sender, row)
            if answer.accepted + answer.duplicate:
                row.resolved_at = tx.now
                resolved += 1
                tx.emit("usage.replayed", row.id, {"source": sender, "event_id": row.event_id})
            else:
                remaining += 1
    return Replayed(resolved, remaining)


def _again(tx: Tx, kind: str, sender: str, row: Quarantined) -> Accepted:
    if kind == "window":
        window = UsageWindow.model_validate(row.body)
        answer = accept_windows(tx, sender, [window])
        if answer.accepted:
            judge_again(tx, [window.lease_id])
        return answer
    return accept_token_events(tx, sender, [TokenUsage.model_validate(row.body)])
