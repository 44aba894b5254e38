"""The wire of gateways (``zhisuan.wire.gateway``)."""

import asyncio
import hashlib

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool

from zhisuan.api import shells, workspaces
from zhisuan.api.auth import Gateway
from zhisuan.api.platform import Platform, platform_of
from zhisuan.api.serving import served_routes
from zhisuan.catalog import service as catalog
from zhisuan.execution.service import ROUTES_CHANNEL
from zhisuan.ledger import service as ledger
from zhisuan.supply import service as supply
from zhisuan.tenancy import service as tenancy
from zhisuan.usage import service as usage
from zhisuan.wire.common import Accepted
from zhisuan.wire.gateway import (
    KeyAnswer,
    KeyQuestion,
    RoutesAnswer,
    RoutesQuestion,
    ShellAnswer,
    ShellQuestion,
    SiteAnswer,
    SiteQuestion,
    TokenUsageBatch,
    WorkspaceAnswer,
    WorkspaceEntered,
    WorkspaceEntry,
    WorkspaceQuestion,
)
from zhisuan.workload import workspace_sessions

router = APIRouter(prefix="/gateway", tags=["wire: gateways"], dependencies=[Depends(Gateway())])


@router.post("/authorise")
def authorise(request: Request, body: KeyQuestion) -> KeyAnswer:
    """Whose key this is and whether a purse covers more calls."""
    with platform_of(request).database.begin("gateway") as tx:
        who = tenancy.by_key_digest(tx, body.key_digest)
        if who is None or who.org_kind != "tenant":
            return KeyAnswer(valid=False)
        _, book = catalog.price_book_in_force(tx.session, tx.now)
        funded = ledger.funds(tx.session, who.org_id, tx.now).spendable_udu(book.on_demand_price_e8_per_du) > 0
        return KeyAnswer(valid=True, key_id=who.key_id, org_id=who.org_id, project_id=who.project_id, funded=funded)


@router.post("/routes")
async def routes(request: Request, body: RoutesQuestion) -> RoutesAnswer:
    """All served models and their replicas; waits for a change when nothing is different."""
    here = platform_of(request)
    loop = asyncio.get_running_loop()
    until = loop.time() + body.wait_seconds
    with here.hub.listening(ROUTES_CHANNEL, "") as signal:
        answer = await run_in_threadpool(_routes, here)
        while answer.version == body.known_version and (left := until - loop.time()) > 0:
            if not await signal.wait(left):
                break
            answer = await run_in_threadpool(_routes, here)
    return answer


def _routes(here: Platform) -> RoutesAnswer:
    with here.database.begin("gateway") as tx:
        found = served_routes(tx)
    text = "\n".join(r.model_dump_json() for r in found)
    return RoutesAnswer(version=hashlib.sha256(text.encode()).hexdigest()[:16], routes=found)


@router.post("/site")
def site(request: Request, body: SiteQuestion) -> SiteAnswer:
    """Whose site credential this is: the gateway asks before it takes a tunnel."""
    with platform_of(request).database.begin("gateway") as tx:
        found = supply.site_of_digest(tx, body.credential_digest)
        return SiteAnswer(valid=False) if found is None else SiteAnswer(valid=True, site_id=found.id)


@router.post("/usage")
def token_usage(request: Request, body: TokenUsageBatch) -> Accepted:
    with platform_of(request).database.begin("gateway") as tx:
        return usage.accept_token_events(tx, body.gateway, body.events)


@router.post("/workspace")
def workspace(request: Request, body: WorkspaceQuestion) -> WorkspaceAnswer:
    """Whether the holder of a credential may use a workspace, and where it is."""
    with platform_of(request).database.begin("gateway") as tx:
        return workspaces.answer(tx, body)


@router.post("/shell")
def shell(request: Request, body: ShellQuestion) -> ShellAnswer:
    """Whether the holder of a credential may have a shell beside running work, and where that is."""
    here = platform_of(request)
    with here.database.begin("gateway") as tx:
        return shells.answer(tx, body, here.site_ttl)


@router.post("/enter")
def enter(request: Request, body: WorkspaceEntry) -> WorkspaceEntered:
    """Change the ticket of a link for the session of a browser."""
    with platform_of(request).database.begin("gateway") as tx:
        seconds = workspace_sessions.enter(tx, body.workload_id, body.ticket_digest, body.session_digest)
        return WorkspaceEntered(valid=seconds > 0, seconds=seconds)
