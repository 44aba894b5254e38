"""What the calls about one site have in common."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import JSONResponse

from zhisuan.api.auth import Allow, Caller
from zhisuan.api.calls import change
from zhisuan.api.schemas import SiteView
from zhisuan.api.site_views import site_views
from zhisuan.base.db import Tx
from zhisuan.base.errors import NotFound
from zhisuan.base.text import Text
from zhisuan.supply import service as supply
from zhisuan.supply.tables import Site

Reader = Annotated[Caller, Depends(Allow("platform:site:read", "provider:site:read"))]
Writer = Annotated[Caller, Depends(Allow("platform:site:write", "provider:site:write"))]
Operator = Annotated[Caller, Depends(Allow("platform:site:write"))]
Provider = Annotated[Caller, Depends(Allow("provider:site:write"))]


def seen_site(tx: Tx, site_id: str, caller: Caller) -> Site:
    """For reading: nothing is locked. Raises ``NotFound`` alike for unknown and foreign."""
    found = tx.session.get(Site, site_id)
    if found is None or caller.org_scope not in (None, found.provider_id):
        raise NotFound.of(Text("site", "站点"), site_id)
    return found


def site_call(
    request: Request, site_id: str, key: str, caller: Caller, work: Callable[[Tx, Site], Any], *, body: Any = None
) -> JSONResponse:
    """Change one site that the caller may see, once for its idempotency key; the answer is the site as it is then."""
    who = caller.principal

    def run(tx: Tx) -> SiteView:
        found = supply.site_visible(tx, site_id, caller.org_scope)
        work(tx, found)
        tx.session.flush()
        return site_views(tx, [found], request)[0]

    return change(
        request, principal=who.org_id, actor=who.user_id, key=key, body={} if body is None else body, work=run
    )
