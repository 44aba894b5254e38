"""Uploads in parts and in packs, for organisations and for leases: the steps that take the store and several transactions."""

from sqlalchemy import select

from zhisuan.api.data_schemas import UploadView
from zhisuan.api.platform import Platform
from zhisuan.base.errors import FieldProblem, InvalidInput
from zhisuan.base.incoming import Hashed, Incoming
from zhisuan.base.packs import unpack
from zhisuan.base.text import Text
from zhisuan.data import content, uploads
from zhisuan.data.tables import Content

DAMAGED_SHOWN = 20


def begin(here: Platform, org_id: str, sha256: str, size_bytes: int) -> UploadView:
    """Where to go on; complete at once for bytes that the organisation has, or that have all come."""
    with here.database.begin(org_id) as tx:
        held = tx.session.get(Content, (org_id, sha256))
        if held is not None and here.store.has(sha256):
            content.touch(tx, org_id, [sha256])
            return _done(sha256, held.size_bytes)
        content.require_room(tx, org_id, size_bytes, here.settings.volume_bytes_max)
        standing = uploads.begin(tx, org_id, sha256, size_bytes)
    return finish(here, org_id, standing)


def finish(here: Platform, org_id: str, standing: uploads.Standing) -> UploadView:
    """Keep an upload that is whole."""
    if not standing.whole:
        return view(standing)
    uploads.join(here.database, here.store, org_id, standing)
    with here.database.begin(org_id) as tx:
        content.add(tx, here.store, org_id, {standing.sha256: standing.size_bytes}, here.settings.volume_bytes_max)
        uploads.forget(tx, standing.id)
    if not standing.kept:
        here.store.drop_pieces(standing.id)
    return _done(standing.sha256, standing.size_bytes)


def expected(here: Platform, owner: str, upload_id: str, offset: int) -> Hashed | None:
    """What a part of an upload is hashed on from, where this process knows it. Raises ``NotFound``."""
    with here.database.begin(owner) as tx:
        uploads.standing(tx, owner, upload_id)
        return tx.memory.of(uploads.Digests).of(upload_id, offset)


def take(here: Platform, owner: str, upload_id: str, offset: int, incoming: Incoming) -> uploads.Standing:
    return uploads.take(here.database, here.store, owner, upload_id, offset, incoming)


def keep_whole(here: Platform, org_id: str, sha256: str, incoming: Incoming) -> UploadView:
    """Keep a file that came in one piece."""
    incoming.finish(sha256)
    _require_room(here, org_id, {sha256: incoming.size_bytes})
    here.store.keep(incoming, sha256)
    _add(here, org_id, {sha256: incoming.size_bytes})
    return _done(sha256, incoming.size_bytes)


def keep_pack(here: Platform, org_id: str, incoming: Incoming) -> int:
    """Keep the files of a pack (``base.packs``) that came whole; how many. Raises ``InvalidInput`` where others are in it, or it
    is no pack: what was good of it is kept all the same."""
    incoming.finish(None)
    found = unpack(incoming.path.read_bytes())
    sizes = {sha256: len(data) for sha256, data in found.files.items()}
    if sizes:
        _require_room(here, org_id, sizes)
        here.store.keep_small(found.files)
        _add(here, org_id, sizes)
    if found.damaged or not found.whole:
        raise InvalidInput(
            Text("Not all of the pack are files with their SHA-256.", "打包内容并非全部为与其 SHA-256 相符的文件。"),
            Text("Send what was not kept again.", "请重新发送未被保存的文件。"),
            code="digest_mismatch" if found.damaged else "damaged_pack",
            problems=[
                FieldProblem(d, Text("came with other bytes", "内容与摘要不符")) for d in found.damaged[:DAMAGED_SHOWN]
            ],
        )
    return len(sizes)


def _require_room(here: Platform, org_id: str, sizes: dict[str, int]) -> None:
    """Refuse before anything is kept what the quota does not allow."""
    with here.database.begin(org_id) as tx:
        held = set(tx.session.scalars(select(Content.sha256).where(Content.org_id == org_id, Content.sha256.in_(sizes))))
        new = sum(size for sha256, size in sizes.items() if sha256 not in held)
        if new:
            content.require_room(tx, org_id, new, here.settings.volume_bytes_max)


def _add(here: Platform, org_id: str, sizes: dict[str, int]) -> None:
    with here.database.begin(org_id) as tx:
        content.add(tx, here.store, org_id, sizes, here.settings.volume_bytes_max)


def view(standing: uploads.Standing) -> UploadView:
    return UploadView(
        id=standing.id, sha256=standing.sha256, size_bytes=standing.size_bytes, offset=standing.offset, complete=False
    )


def _done(sha256: str, size_bytes: int) -> UploadView:
    return UploadView(id=None, sha256=sha256, size_bytes=size_bytes, offset=size_bytes, complete=True)
