"""Events that could not be taken in: kept, listed, and tried again once their cause is gone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from zhisuan.base.db import Tx
from zhisuan.base.idempotency import body_hash
from zhisuan.usage.rules import TEXT_LENGTH_MAX, Refusal
from zhisuan.usage.tables import Quarantined
from zhisuan.wire.gateway import TokenUsage
from zhisuan.wire.site import UsageWindow

EVENTS_IN_NOTICE_MAX = 50
REASON_LENGTH_MAX = 1000

Event = UsageWindow | TokenUsage


@dataclass(frozen=True, slots=True)
class QuarantinedEvent:
    id: str
    kind: str
    source: str
    event_id: str
    code: str
    reason: str
    body: dict[str, Any]
    received_at: datetime
    resolved_at: datetime | None


def keep_aside(tx: Tx, source: str, refused: Sequence[tuple[Event, Refusal]]) -> None:
    """Keep events with the reason; one that is kept already is not kept again. New ones are announced in the outbox."""
    if not refused:
        return
    rows = [_row(tx, source, event, refusal) for event, refusal in refused]
    statement = insert(Quarantined).on_conflict_do_nothing().returning(Quarantined.event_id, Quarantined.code)
    new = tx.session.execute(statement, rows).all()
    if new:
        listed = [{"event_id": event_id, "code": code} for event_id, code in new[:EVENTS_IN_NOTICE_MAX]]
        tx.emit("usage.quarantined", source, {"count": len(new), "events": listed})


def list_quarantined(
    session: Session, *, source: str | None = None, resolved: bool = False, after: str = "", limit: int = 50
) -> tuple[QuarantinedEvent, ...]:
    """Events kept aside (or, with ``resolved``, taken in since), oldest first, from the id after ``after``."""
    query = select(Quarantined).where(Quarantined.id > after, Quarantined.resolved_at.is_not(None) == resolved)
    if source is not None:
        query = query.where(Quarantined.source == source)
    return tuple(
        QuarantinedEvent(
            id=r.id, kind=r.kind, source=r.source, event_id=r.event_id, code=r.code, reason=r.reason, body=r.body,
            received_at=r.received_at, resolved_at=r.resolved_at,
        )
        for r in session.scalars(query.order_by(Quarantined.id).limit(limit))
    )  # fmt: skip


def _row(tx: Tx, source: str, event: Event, refusal: Refusal) -> dict[str, Any]:
    body = _storable(event.model_dump(mode="json"))
    return {
        "id": tx.ids.new("evt"), "kind": "window" if isinstance(event, UsageWindow) else "tokens", "source": source,
        "event_id": _storable(event.id)[:TEXT_LENGTH_MAX], "code": refusal.code, "reason": _storable(refusal.reason)[:REASON_LENGTH_MAX],
        "body": body, "body_hash": body_hash(body), "received_at": tx.now, "resolved_at": None,
    }  # fmt: skip


def _storable(value: Any) -> Any:
    """The value without what PostgreSQL cannot keep in text (NUL, lone surrogates)."""
    if isinstance(value, dict):
        return {key: _storable(item) for key, item in value.items()}
    if isinstance(value, str):
        return value.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
    return value
