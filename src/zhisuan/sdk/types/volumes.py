"""Uploads, volumes and their versions."""

from pydantic import AwareDatetime

from zhisuan.sdk.types.common import Answer


class UploadState(Answer):
    """``offset`` is the next byte wanted; ``complete``: all is there and checked."""

    id: str | None = None
    sha256: str
    size_bytes: int
    offset: int
    complete: bool


class DataUse(Answer):
    bytes_used: int
    bytes_max: int


class VolumeVersion(Answer):
    """``side`` names a version that did not become current because another had come first."""

    id: str
    number: int
    parent_number: int = 0
    side: str | None = None
    note: str = ""
    manifest_sha256: str
    file_count: int
    size_bytes: int
    workload_id: str | None = None
    created_at: AwareDatetime | None = None
    created_by: str | None = None


class Volume(Answer):
    id: str
    name: str
    project_id: str | None = None
    current_number: int
    last_number: int = 0
    created_at: AwareDatetime | None = None
    created_by: str | None = None
    deleted_at: AwareDatetime | None = None
    delete_reason: str | None = None
    current: VolumeVersion | None = None


class VolumeFile(Answer):
    path: str
    mode: int
    size_bytes: int
    sha256: str


class FolderEntry(Answer):
    """A file, or a folder with what it holds."""

    name: str
    is_folder: bool
    file_count: int = 1
    size_bytes: int
    mode: int | None = None
    sha256: str | None = None


class VolumeUse(Answer):
    workload_id: str
    workload_name: str
    workload_state: str
    target: str
    number: int
    mode: str
