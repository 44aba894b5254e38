"""What tenants want run, and the uploads it needs."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from zhisuan.base.db import Table


class Workload(Table):
    """A job or a service. ``spec`` is the checked specification, ``file`` the text that the tenant sent."""

    __tablename__ = "workload_workload"
    __table_args__ = (
        CheckConstraint("kind IN ('job','service')", name="kind"),
        CheckConstraint(
            "state IN ('pending','placed','starting','running','succeeded','failed','cancelled')", name="state"
        ),
        Index(None, "org_id", "id"),
        Index(
            "ix_workload_workload_open",
            "state",
            postgresql_where=text("state IN ('pending','placed','starting','running')"),
        ),
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


class Blob(Table):
    """An uploaded archive; its bytes are in the artefact store under its digest."""

    __tablename__ = "workload_blob"

    id: Mapped[str] = mapped_column(primary_key=True)
    org_id: Mapped[str]
    sha256: Mapped[str]
    size_bytes: Mapped[int]
    created_at: Mapped[datetime]
