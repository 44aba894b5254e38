"""Files that come in parts: the sender asks where to go on, and the whole is checked before it counts.

1. ``begin``: the upload of these bytes by this owner, new or as far as it has come.
2. ``add_piece`` for each part, at the offset that is wanted next; a part at any other place changes nothing.
3. ``finish`` when the last byte is there: the parts are joined, their digest is compared, the bytes are kept.

Parts lie in the store, so any server may take the next one.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import delete, select

from zhisuan.base.db import Database, Tx
from zhisuan.base.errors import InvalidInput, NotFound
from zhisuan.base.store import Incoming, Store
from zhisuan.base.text import Text
from zhisuan.data.tables import Piece, Upload

FILE_BYTES_MAX = 1024**4


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an upload has come."""

    id: str
    sha256: str
    size_bytes: int
    offset: int

    @property
    def whole(self) -> bool:
        return self.offset == self.size_bytes


def begin(tx: Tx, owner: str, sha256: str, size_bytes: int) -> Standing:
    """Raises ``InvalidInput`` where the same digest was announced with another size."""
    found = tx.session.scalar(select(Upload).where(Upload.owner == owner, Upload.sha256 == sha256).with_for_update())
    if found is None:
        found = Upload(
            id=tx.ids.new("upl"), owner=owner, sha256=sha256, size_bytes=size_bytes, offset_bytes=0, touched_at=tx.now
        )
        tx.session.add(found)
        tx.session.flush()
    if found.size_bytes != size_bytes:
        raise InvalidInput(
            Text(
                f"An upload of {sha256} with {found.size_bytes} bytes is under way already.",
                f"{sha256} 的上传正在进行，其大小为 {found.size_bytes} 字节。",
            ),
            Text("The same digest has one size; compute both again.", "同一摘要只对应一个大小，请重新计算。"),
            code="size_mismatch",
        )
    found.touched_at = tx.now
    return _standing(found)


def standing(tx: Tx, owner: str, upload_id: str) -> Standing:
    """Raises ``NotFound`` alike for unknown, foreign and finished ones."""
    return _standing(_owned(tx, owner, upload_id))


def add_piece(tx: Tx, store: Store, owner: str, upload_id: str, offset: int, incoming: Incoming) -> Standing:
    """Take in a part, received whole or cut off, if it begins where the upload ends; how far it has come now."""
    found = _owned(tx, owner, upload_id, lock=True)
    size = incoming.size_bytes
    if offset != found.offset_bytes or size == 0:
        return _standing(found)
    if offset + size > found.size_bytes:
        raise InvalidInput(
            Text(
                f"The part ends at byte {offset + size}; the file has {found.size_bytes}.",
                f"该分片结束于第 {offset + size} 字节，而文件只有 {found.size_bytes} 字节。",
            ),
            Text("Send what was announced.", "请发送所声明的内容。"),
            code="size_mismatch",
        )
    name = f"{offset:016x}-{size:x}-{tx.ids.secret('part')[-8:]}"
    _put(store, upload_id, name, incoming.path)
    tx.session.add(Piece(upload_id=upload_id, at_byte=offset, size_bytes=size, name=name))
    found.offset_bytes = offset + size
    found.touched_at = tx.now
    tx.session.flush()
    return _standing(found)


def _put(store: Store, upload_id: str, name: str, source: Path) -> None:
    store.put_piece(upload_id, name, source)


def join(database: Database, store: Store, owner: str, upload_id: str) -> tuple[str, int]:
    """Join the parts of a whole upload and keep the bytes; digest and size. Where the digest is another than was announced, the
    parts are dropped and ``InvalidInput`` is raised: the next try begins anew. Nothing is locked while bytes are moved."""
    with database.begin(owner) as tx:
        found = _owned(tx, owner, upload_id)
        announced, size = found.sha256, found.size_bytes
        names = tx.session.scalars(select(Piece.name).where(Piece.upload_id == upload_id).order_by(Piece.at_byte)).all()
    incoming = store.incoming(size)
    try:
        store.join(upload_id, names, incoming)
        store.keep(incoming, incoming.finish(announced))
    except FileNotFoundError as error:
        # Another server has joined the same parts and cleared them away meanwhile.
        if not store.has(announced):
            raise NotFound.of(Text("upload", "上传"), upload_id) from error
    except InvalidInput:
        with database.begin(owner) as tx:
            forget(tx, upload_id)
        store.drop_pieces(upload_id)
        raise
    finally:
        incoming.discard()
    return announced, size


def forget(tx: Tx, upload_id: str) -> None:
    """Its parts stay in the store until ``Store.drop_pieces``."""
    tx.session.execute(delete(Piece).where(Piece.upload_id == upload_id))
    tx.session.execute(delete(Upload).where(Upload.id == upload_id))


def stale(tx: Tx, before: datetime, limit: int) -> list[str]:
    """Uploads that nobody went on with since, locked."""
    query = select(Upload.id).where(Upload.touched_at < before).order_by(Upload.touched_at).limit(limit)
    return list(tx.session.scalars(query.with_for_update(skip_locked=True)))


def known(tx: Tx, upload_ids: list[str]) -> set[str]:
    return set(tx.session.scalars(select(Upload.id).where(Upload.id.in_(upload_ids))))


def _owned(tx: Tx, owner: str, upload_id: str, *, lock: bool = False) -> Upload:
    found = tx.session.get(Upload, upload_id, with_for_update=lock)
    if found is None or found.owner != owner:
        raise NotFound.of(Text("upload", "上传"), upload_id)
    return found


def _standing(found: Upload) -> Standing:
    return Standing(found.id, found.sha256, found.size_bytes, found.offset_bytes)
