"""Volumes and their versions. Each function is one use case inside the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, func, insert, select
from sqlalchemy.exc import IntegrityError

from zhisuan.base.db import Tx
from zhisuan.base.errors import Conflict, InvalidInput, NotFound
from zhisuan.base.text import Text
from zhisuan.base.trees import File, manifest_digest
from zhisuan.data import content, rules
from zhisuan.data.rules import Change
from zhisuan.data.tables import Volume, VolumeFile, VolumeUse, VolumeVersion

ROWS_AT_ONCE = 5000
MISSING_SHOWN = 1000


@dataclass(frozen=True, slots=True)
class Folder:
    """What a version has directly inside a folder; ``file`` is None for a folder."""

    name: str
    file: File | None
    file_count: int
    size_bytes: int


def create(tx: Tx, *, org_id: str, project_id: str, name: str, by: str) -> Volume:
    """Raises ``InvalidInput`` for a name that cannot be one, ``Conflict`` for one that is taken."""
    if not rules.NAME.fullmatch(name):
        raise InvalidInput(
            Text(f"{name!r} is not a name for a volume.", f"{name!r} 不是有效的数据卷名称。"),
            Text(
                "Use up to 63 letters, digits, dots, hyphens or underscores.",
                "请使用最多 63 个字母、汉字、数字、点、连字符或下划线。",
            ),
            code="invalid_name",
        )
    made = Volume(
        id=tx.ids.new("vol"), org_id=org_id, project_id=project_id, name=name, current_number=0, last_number=0,
        created_at=tx.now, created_by=by, deleted_at=None, deleted_by=None, delete_reason=None,
    )  # fmt: skip
    try:
        with tx.session.begin_nested():
            tx.session.add(made)
            tx.session.flush()
    except IntegrityError as error:
        raise Conflict(
            Text(f"There is a volume {name} already.", f"数据卷 {name} 已存在。"),
            Text("Use it, or take another name.", "请直接使用，或换一个名称。"),
            code="name_taken",
        ) from error
    tx.emit("volume.created", made.id, {"name": name})
    return made


def named(tx: Tx, org_id: str, name: str, *, lock: bool = False) -> Volume:
    """The living volume of that name. Raises ``NotFound`` alike for unknown and foreign ones."""
    query = select(Volume).where(Volume.org_id == org_id, Volume.name == name, Volume.deleted_at.is_(None))
    found = tx.session.scalar(query.with_for_update() if lock else query)
    if found is None:
        raise NotFound.of(Text("volume", "数据卷"), name)
    return found


def version_of(tx: Tx, volume: Volume, number: int | None) -> VolumeVersion:
    """A version by its number, the current one for None. Raises ``NotFound``; ``Conflict`` where there is none yet."""
    wanted = volume.current_number if number is None else number
    if wanted == 0:
        raise Conflict(
            Text(f"The volume {volume.name} is empty: it has no version yet.", f"数据卷 {volume.name} 为空，尚无版本。"),
            Text(
                f"Put files into it first: zhisuan volumes put FOLDER {volume.name}",
                f"请先放入文件：zhisuan volumes put FOLDER {volume.name}",
            ),
            code="volume_empty",
        )
    query = select(VolumeVersion).where(VolumeVersion.volume_id == volume.id, VolumeVersion.number == wanted)
    found = tx.session.scalar(query)
    if found is None:
        raise NotFound.of(Text(f"version of {volume.name}:", f"数据卷 {volume.name} 的版本"), str(wanted))
    return found


def tree_of(tx: Tx, version_id: str) -> dict[str, File]:
    """All files of a version, by path, in the order of their bytes."""
    rows = tx.session.execute(
        select(VolumeFile.path, VolumeFile.mode, VolumeFile.size_bytes, VolumeFile.sha256)
        .where(VolumeFile.version_id == version_id)
        .order_by(VolumeFile.path)
    )
    return {path: File(path, mode, size, sha256) for path, mode, size, sha256 in rows}


def commit(
    tx: Tx, volume: Volume, *, base: int, change: Change, by: str, note: str = "", workload_id: str | None = None,
    side: str | None = None,
) -> VolumeVersion:  # fmt: skip
    """The next version: that of number ``base`` (0: an empty tree) with ``change``. The caller has locked the volume.

    While ``base`` is current the new version becomes current. Where another has come first, the version is kept under the
    name ``side`` and does not become current; without that name ``Conflict`` is raised. A change that changes nothing gives
    the version it was based on. Raises ``Conflict`` with the digests of content that was not brought.
    """
    rules.check_change(change)
    parent = version_of(tx, volume, base) if base else None
    old = tree_of(tx, parent.id) if parent else {}
    tree = rules.apply(old, change)
    if parent is not None and tree == old:
        return parent
    moved = volume.current_number != base
    if moved and side is None:
        raise Conflict(
            Text(
                f"The volume {volume.name} has moved on: its current version is {volume.current_number}, not {base}.",
                f"数据卷 {volume.name} 已更新：当前版本为 {volume.current_number}，而非 {base}。",
            ),
            Text("Look at what changed and base the change on the current version.", "请查看变更，并以当前版本为基础重新提交。"),
            code="volume_moved",
            extra={"current": volume.current_number},
        )
    _require_content(tx, volume.org_id, change.put)
    files = tuple(tree.values())
    made = VolumeVersion(
        id=tx.ids.new("vlv"), volume_id=volume.id, org_id=volume.org_id, number=volume.last_number + 1, parent_number=base,
        side=side if moved else None, note=note, manifest_sha256=manifest_digest(files), file_count=len(files),
        size_bytes=rules.total_bytes(files), workload_id=workload_id, created_at=tx.now, created_by=by,
    )  # fmt: skip
    tx.session.add(made)
    tx.session.flush()
    for at in range(0, len(files), ROWS_AT_ONCE):
        rows = [
            {"version_id": made.id, "path": f.path, "mode": f.mode, "size_bytes": f.size_bytes, "sha256": f.sha256}
            for f in files[at : at + ROWS_AT_ONCE]
        ]
        tx.session.execute(insert(VolumeFile), rows)
    volume.last_number = made.number
    if not moved:
        volume.current_number = made.number
    tx.emit("volume.version", made.id, {"volume": volume.id, "number": made.number, "side": made.side})
    return made


def _require_content(tx: Tx, org_id: str, files: Sequence[File]) -> None:
    sizes = {f.sha256: f.size_bytes for f in files}
    digests = sorted(sizes)
    held: dict[str, int] = {}
    for at in range(0, len(digests), ROWS_AT_ONCE):
        held |= content.held(tx, org_id, digests[at : at + ROWS_AT_ONCE])
    missing = [d for d in digests if held.get(d) != sizes[d]]
    if missing:
        raise Conflict(
            Text(f"{len(missing)} of the files were not uploaded.", f"有 {len(missing)} 个文件尚未上传。"),
            Text("Upload their content, then commit again.", "请先上传其内容，再重新提交。"),
            code="content_missing",
            extra={"missing": missing[:MISSING_SHOWN]},
        )


def make_current(tx: Tx, volume: Volume, number: int) -> VolumeVersion:
    """Let another version be the one that work gets. The caller has locked the volume."""
    found = version_of(tx, volume, number)
    volume.current_number = found.number
    tx.emit("volume.current", volume.id, {"number": number})
    return found


def delete(tx: Tx, volume: Volume, *, by: str, reason: str) -> None:
    """Its name is free at once; its versions stay for work that has them, and for some days. The caller has locked it."""
    volume.deleted_at, volume.deleted_by, volume.delete_reason = tx.now, by, reason
    tx.emit("volume.deleted", volume.id, {"reason": reason})


def files_query(version_id: str, folder: str) -> Select[VolumeFile]:
    """The files of a version below a folder (all for an empty one)."""
    query = select(VolumeFile).where(VolumeFile.version_id == version_id)
    if folder:
        query = query.where(func.starts_with(VolumeFile.path, folder + "/"))
    return query


def listing(tx: Tx, version_id: str, folder: str, after: str, limit: int) -> list[Folder]:
    """What lies directly in a folder, by name, after the name ``after``."""
    start = folder + "/" if folder else ""
    rest = func.substr(VolumeFile.path, len(start) + 1)
    name = func.split_part(rest, "/", 1).label("name")
    inner = select(name, rest.label("rest"), VolumeFile.mode, VolumeFile.size_bytes, VolumeFile.sha256).where(
        VolumeFile.version_id == version_id
    )
    if start:
        inner = inner.where(func.starts_with(VolumeFile.path, start))
    found = inner.subquery()
    by_name = found.c.name.collate("C")
    query = (
        select(
            found.c.name, func.count(), func.sum(found.c.size_bytes), func.bool_or(found.c.rest == found.c.name),
            func.min(found.c.mode), func.min(found.c.sha256),
        )
        .where(by_name > after)
        .group_by(found.c.name)
        .order_by(by_name)
        .limit(limit)
    )  # fmt: skip
    return [
        Folder(n, File(start + n, mode, int(size), sha256) if plain else None, count, int(size))
        for n, count, size, plain, mode, sha256 in tx.session.execute(query)
    ]


def file_at(tx: Tx, version_id: str, path: str) -> VolumeFile:
    found = tx.session.get(VolumeFile, (version_id, path))
    if found is None:
        raise NotFound.of(Text("file", "文件"), path)
    return found


def digests_of(tx: Tx, version_id: str, digests: Sequence[str]) -> dict[str, int]:
    """Of these digests those that the version has, with their sizes."""
    query = select(VolumeFile.sha256, VolumeFile.size_bytes).where(
        VolumeFile.version_id == version_id, VolumeFile.sha256.in_(digests)
    )
    return {str(sha256): int(size) for sha256, size in tx.session.execute(query)}


def note_use(tx: Tx, workload_id: str, target: str, volume: Volume, version: VolumeVersion, mode: str) -> None:
    tx.session.add(
        VolumeUse(workload_id=workload_id, target=target, volume_id=volume.id, version_id=version.id, mode=mode)
    )
