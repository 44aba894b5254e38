"""Volumes and files in parts, between a site and the server.

| call | message | answer |
| --- | --- | --- |
| GET /wire/v1/volumes/{version_id}/manifest | – | VolumeManifest |
| POST /wire/v1/volumes/{version_id}/pack | Pack: some small files | their bytes, one after the other in the order asked for |
| GET /wire/v1/volumes/{version_id}/content/{sha256} | – (Range) | a file's bytes |
| POST /wire/v1/uploads | UploadRequest | UploadAnswer: where to go on |
| PUT /wire/v1/uploads/{lease_id}/{generation}/{upload_id}?offset=… | the next part's bytes | UploadAnswer |
| POST /wire/v1/volumes/commit | VolumeChange | VolumeCommitted |

A version is there for a site while one of its leases has it; an upload belongs to its lease.
"""

from typing import Literal

from pydantic import Field

from zhisuan.base.packs import FILES_MAX
from zhisuan.wire.common import LeaseKey, Message


class VolumeMount(Message):
    """One version of a volume at ``target``. ``path``: only this folder of it. ``rw``: the run's own copy, which becomes a new
    version when the run is completed."""

    target: str
    version_id: str
    name: str
    number: int
    mode: Literal["ro", "rw"] = "ro"
    path: str = ""
    manifest_sha256: str
    file_count: int
    size_bytes: int


class TreeFile(Message):
    path: str
    mode: int
    size_bytes: int
    sha256: str


class VolumeManifest(Message):
    files: tuple[TreeFile, ...]


class Pack(Message):
    digests: tuple[str, ...] = Field(max_length=FILES_MAX)


class UploadRequest(LeaseKey):
    """``artefact`` names what the file is at the lease; without it the file is content for a volume."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=0, le=2**50)
    artefact: str | None = Field(default=None, min_length=1, max_length=500)


class UploadAnswer(Message):
    """``complete``: the bytes are kept and checked, and ``upload_id`` names nothing any more."""

    upload_id: str | None
    offset: int
    complete: bool


class VolumeChange(LeaseKey):
    """What a run made of its own copy, against the version it was given at ``target``."""

    target: str
    put: tuple[TreeFile, ...] = ()
    remove: tuple[str, ...] = ()


class VolumeCommitted(Message):
    """``side``: the name under which it is kept where another version had come first."""

    number: int
    side: str | None = None
