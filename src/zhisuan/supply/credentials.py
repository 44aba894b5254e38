"""The credential of a site's agent: whose it is, replacing it by a new one, and taking it away.

Replacing takes two steps, so that a kill or a lost answer at any point leaves the agent with one that works:

1. The agent makes a secret, keeps it beside the old one, and sends its digest with the old one: both are valid.
2. The first call with the new one makes it the site's credential; from then on the old one is worth nothing.

An agent that does not know how far it came asks with the new one first, and begins at 1 again where that is refused.
"""

from datetime import datetime, timedelta

from sqlalchemy import or_, select

from zhisuan.base import secrets
from zhisuan.base.db import Tx
from zhisuan.base.errors import Conflict, NotAuthenticated
from zhisuan.base.text import Text
from zhisuan.supply.tables import Site


def site_of_credential(tx: Tx, credential: str | None) -> Site:
    """The site whose agent calls; the first use of a waiting credential makes it the site's. Raises ``NotAuthenticated``."""
    site = site_of_digest(tx, secrets.digest(credential)) if credential else None
    if site is None:
        raise _not_admitted()
    if credential and site.credential_next_digest == secrets.digest(credential):
        _promote(tx, site.id, secrets.digest(credential))
    return site


def site_id_of_credential(tx: Tx, credential: str | None) -> str:
    """Only the id of ``site_of_credential``, for the calls that come all the time."""
    digest = secrets.digest(credential) if credential else ""
    query = select(Site.id).where(Site.credential_digest == digest, Site.state != "closed")
    return tx.session.scalar(query) or site_of_credential(tx, credential).id


def _not_admitted() -> NotAuthenticated:
    return NotAuthenticated(
        Text("This site credential is not valid any more.", "该站点凭证已失效。"),
        Text("Join the site again with a new join token.", "请用新的加入令牌重新加入。"),
        code="site_revoked",
    )


def require_admitted(tx: Tx, site_id: str) -> None:
    """For a call that waits: whether its site has been shut out meanwhile. Raises ``NotAuthenticated``."""
    held = select(Site.id).where(Site.id == site_id, Site.credential_digest.is_not(None), Site.state != "closed")
    if tx.session.scalar(held) is None:
        raise _not_admitted()


def site_of_digest(tx: Tx, digest: str) -> Site | None:
    """The site that a credential's digest acts for; None for a closed site too."""
    either = or_(Site.credential_digest == digest, Site.credential_next_digest == digest)
    site = tx.session.scalar(select(Site).where(either))
    return None if site is None or site.state == "closed" else site


def _promote(tx: Tx, site_id: str, digest: str) -> None:
    site = tx.session.get_one(Site, site_id, with_for_update=True, populate_existing=True)
    if site.credential_next_digest == digest:
        site.credential_digest, site.credential_next_digest, site.credential_since = digest, None, tx.now
        tx.emit("site.credential_rotated", site.id)


def rotate_credential(tx: Tx, site_id: str, new_digest: str) -> None:
    """Let a new credential of this site wait for its first use; a later one takes its place, the same changes nothing.

    Raises ``Conflict`` when it is another site's.
    """
    site = tx.session.get_one(Site, site_id, with_for_update=True, populate_existing=True)
    if new_digest in (site.credential_digest, site.credential_next_digest):
        return
    if site_of_digest(tx, new_digest) is not None:
        raise Conflict(
            Text("This credential is in use already.", "该凭证已被使用。"),
            Text("Make a new secret for it.", "请重新生成凭证。"),
            code="credential_in_use",
        )
    site.credential_next_digest = new_digest


def rotation_due(site: Site, now: datetime, after: timedelta) -> bool:
    """Whether the credential is as old as the platform lets one get."""
    since = site.credential_since or site.joined_at
    return since is not None and now - since >= after


def revoke_credential(tx: Tx, site: Site, reason: str) -> None:
    """Shut the site's agent out at once, with both credentials it may hold; a new join token lets an agent in again."""
    if site.credential_digest is None and site.credential_next_digest is None:
        return
    site.credential_digest = site.credential_next_digest = site.credential_since = None
    site.revoked_at = tx.now
    tx.emit("site.revoked", site.id, {"reason": reason})
