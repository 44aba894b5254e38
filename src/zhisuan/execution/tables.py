"""Leases: the right of one workload to devices of one site for a time, and what became of it."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from zhisuan.base.db import Table


class PlacementRecord(Table):
    """One decision: what was compared and why this was chosen (or why nothing was)."""

    __tablename__ = "execution_placement"

    id: Mapped[str] = mapped_column(primary_key=True)
    workload_id: Mapped[str] = mapped_column(index=True)
    at: Mapped[datetime]
    chosen_site_id: Mapped[str | None]
    plan: Mapped[dict[str, Any]]


class Lease(Table):
    """``offered → accepted → active → ending → closed``. Only ``[active_from, active_to)`` is charged, whole seconds.

    ``offer`` is the message for the agent without what changes. ``fault`` names who ended it early when it was not the
    work itself: platform or provider; such leases are not charged. Power, PUE and region are those of the placement, so that
    energy and carbon of a lease never change after the fact. ``node_ids`` are in the order of the ranks.
    ``spot``: held only until work on demand finds no other place; ``preempted_for`` is the workload that it made way for.
    ``cards_milli``, ``cores_milli``: what it holds of all its devices; ``used_noted``: it is among what its project has used (``sharing``).
    ``term_seconds``: see ``expiry``. ``taken_back`` says why the platform ends it so that its workload waits for another place.
    """

    __tablename__ = "execution_lease"
    __table_args__ = (
        UniqueConstraint("workload_id", "generation"),
        CheckConstraint("state IN ('offered','accepted','active','ending','closed')", name="state"),
        CheckConstraint("active_to IS NULL OR active_to >= active_from", name="active_span"),
        Index("ix_execution_lease_site_open", "site_id", postgresql_where=text("state <> 'closed'")),
        Index(None, "org_id", "id"),
        Index("ix_execution_lease_held", "org_id", postgresql_where=text("state IN ('offered','accepted','active')")),
        Index("ix_execution_lease_unnoted", "org_id", postgresql_where=text("NOT used_noted AND active_from IS NOT NULL")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    workload_id: Mapped[str]
    generation: Mapped[int]
    org_id: Mapped[str]
    project_id: Mapped[str] = mapped_column(server_default=text("''"))
    site_id: Mapped[str]
    provider_id: Mapped[str]
    node_ids: Mapped[list[str]] = mapped_column(JSONB)
    placement_id: Mapped[str]
    quote_id: Mapped[str]
    state: Mapped[str]
    desired: Mapped[str]
    term_seconds: Mapped[int]
    taken_back: Mapped[str | None]
    spot: Mapped[bool] = mapped_column(server_default=text("false"))
    preempted_for: Mapped[str | None]
    cards_milli: Mapped[int] = mapped_column(server_default=text("0"))
    cores_milli: Mapped[int] = mapped_column(server_default=text("0"))
    used_noted: Mapped[bool] = mapped_column(server_default=text("false"))
    offer: Mapped[dict[str, Any]]
    rate_udu_per_hour: Mapped[int]
    power_milliwatts: Mapped[int]
    pue_milli: Mapped[int]
    region: Mapped[str]
    offered_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    active_from: Mapped[datetime | None]
    active_to: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    ready: Mapped[bool | None]
    exit_code: Mapped[int | None]
    reason: Mapped[str | None]
    message: Mapped[str | None]
    fault: Mapped[str | None]
    cpu_milliseconds: Mapped[int]
    memory_peak_bytes: Mapped[int]
    allocations: Mapped[list["Allocation"]] = relationship(lazy="raise")
    """Of a lease that is just made, so that both are written in this order."""


class Listening(Table):
    """One row: since when, and until when at least, a server was there for sites to be heard by."""

    __tablename__ = "execution_listening"

    id: Mapped[int] = mapped_column(primary_key=True)
    since: Mapped[datetime]
    until: Mapped[datetime]


class Allocation(Table):
    """A lease's share of one device, held until ``released_at``."""

    __tablename__ = "execution_allocation"

    lease_id: Mapped[str] = mapped_column(ForeignKey("execution_lease.id"), primary_key=True)
    device_id: Mapped[str] = mapped_column(primary_key=True, index=True)
    amount: Mapped[int]
    released_at: Mapped[datetime | None]


class LogPiece(Table):
    """Bytes of a lease's output from ``at_byte``; pieces of a lease join without gap or overlap."""

    __tablename__ = "execution_log"

    lease_id: Mapped[str] = mapped_column(ForeignKey("execution_lease.id"), primary_key=True)
    at_byte: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class Checkpoint(Table):
    """A whole copy of a workload's checkpoint folder, as one of its leases left it; the highest ``number`` is the current one.
    ``files`` are [path, SHA-256, bytes]; ``new_bytes`` of ``size_bytes`` were not in the one before."""

    __tablename__ = "execution_checkpoint"
    __table_args__ = (
        UniqueConstraint("workload_id", "number"),
        Index(None, "files", postgresql_using="gin", postgresql_ops={"files": "jsonb_path_ops"}),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    workload_id: Mapped[str]
    number: Mapped[int]
    lease_id: Mapped[str] = mapped_column(ForeignKey("execution_lease.id"))
    generation: Mapped[int]
    org_id: Mapped[str]
    files: Mapped[list[Any]]
    size_bytes: Mapped[int]
    new_bytes: Mapped[int]
    created_at: Mapped[datetime]


class CheckpointBlob(Table):
    """Bytes that an organisation's checkpoints are made of; they are in the artefact store under their digest. ``touched_at``: when
    they were last brought, asked for, or found in a checkpoint by ``superseded``."""

    __tablename__ = "execution_checkpoint_blob"
    __table_args__ = (Index(None, "touched_at"), Index(None, "sha256"))

    org_id: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(primary_key=True)
    size_bytes: Mapped[int]
    created_at: Mapped[datetime]
    touched_at: Mapped[datetime] = mapped_column(server_default=func.now())


class LogVolume(Table):
    """``size_bytes`` of a lease's output from ``at_byte``, compressed in the artefact store; ``removed_at`` is when it had been
    kept for its time."""

    __tablename__ = "execution_log_volume"
    __table_args__ = (Index(None, "sha256"),)

    lease_id: Mapped[str] = mapped_column(ForeignKey("execution_lease.id"), primary_key=True)
    at_byte: Mapped[int] = mapped_column(primary_key=True)
    size_bytes: Mapped[int]
    sha256: Mapped[str]
    stored_bytes: Mapped[int]
    packed_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]


class Artefact(Table):
    """A file that a lease left; its bytes are in the artefact store under its digest."""

    __tablename__ = "execution_artefact"
    __table_args__ = (UniqueConstraint("lease_id", "path"), Index(None, "sha256"))

    id: Mapped[str] = mapped_column(primary_key=True)
    lease_id: Mapped[str] = mapped_column(ForeignKey("execution_lease.id"))
    workload_id: Mapped[str] = mapped_column(index=True)
    org_id: Mapped[str]
    path: Mapped[str]
    sha256: Mapped[str]
    size_bytes: Mapped[int]
    created_at: Mapped[datetime]
