"""What tenants want run, and the uploads it needs."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from zhisuan.base.db import Table


class Workload(Table):
    """A job, a service or a workspace. ``spec`` is the checked specification, ``file`` the text that the tenant sent.
    ``pause_reason``: why it is to be paused, while it has not come to that. ``retries_left``: attempts after failures of its own.
    ``start_after``: it waits until then. ``start_by`` (of its first attempt) and ``deadline``: when it is late, while nobody has been
    told that it is."""

    __tablename__ = "workload_workload"
    __table_args__ = (
        CheckConstraint("kind IN ('job','service','workspace')", name="kind"),
        CheckConstraint(
            "state IN ('pending','placed','starting','running','paused','succeeded','failed','cancelled')", name="state"
        ),
        Index(None, "org_id", "id"),
        Index(
            "ix_workload_workload_open",
            "state",
            postgresql_where=text("state IN ('pending','placed','starting','running')"),
        ),
        Index("ix_workload_workload_deadline", "deadline", postgresql_where=text("deadline IS NOT NULL")),
        Index("ix_workload_workload_stop_at", "stop_at", postgresql_where=text("stop_at IS NOT NULL")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    org_id: Mapped[str]
    project_id: Mapped[str]
    kind: Mapped[str]
    name: Mapped[str]
    state: Mapped[str]
    spec: Mapped[dict[str, Any]]
    file: Mapped[str]
    quote_id: Mapped[str]
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    attempts: Mapped[int]
    restarts_left: Mapped[int]
    retries_left: Mapped[int] = mapped_column(server_default=text("0"))
    pause_reason: Mapped[str | None]
    stop_at: Mapped[datetime | None]
    start_after: Mapped[datetime | None]
    start_by: Mapped[datetime | None]
    deadline: Mapped[datetime | None]
    exit_code: Mapped[int | None]
    reason: Mapped[str | None]
    message: Mapped[str | None]
    progress_ppm: Mapped[int | None]
    progress_message: Mapped[str | None]


class WorkloadEvent(Table):
    """One transition of a workload, with its cause and who made it."""

    __tablename__ = "workload_event"
    __table_args__ = (UniqueConstraint("workload_id", "number"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    workload_id: Mapped[str]
    number: Mapped[int]
    at: Mapped[datetime]
    state: Mapped[str]
    cause: Mapped[str]
    actor: Mapped[str]
    detail: Mapped[dict[str, Any]]


class WorkspaceSession(Table):
    """A browser's way into a workspace. The ticket in the link is good once, for a minute; the gateway changes it for the
    secret of a cookie. Only digests are kept."""

    __tablename__ = "workload_workspace_session"

    id: Mapped[str] = mapped_column(primary_key=True)
    workload_id: Mapped[str] = mapped_column(ForeignKey("workload_workload.id"), index=True)
    org_id: Mapped[str]
    user_id: Mapped[str]
    ticket_digest: Mapped[str] = mapped_column(unique=True)
    ticket_until: Mapped[datetime]
    session_digest: Mapped[str | None] = mapped_column(unique=True)
    session_until: Mapped[datetime]
    created_at: Mapped[datetime]


class WorkloadSecret(Table):
    """The secrets of one workload that has not ended, sealed (``base.vault``)."""

    __tablename__ = "workload_secret"

    workload_id: Mapped[str] = mapped_column(primary_key=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)


class Blob(Table):
    """An uploaded archive; its bytes are in the artefact store under its digest."""

    __tablename__ = "workload_blob"
    __table_args__ = (Index(None, "sha256"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    org_id: Mapped[str]
    sha256: Mapped[str]
    size_bytes: Mapped[int]
    created_at: Mapped[datetime]
