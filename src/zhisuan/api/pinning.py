"""The volumes of a workload: which version each target gets, settled at the launch and recorded."""

from typing import Any

from sqlalchemy import func, select

from zhisuan.base.db import Tx
from zhisuan.base.errors import NotFound
from zhisuan.base.text import Text
from zhisuan.data import volumes
from zhisuan.data.tables import Volume, VolumeFile, VolumeVersion
from zhisuan.wire.data import VolumeMount as Pinned
from zhisuan.workload.spec import WorkloadSpec
from zhisuan.workload.volume_mounts import VolumeMount

Pin = tuple[VolumeMount, Volume, VolumeVersion]


def pin(tx: Tx, org_id: str, spec: WorkloadSpec) -> list[Pin]:
    """Raises ``NotFound`` for a volume, version or folder that is not there, ``Conflict`` for an empty volume."""
    found = []
    for mount in spec.volumes:
        volume = volumes.named(tx, org_id, mount.name)
        version = volumes.version_of(tx, volume, mount.version)
        if mount.path:
            _require_folder(tx, version.id, mount)
        found.append((mount, volume, version))
    return found


def _require_folder(tx: Tx, version_id: str, mount: VolumeMount) -> None:
    query = select(VolumeFile.path).where(
        VolumeFile.version_id == version_id, func.starts_with(VolumeFile.path, mount.path + "/")
    )
    if tx.session.scalar(query.limit(1)) is None:
        raise NotFound.of(Text("folder", "文件夹"), f"{mount.name}/{mount.path}")


def messages(pinned: list[Pin]) -> list[dict[str, Any]]:
    """What the offer says of them."""
    return [
        Pinned(
            target=mount.target, version_id=version.id, name=volume.name, number=version.number,
            mode="rw" if mount.mode == "rw" else "ro", path=mount.path, manifest_sha256=version.manifest_sha256,
            file_count=version.file_count, size_bytes=version.size_bytes,
        ).model_dump(mode="json")
        for mount, volume, version in pinned
    ]  # fmt: skip


def record(tx: Tx, workload_id: str, pinned: list[Pin]) -> None:
    for mount, volume, version in pinned:
        volumes.note_use(tx, workload_id, mount.target, volume, version, mount.mode)
