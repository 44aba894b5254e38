"""A site's life cycle, and who may look at it."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import select

from zhisuan.base.db import Tx
from zhisuan.base.errors import Conflict, NotFound
from zhisuan.base.text import Text
from zhisuan.supply.offering import Windows
from zhisuan.supply.tables import Site
from zhisuan.tenancy.tables import Organisation

TRANSITIONS = {
    "verify": ({"joining"}, "verified"),
    "open": ({"verified", "draining"}, "open"),
    "drain": ({"open"}, "draining"),
    "close": ({"invited", "joining", "verified", "draining"}, "closed"),
}


def change_state(tx: Tx, site: Site, action: str) -> Site:
    """``verify``, ``open``, ``drain`` or ``close`` a site. Raises ``Conflict`` where its state does not allow it."""
    allowed, after = TRANSITIONS[action]
    if site.state == after:
        return site
    if site.state not in allowed:
        raise Conflict(
            Text(
                f"A site that is {site.state} cannot be changed with {action}.",
                f"处于 {site.state} 状态的站点不能执行 {action}。",
            ),
            Text(
                f"That takes a site that is {' or '.join(sorted(allowed))}.",
                f"该操作要求站点处于：{'、'.join(sorted(allowed))}。",
            ),
        )
    site.state = after
    if after == "closed":
        site.credential_digest = site.credential_next_digest = None
    tx.emit(f"site.{after}", site.id)
    return site


def set_windows(tx: Tx, site: Site, windows: Windows) -> None:
    """When the site is offered, from now on; leases that run are left as they are."""
    site.offering = windows.as_dict() if windows != Windows() else {}
    tx.emit("site.windows", site.id, site.offering)


def site_visible(tx: Tx, site_id: str, provider_id: str | None) -> Site:
    """A site by id, for its provider or (``None``) for the operator. Raises ``NotFound`` alike for unknown and foreign."""
    site = tx.session.get(Site, site_id, with_for_update=True)
    if site is None or (provider_id is not None and site.provider_id != provider_id):
        raise NotFound.of(Text("site", "站点"), site_id)
    return site


def site_facts(engine: dict[str, Any]) -> tuple[str, bool]:
    """The isolation level a site reports and whether its operator lets unisolated work run."""
    return str(engine.get("isolation", "none")), bool(engine.get("allow_unisolated", False))


def provider_names(tx: Tx, provider_ids: Collection[str]) -> dict[str, str]:
    """What providers are called, by id."""
    if not provider_ids:
        return {}
    named = select(Organisation.id, Organisation.name).where(Organisation.id.in_(provider_ids))
    return {row.id: row.name for row in tx.session.execute(named)}
