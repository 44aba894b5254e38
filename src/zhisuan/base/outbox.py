"""Events written in the transaction that caused them: the history of every record, and the feed of read models."""

from datetime import datetime
from typing import Any

from sqlalchemy import Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from zhisuan.base.db import Table


class OutboxEvent(Table):
    """Something that happened to ``subject`` (an id), caused by ``actor``."""

    __tablename__ = "base_outbox"
    __table_args__ = (Index(None, "subject", "position"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(Identity(always=True), unique=True)
    at: Mapped[datetime]
    kind: Mapped[str]
    subject: Mapped[str]
    actor: Mapped[str]
    data: Mapped[dict[str, Any]]
