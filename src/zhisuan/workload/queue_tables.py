"""What organisations and projects may have of the platform, and what they have used of it by the hour."""

from datetime import datetime

from sqlalchemy import CheckConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from zhisuan.base.db import Table


class QuotaRow(Table):
    """The quota of an organisation (``project_id`` is null) or of a project; see ``placement.queueing``. Thousandths of cards and cores;
    a null limit: none but the parent's. ``parent_id``: the project that a project stands under; null: the organisation."""

    __tablename__ = "workload_quota"
    __table_args__ = (
        CheckConstraint("cards_milli >= 0 AND cores_milli >= 0", name="guaranteed"),
        CheckConstraint("cards_limit_milli >= cards_milli AND cores_limit_milli >= cores_milli", name="limited"),
        CheckConstraint("weight >= 1", name="weight"),
    )

    subject: Mapped[str] = mapped_column(primary_key=True)
    org_id: Mapped[str] = mapped_column(index=True)
    project_id: Mapped[str | None]
    parent_id: Mapped[str | None]
    cards_milli: Mapped[int]
    cores_milli: Mapped[int]
    cards_limit_milli: Mapped[int | None]
    cores_limit_milli: Mapped[int | None]
    weight: Mapped[int] = mapped_column(server_default=text("1"))
    set_by: Mapped[str]
    set_at: Mapped[datetime]


class UsedHour(Table):
    """What the closed leases of a project held in one hour, in thousandths of card-seconds and core-seconds."""

    __tablename__ = "workload_used_hour"

    project_id: Mapped[str] = mapped_column(primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True, index=True)
    org_id: Mapped[str]
    cards_milli_seconds: Mapped[int]
    cores_milli_seconds: Mapped[int]
