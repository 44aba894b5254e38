"""Workspaces: what they are and cost, and the way into one. They are launched, followed and ended as workloads."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from zhisuan.api import workspaces
from zhisuan.api.auth import Allow, Caller
from zhisuan.api.calls import IdempotencyKey, change
from zhisuan.api.paging import Cursor, Limit
from zhisuan.api.platform import platform_of
from zhisuan.api.schemas import PageOf
from zhisuan.api.workspace_schemas import WorkspaceLink, WorkspaceView
from zhisuan.base.db import Tx
from zhisuan.workload import service as workloads

router = APIRouter(tags=["workspaces"])
Reader = Annotated[Caller, Depends(Allow("org:workload:read", "platform:workload:read"))]


@router.get("/workspaces")
def list_workspaces(
    request: Request, caller: Reader, limit: Limit = 50, cursor: Cursor = None
) -> PageOf[WorkspaceView]:
    """Newest first."""
    here = platform_of(request)
    with here.database.begin() as tx:
        page = workloads.page(tx, caller.org_scope, state=None, kind="workspace", limit=limit, cursor=cursor)
        items = workspaces.views(tx, page.items, here.gateway_url)
        return PageOf[WorkspaceView](items=items, next_cursor=page.next_cursor)


@router.get("/workspaces/{workload_id}")
def workspace(request: Request, workload_id: str, caller: Reader) -> WorkspaceView:
    here = platform_of(request)
    with here.database.begin() as tx:
        found = workspaces.visible(tx, workload_id, caller.org_scope)
        return workspaces.views(tx, [found], here.gateway_url)[0]


@router.post("/workspaces/{workload_id}/link", status_code=201, response_model=WorkspaceLink)
def link(
    request: Request,
    workload_id: str,
    key: IdempotencyKey,
    caller: Annotated[Caller, Depends(Allow("org:workload:write"))],
) -> JSONResponse:
    """An address that opens the workspace in one browser: good once, for a minute. It is shown with the first answer only."""
    who = caller.principal
    here = platform_of(request)

    def work(tx: Tx) -> WorkspaceLink:
        found = workspaces.visible(tx, workload_id, who.org_id)
        return workspaces.link(tx, found, who.user_id, here.workspace_address(found.id))

    return change(
        request, principal=who.org_id, actor=who.user_id, key=key, body={}, work=work, status=201, secret_fields=("url",)
    )  # fmt: skip
