"""Answers and bodies of uploads and volumes."""

from datetime import datetime

from pydantic import Field

from zhisuan.api.schemas import Answer, Body
from zhisuan.base.packs import FILES_MAX

DIGEST = r"^[0-9a-f]{64}$"
BYTES_MAX = 2**50


class NewUpload(Body):
    sha256: str = Field(pattern=DIGEST)
    size_bytes: int = Field(ge=0, le=BYTES_MAX)


class UploadView(Answer):
    """``offset`` is the next byte wanted; ``complete``: the organisation has the bytes, and ``id`` names nothing any more."""

    id: str | None
    sha256: str
    size_bytes: int
    offset: int
    complete: bool


class PackView(Answer):
    """How many files were kept."""

    files: int


class Digests(Body):
    digests: list[str] = Field(max_length=FILES_MAX)


class MissingView(Answer):
    missing: list[str]


class DataUse(Answer):
    bytes_used: int
    bytes_max: int


class NewQuota(Body):
    bytes_max: int | None = Field(ge=0, le=BYTES_MAX, description="None: the installation's setting.")


class NewVolume(Body):
    name: str = Field(max_length=200)
    project: str | None = None


class FileEntry(Body):
    path: str = Field(max_length=2000)
    mode: int = 0o644
    size_bytes: int = Field(ge=0, le=BYTES_MAX)
    sha256: str = Field(max_length=64)


class NewVersion(Body):
    """What changes against version ``base`` (0: an empty tree); ``remove`` names files or folders."""

    base: int = Field(ge=0, le=2**62)
    put: list[FileEntry] = Field(default_factory=list, max_length=100_000)
    remove: list[str] = Field(default_factory=list, max_length=100_000)
    note: str = Field(default="", max_length=500)


class PackWanted(Body):
    """Small files of a version by their digests, together at most 8 MiB; ``version`` None: the current one."""

    version: int | None = Field(default=None, ge=1, le=2**62)
    digests: list[str] = Field(min_length=1, max_length=FILES_MAX)


class CurrentBody(Body):
    number: int = Field(ge=1, le=2**62)


class DeleteBody(Body):
    reason: str = Field(min_length=1, max_length=500)


class VersionOfVolume(Answer):
    id: str
    number: int
    parent_number: int
    side: str | None
    note: str
    manifest_sha256: str
    file_count: int
    size_bytes: int
    workload_id: str | None
    created_at: datetime
    created_by: str


class VolumeView(Answer):
    id: str
    name: str
    project_id: str
    current_number: int
    last_number: int
    created_at: datetime
    created_by: str
    deleted_at: datetime | None = None
    delete_reason: str | None = None
    current: VersionOfVolume | None = None


class FileView(Answer):
    path: str
    mode: int
    size_bytes: int
    sha256: str


class FolderEntry(Answer):
    """A file, or a folder with what it holds."""

    name: str
    is_folder: bool
    file_count: int
    size_bytes: int
    mode: int | None = None
    sha256: str | None = None


class VolumeUseView(Answer):
    workload_id: str
    workload_name: str
    workload_state: str
    target: str
    number: int
    mode: str
