"""What an organisation has stored, and the named, versioned trees made of it."""

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from zhisuan.base.db import Table


class Content(Table):
    """Bytes that an organisation has brought; the store keeps them once for all. Only who has brought bytes may name them:
    knowing a digest gives nobody another's data. ``touched_at``: when it was last brought or asked for."""

    __tablename__ = "data_content"
    __table_args__ = (Index(None, "sha256"), Index(None, "touched_at"))

    org_id: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(primary_key=True)
    size_bytes: Mapped[int]
    touched_at: Mapped[datetime]


class Doomed(Table):
    """Bytes that nothing named when they were let go; they leave the store if that is still so."""

    __tablename__ = "data_doomed"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[datetime]


class Swept(Table):
    """What was cleared away on one day: ``content`` that nothing names any more, ``upload``s that nobody went on with, files half
    ``received`` when a server died."""

    __tablename__ = "data_swept"
    __table_args__ = (CheckConstraint("kind IN ('content','upload','received')", name="kind"),)

    day: Mapped[date] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    file_count: Mapped[int]
    size_bytes: Mapped[int]


class Quota(Table):
    """One row for each organisation: what its content adds up to, and its own limit where the operator has set one."""

    __tablename__ = "data_quota"
    __table_args__ = (CheckConstraint("bytes_used >= 0", name="used"),)

    org_id: Mapped[str] = mapped_column(primary_key=True)
    bytes_used: Mapped[int]
    bytes_max: Mapped[int | None]


class Upload(Table):
    """A file on its way in parts. ``owner`` is an organisation or, for what a site delivers, a lease; ``offset_bytes`` is the
    next byte wanted."""

    __tablename__ = "data_upload"
    __table_args__ = (UniqueConstraint("owner", "sha256"), Index(None, "touched_at"))

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    sha256: Mapped[str]
    size_bytes: Mapped[int]
    offset_bytes: Mapped[int]
    touched_at: Mapped[datetime]


class Piece(Table):
    """A part that has come; ``name`` is its place in the store."""

    __tablename__ = "data_piece"

    upload_id: Mapped[str] = mapped_column(ForeignKey("data_upload.id"), primary_key=True)
    at_byte: Mapped[int] = mapped_column(primary_key=True)
    size_bytes: Mapped[int]
    name: Mapped[str]


class Volume(Table):
    """A named tree of files. ``current_number`` is the version that work gets which names none; 0 while there is none."""

    __tablename__ = "data_volume"
    __table_args__ = (
        Index("uq_data_volume_name", "org_id", "name", unique=True, postgresql_where=text("deleted_at IS NULL")),
        Index(None, "org_id", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    org_id: Mapped[str]
    project_id: Mapped[str]
    name: Mapped[str]
    current_number: Mapped[int]
    last_number: Mapped[int]
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    deleted_at: Mapped[datetime | None]
    deleted_by: Mapped[str | None]
    delete_reason: Mapped[str | None]


class VolumeVersion(Table):
    """An immutable manifest. ``side`` names a version that did not become current because another had come first;
    ``manifest_sha256`` is the digest of its sorted lines (``base.trees.manifest_digest``)."""

    __tablename__ = "data_volume_version"
    __table_args__ = (UniqueConstraint("volume_id", "number"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    volume_id: Mapped[str] = mapped_column(ForeignKey("data_volume.id"))
    org_id: Mapped[str]
    number: Mapped[int]
    parent_number: Mapped[int]
    side: Mapped[str | None]
    note: Mapped[str]
    manifest_sha256: Mapped[str]
    file_count: Mapped[int]
    size_bytes: Mapped[int]
    workload_id: Mapped[str | None]
    created_at: Mapped[datetime]
    created_by: Mapped[str]


class VolumeFile(Table):
    """A file of a version; ``mode`` is 0o644 or 0o755. Paths sort by their bytes, whatever the database's language."""

    __tablename__ = "data_volume_file"
    __table_args__ = (Index(None, "sha256"),)

    version_id: Mapped[str] = mapped_column(ForeignKey("data_volume_version.id"), primary_key=True)
    path: Mapped[str] = mapped_column(String(collation="C"), primary_key=True)
    mode: Mapped[int]
    size_bytes: Mapped[int]
    sha256: Mapped[str]


class VolumeUse(Table):
    """Which version a workload has at one of its targets."""

    __tablename__ = "data_volume_use"
    __table_args__ = (Index(None, "volume_id", "workload_id"), Index(None, "version_id"))

    workload_id: Mapped[str] = mapped_column(primary_key=True)
    target: Mapped[str] = mapped_column(primary_key=True)
    volume_id: Mapped[str]
    version_id: Mapped[str]
    mode: Mapped[str]
