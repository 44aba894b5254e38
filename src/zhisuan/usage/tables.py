"""Metered time and tokens: append-only, each counted once."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from zhisuan.base.db import Table


class Window(Table):
    """Metered time ``[start_at, end_at)`` of one lease. Identity: (source, id), source being the site.

    ``quantity_udu`` is the 度 of this window, cumulative-after minus cumulative-before, so that the windows of a lease
    sum to its exact total whatever their number. A window lies inside one ``minute`` (minutes since 1970) and a lease has
    one window a minute at most: no second can be counted twice. ``rated`` turns true with the charge, in one transaction.
    """

    __tablename__ = "usage_window"
    __table_args__ = (
        CheckConstraint("end_at > start_at", name="span"),
        CheckConstraint(
            "start_at >= to_timestamp(minute * 60) AND end_at <= to_timestamp((minute + 1) * 60)",
            name="inside_its_minute",
        ),
        Index("ix_usage_window_unrated", "org_id", "start_at", "lease_id", postgresql_where=text("NOT rated")),
        Index(None, "lease_id", "minute", unique=True),
    )

    source: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    org_id: Mapped[str]
    lease_id: Mapped[str]
    generation: Mapped[int]
    minute: Mapped[int]
    start_at: Mapped[datetime]
    end_at: Mapped[datetime]
    seconds: Mapped[int]
    quantity_udu: Mapped[int]
    received_at: Mapped[datetime]
    rated: Mapped[bool]


class TokenEvent(Table):
    """Tokens of one model call. Identity: (source, id), source being the gateway."""

    __tablename__ = "usage_token_event"
    __table_args__ = (
        Index("ix_usage_token_event_unrated", "org_id", "at", postgresql_where=text("NOT rated")),
        Index(None, "org_id", "at"),
    )

    source: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    org_id: Mapped[str]
    project_id: Mapped[str | None]
    key_id: Mapped[str]
    deployment_id: Mapped[str]
    lease_id: Mapped[str]
    model: Mapped[str]
    at: Mapped[datetime]
    input_tokens: Mapped[int]
    cached_input_tokens: Mapped[int]
    output_tokens: Mapped[int]
    estimated: Mapped[bool]
    outcome: Mapped[str]
    duration_ms: Mapped[int]
    received_at: Mapped[datetime]
    rated: Mapped[bool]


class Quarantined(Table):
    """An event that could not be taken in, kept with the reason; nothing that arrives is lost.

    ``kind`` is ``window`` or ``tokens``. The same body sent again is the same row; ``resolved_at`` is when a replay could
    take it in after all.
    """

    __tablename__ = "usage_quarantined"
    __table_args__ = (
        CheckConstraint("kind IN ('window','tokens')", name="kind"),
        UniqueConstraint("source", "event_id", "body_hash"),
        Index("ix_usage_quarantined_open", "received_at", postgresql_where=text("resolved_at IS NULL")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    source: Mapped[str]
    event_id: Mapped[str]
    code: Mapped[str]
    reason: Mapped[str]
    body: Mapped[dict[str, Any]]
    body_hash: Mapped[str]
    received_at: Mapped[datetime]
    resolved_at: Mapped[datetime | None]


class EngineAccount(Table):
    """What a site's engine itself says of one lease's run, and how it compares with what was metered.

    ``started_at`` to ``reference`` are the engine's words (``engines.contract.EngineAccount``). ``verdict`` and what follows
    are ours (``accounts.compare``), once the lease is closed.
    """

    __tablename__ = "usage_engine_account"
    __table_args__ = (
        CheckConstraint("verdict IN ('agrees','metered_more','metered_less','other_nodes')", name="verdict"),
        Index("ix_usage_engine_account_unjudged", "received_at", postgresql_where=text("judged_at IS NULL")),
        Index(None, "site_id", "lease_id"),
        Index("ix_usage_engine_account_differs", "lease_id", postgresql_where=text("verdict <> 'agrees'")),
    )

    lease_id: Mapped[str] = mapped_column(primary_key=True)
    org_id: Mapped[str]
    site_id: Mapped[str]
    source: Mapped[str]
    reference: Mapped[str]
    state: Mapped[str]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    elapsed_milliseconds: Mapped[int]
    cpu_milliseconds: Mapped[int | None]
    nodes: Mapped[int | None]
    received_at: Mapped[datetime]
    judged_at: Mapped[datetime | None]
    verdict: Mapped[str | None]
    metered_seconds: Mapped[int | None]
    engine_milliseconds: Mapped[int | None]
    difference_milliseconds: Mapped[int | None]
