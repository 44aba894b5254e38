"""Files that come in parts: the sender asks where to go on, and the whole is checked before it counts.

1. ``begin``: the upload of these bytes by this owner, new or as far as it has come.
2. ``add_piece`` for each part, at the offset that is wanted next; a part at any other place changes nothing.
3. ``keep`` when the last byte is there: the parts are joined, their digest is compared, the bytes are kept. A part that is the
   whole file is kept as it came.

Parts lie in the store, so any server may take the next one. One that has received all of them knows their digest already, and
does not read them again.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import delete, select

from zhisuan.base.db import Database, Tx
from zhisuan.base.errors import InvalidInput, NotFound
from zhisuan.base.incoming import Hashed, Incoming
from zhisuan.base.store import Store
from zhisuan.base.text import Text
from zhisuan.data.tables import Piece, Upload

REMEMBERED = 1000


class Digests:
    """What this process knows of uploads under way: the digest of what it has received itself from the first byte on. Parts are
    written once under names of their own, so what was hashed is what lies in the store."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Hashed] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, upload_id: str, offset: int) -> Hashed | None:
        """The digest up to this byte."""
        with self._lock:
            found = self._known.get(upload_id)
        return found if found is not None and found.size_bytes == offset else None

    def note(self, upload_id: str, so_far: Hashed) -> None:
        with self._lock:
            self._known[upload_id] = so_far
            self._known.move_to_end(upload_id)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)

    def drop(self, upload_id: str) -> None:
        with self._lock:
            self._known.pop(upload_id, None)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an upload has come. ``kept``: its bytes are in the store under their digest."""

    id: str
    sha256: str
    size_bytes: int
    offset: int
    kept: bool = False

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


def take(database: Database, store: Store, owner: str, upload_id: str, offset: int, incoming: Incoming) -> Standing:
    """Take in a part, received whole or cut off, if it begins where the upload ends; how far it has come now."""
    with database.begin(owner) as tx:
        found = _standing(_owned(tx, owner, upload_id))
    if offset == found.offset == 0 and incoming.size_bytes == found.size_bytes:
        _keep(database, store, owner, found, incoming)
        return replace(found, offset=found.size_bytes, kept=True)
    incoming.finish(None)
    with database.begin(owner) as tx:
        taken = _add_piece(tx, store, owner, upload_id, offset, incoming)
        now = _standing(_owned(tx, owner, upload_id))
    so_far = incoming.hashed(offset)
    if taken and so_far is not None:
        database.memory.of(Digests).note(upload_id, so_far)
    return now


def _add_piece(tx: Tx, store: Store, owner: str, upload_id: str, offset: int, incoming: Incoming) -> bool:
    """Whether the part was wanted."""
    found = _owned(tx, owner, upload_id, lock=True)
    size = incoming.size_bytes
    if offset != found.offset_bytes or size == 0:
        return False
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
    store.put_piece(upload_id, name, incoming.path)
    tx.session.add(Piece(upload_id=upload_id, at_byte=offset, size_bytes=size, name=name))
    found.offset_bytes = offset + size
    found.touched_at = tx.now
    tx.session.flush()
    return True


def join(database: Database, store: Store, owner: str, whole: Standing) -> None:
    """Join the parts of a whole upload and keep the bytes. Where the digest is another than was announced, the parts are dropped
    and ``InvalidInput`` is raised: the next try begins anew. Nothing is locked while bytes are moved."""
    if whole.kept:
        return
    with database.begin(owner) as tx:
        _owned(tx, owner, whole.id)
        names = tx.session.scalars(select(Piece.name).where(Piece.upload_id == whole.id).order_by(Piece.at_byte)).all()
    known = database.memory.of(Digests).of(whole.id, whole.size_bytes)
    incoming = store.incoming(whole.size_bytes, known)
    try:
        store.join(whole.id, names, incoming, hashed=known is not None)
        _keep(database, store, owner, whole, incoming)
    except FileNotFoundError as error:
        # Another server has joined the same parts and cleared them away meanwhile.
        if not store.has(whole.sha256):
            raise NotFound.of(Text("upload", "上传"), whole.id) from error
    finally:
        incoming.discard()


def _keep(database: Database, store: Store, owner: str, whole: Standing, incoming: Incoming) -> None:
    try:
        store.keep(incoming, incoming.finish(whole.sha256))
    except InvalidInput:
        with database.begin(owner) as tx:
            forget(tx, whole.id)
        store.drop_pieces(whole.id)
        raise


def forget(tx: Tx, upload_id: str) -> None:
    """Its parts stay in the store until ``Store.drop_pieces``."""
    tx.memory.of(Digests).drop(upload_id)
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
