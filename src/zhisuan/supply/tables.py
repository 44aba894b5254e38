"""Sites of providers, their nodes and devices, what was measured on them, and the conditions they run under."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from zhisuan.base.db import Table


class Site(Table):
    """One place with machines behind one engine. ``state``: invited → joining → verified → open ⇄ draining → closed."""

    __tablename__ = "supply_site"
    __table_args__ = (
        UniqueConstraint("provider_id", "name"),
        CheckConstraint("state IN ('invited','joining','verified','open','draining','closed')", name="state"),
        CheckConstraint("pue_milli >= 1000", name="pue"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    provider_id: Mapped[str] = mapped_column(ForeignKey("tenancy_organisation.id"), index=True)
    name: Mapped[str]
    state: Mapped[str]
    region: Mapped[str]
    pue_milli: Mapped[int]
    engine: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    credential_digest: Mapped[str | None] = mapped_column(unique=True)
    agent_boot: Mapped[str | None]
    created_at: Mapped[datetime]
    joined_at: Mapped[datetime | None]
    last_seen_at: Mapped[datetime | None]
    clock_offset_ms: Mapped[int | None]


class JoinToken(Table):
    """A secret that lets one agent become a site, once."""

    __tablename__ = "supply_join_token"

    id: Mapped[str] = mapped_column(primary_key=True)
    site_id: Mapped[str] = mapped_column(ForeignKey("supply_site.id"))
    digest: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Node(Table):
    """One machine of a site."""

    __tablename__ = "supply_node"
    __table_args__ = (UniqueConstraint("site_id", "hostname"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    site_id: Mapped[str] = mapped_column(ForeignKey("supply_site.id"))
    hostname: Mapped[str]
    facts: Mapped[dict[str, Any]]
    boot_id: Mapped[str]
    present: Mapped[bool]
    updated_at: Mapped[datetime]


class Device(Table):
    """Something of a node that leases hold shares of.

    ``capacity`` and ``allocated`` are milli-cores for kind cpu, MiB for memory, milli-cards for an accelerator. The
    check on ``allocated`` is the last guard of the capacity rule: two placers at once cannot pass it.
    """

    __tablename__ = "supply_device"
    __table_args__ = (
        UniqueConstraint("node_id", "key"),
        CheckConstraint("kind IN ('cpu','memory','accelerator')", name="kind"),
        CheckConstraint("allocated >= 0 AND allocated <= capacity", name="allocated_within_capacity"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    node_id: Mapped[str] = mapped_column(ForeignKey("supply_node.id"))
    key: Mapped[str]
    kind: Mapped[str]
    class_id: Mapped[str | None]
    name: Mapped[str]
    capacity: Mapped[int]
    reported_capacity: Mapped[int]
    allocated: Mapped[int] = mapped_column(server_default=text("0"))
    memory_mib: Mapped[int | None]
    health: Mapped[str]
    note: Mapped[str | None]
    present: Mapped[bool]


class Measurement(Table):
    """One probe result; the newest of a precision is the measured performance. Rows are only added."""

    __tablename__ = "supply_measurement"
    __table_args__ = (UniqueConstraint("device_id", "precision", "at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    device_id: Mapped[str] = mapped_column(ForeignKey("supply_device.id"))
    precision: Mapped[str]
    mflops: Mapped[int]
    method: Mapped[str]
    at: Mapped[datetime]


class SiteSilence(Table):
    """A span in which a site was not heard from; open while ``until`` is empty."""

    __tablename__ = "supply_site_silence"
    __table_args__ = (Index(None, "site_id", "since"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    site_id: Mapped[str] = mapped_column(ForeignKey("supply_site.id"))
    since: Mapped[datetime]
    until: Mapped[datetime | None]
