"""Sites of providers, their nodes and devices, what was measured on them, and the conditions they run under."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from zhisuan.base.db import Table


class Site(Table):
    """One place with machines behind one engine. ``state``: invited → joining → verified → open ⇄ draining → closed.

    ``pue_milli``, ``tariff_ucny_per_kwh`` and ``green_ppm`` are those in force now; ``SiteCondition`` has all there were and will be.
    Latitude and longitude are 10⁻⁶ degrees. ``offering`` holds the weekly windows (see ``supply.offering``); empty means
    always. ``credential_next_digest`` is a credential that waits for its first use.
    """

    __tablename__ = "supply_site"
    __table_args__ = (
        UniqueConstraint("provider_id", "name"),
        CheckConstraint("state IN ('invited','joining','verified','open','draining','closed')", name="state"),
        CheckConstraint("pue_milli >= 1000", name="pue"),
        CheckConstraint("green_ppm BETWEEN 0 AND 1000000", name="green"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    provider_id: Mapped[str] = mapped_column(ForeignKey("tenancy_organisation.id"), index=True)
    name: Mapped[str]
    state: Mapped[str]
    region: Mapped[str]
    pue_milli: Mapped[int]
    tariff_ucny_per_kwh: Mapped[int | None]
    green_ppm: Mapped[int | None]
    city: Mapped[str | None]
    latitude_e6: Mapped[int | None]
    longitude_e6: Mapped[int | None]
    echo_address: Mapped[str | None]
    offering: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    engine: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    credential_digest: Mapped[str | None] = mapped_column(unique=True)
    credential_next_digest: Mapped[str | None] = mapped_column(unique=True)
    credential_since: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    agent_boot: Mapped[str | None]
    created_at: Mapped[datetime]
    joined_at: Mapped[datetime | None]
    last_seen_at: Mapped[datetime | None]
    clock_offset_ms: Mapped[int | None]


class JoinToken(Table):
    """A secret that lets one agent become a site, once; ``hint`` is how it ends, to tell tokens apart."""

    __tablename__ = "supply_join_token"

    id: Mapped[str] = mapped_column(primary_key=True)
    site_id: Mapped[str] = mapped_column(ForeignKey("supply_site.id"), index=True)
    digest: Mapped[str] = mapped_column(unique=True)
    hint: Mapped[str] = mapped_column(server_default=text("''"))
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(server_default=text("''"))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


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


class Link(Table):
    """The newest measurement of the way from one site to another (see ``supply.links``). ``bound_us`` is what light needs,
    where both have said where they stand; ``refused`` one that is faster."""

    __tablename__ = "supply_link"

    from_site_id: Mapped[str] = mapped_column(ForeignKey("supply_site.id"), primary_key=True)
    to_site_id: Mapped[str] = mapped_column(ForeignKey("supply_site.id"), primary_key=True, index=True)
    at: Mapped[datetime]
    tries: Mapped[int]
    answered: Mapped[int]
    median_us: Mapped[int | None]
    best_us: Mapped[int | None]
    bound_us: Mapped[int | None]
    refused: Mapped[bool]
    note: Mapped[str | None]


class DemandPlace(Table):
    """Where users are that work is to be near; see ``supply.places``."""

    __tablename__ = "supply_demand_place"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    latitude_e6: Mapped[int]
    longitude_e6: Mapped[int]
    created_at: Mapped[datetime]
    created_by: Mapped[str]


class PlaceLink(Table):
    """The round trip between a demand place and a site, as looked at from one of them."""

    __tablename__ = "supply_place_link"
    __table_args__ = (
        CheckConstraint("direction IN ('from_place','from_site')", name="direction"),
        CheckConstraint("method IN ('measured','stated','computed')", name="method"),
        CheckConstraint("round_trip_us > 0", name="round_trip"),
    )

    place_id: Mapped[str] = mapped_column(ForeignKey("supply_demand_place.id"), primary_key=True)
    site_id: Mapped[str] = mapped_column(ForeignKey("supply_site.id"), primary_key=True, index=True)
    direction: Mapped[str] = mapped_column(primary_key=True)
    round_trip_us: Mapped[int]
    method: Mapped[str]
    source: Mapped[str]
    at: Mapped[datetime]
    by: Mapped[str]


class SiteSilence(Table):
    """A span in which a site was not heard from; open while ``until`` is empty."""

    __tablename__ = "supply_site_silence"
    __table_args__ = (Index(None, "site_id", "since"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    site_id: Mapped[str] = mapped_column(ForeignKey("supply_site.id"))
    since: Mapped[datetime]
    until: Mapped[datetime | None]


class SiteCondition(Table):
    """A figure of a site from ``valid_from`` on, until the next row of its name. Rows are only added: what ran before
    keeps what was in force then.

    Names: ``pue_milli`` (thousandths), ``tariff_ucny_per_kwh`` (what the provider pays for electricity), ``green_ppm``
    (the share of the site's electricity that the provider states as green, by contract or on the spot).
    """

    __tablename__ = "supply_site_condition"
    __table_args__ = (
        CheckConstraint("name IN ('pue_milli','tariff_ucny_per_kwh','green_ppm')", name="name"),
        Index(None, "site_id", "name", "valid_from"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    site_id: Mapped[str] = mapped_column(ForeignKey("supply_site.id"))
    name: Mapped[str]
    value: Mapped[int]
    valid_from: Mapped[datetime]
    set_at: Mapped[datetime]
    set_by: Mapped[str]


class DeviceClaim(Table):
    """How many devices of a class the provider says the site has, and how fast it says each is (FP16/BF16 dense, empty:
    as the data sheet says). The newest claim counts; it is set beside what was found and measured."""

    __tablename__ = "supply_device_claim"
    __table_args__ = (UniqueConstraint("site_id", "class_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    site_id: Mapped[str] = mapped_column(ForeignKey("supply_site.id"))
    class_id: Mapped[str]
    count: Mapped[int]
    tflops_milli: Mapped[int | None]
    claimed_at: Mapped[datetime]
    claimed_by: Mapped[str]


class SiteRecall(Table):
    """The provider takes the site's devices back: from ``stop_at`` nothing new is placed and the work there has
    ``notice_seconds`` to end, so that the site is empty at ``back_at``; ``until`` is when it is offered again by itself.

    ``announced → stopping → held → ended``; ``ended`` from each of them when the provider offers the site again.
    """

    __tablename__ = "supply_recall"
    __table_args__ = (
        CheckConstraint("state IN ('announced','stopping','held','ended')", name="state"),
        Index("uq_supply_recall_live", "site_id", unique=True, postgresql_where=text("state <> 'ended'")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    site_id: Mapped[str] = mapped_column(ForeignKey("supply_site.id"))
    state: Mapped[str]
    stop_at: Mapped[datetime]
    back_at: Mapped[datetime]
    until: Mapped[datetime | None]
    notice_seconds: Mapped[int]
    reason: Mapped[str]
    asked_at: Mapped[datetime]
    asked_by: Mapped[str]
    held_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class Verification(Table):
    """What the operator saw when they verified a site: the evidence of that moment, and what they accepted in it."""

    __tablename__ = "supply_verification"
    __table_args__ = (Index(None, "site_id", "at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    site_id: Mapped[str] = mapped_column(ForeignKey("supply_site.id"))
    at: Mapped[datetime]
    by: Mapped[str]
    evidence: Mapped[list[Any]]
    accepted: Mapped[list[Any]]
    note: Mapped[str]


class RateFactor(Table):
    """How much of its class's published rate a site's devices are sold at, in parts per million, since ``set_at``. Rows are
    only added; the newest of a site and class counts. Leases keep the rate they were placed at."""

    __tablename__ = "supply_rate_factor"
    __table_args__ = (
        CheckConstraint("factor_ppm > 0 AND factor_ppm <= 1000000", name="factor"),
        Index(None, "site_id", "class_id", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    site_id: Mapped[str] = mapped_column(ForeignKey("supply_site.id"))
    class_id: Mapped[str]
    factor_ppm: Mapped[int]
    measured_tflops_milli: Mapped[int | None]
    published_rate_udu_per_hour: Mapped[int]
    reason: Mapped[str]
    set_at: Mapped[datetime]
    set_by: Mapped[str]
