"""Uploads in parts for organisations and for leases: the steps that take the store and several transactions."""

from zhisuan.api.data_schemas import UploadView
from zhisuan.api.platform import Platform
from zhisuan.base.store import Incoming
from zhisuan.data import content, uploads
from zhisuan.data.tables import Content


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
    uploads.join(here.database, here.store, org_id, standing.id)
    with here.database.begin(org_id) as tx:
        content.add(tx, here.store, org_id, standing.sha256, standing.size_bytes, here.settings.volume_bytes_max)
        uploads.forget(tx, standing.id)
    here.store.drop_pieces(standing.id)
    return _done(standing.sha256, standing.size_bytes)


def take_piece(here: Platform, owner: str, upload_id: str, offset: int, incoming: Incoming) -> uploads.Standing:
    incoming.finish(None)
    with here.database.begin(owner) as tx:
        return uploads.add_piece(tx, here.store, owner, upload_id, offset, incoming)


def keep_whole(here: Platform, org_id: str, sha256: str, incoming: Incoming) -> UploadView:
    """Keep a file that came in one piece."""
    incoming.finish(sha256)
    with here.database.begin(org_id) as tx:
        if tx.session.get(Content, (org_id, sha256)) is None:
            content.require_room(tx, org_id, incoming.size_bytes, here.settings.volume_bytes_max)
    here.store.keep(incoming, sha256)
    with here.database.begin(org_id) as tx:
        content.add(tx, here.store, org_id, sha256, incoming.size_bytes, here.settings.volume_bytes_max)
    return _done(sha256, incoming.size_bytes)


def view(standing: uploads.Standing) -> UploadView:
    return UploadView(
        id=standing.id, sha256=standing.sha256, size_bytes=standing.size_bytes, offset=standing.offset, complete=False
    )


def _done(sha256: str, size_bytes: int) -> UploadView:
    return UploadView(id=None, sha256=sha256, size_bytes=size_bytes, offset=size_bytes, complete=True)
