"""Pausing, resuming and restarting work."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from zhisuan.api import resuming
from zhisuan.api.auth import Allow, Caller
from zhisuan.api.calls import IdempotencyKey, change
from zhisuan.api.platform import platform_of
from zhisuan.api.schemas import WorkloadView
from zhisuan.api.views import workload_view
from zhisuan.base.db import Tx
from zhisuan.execution import pausing
from zhisuan.workload import service as workloads

router = APIRouter(tags=["workloads"])
Writer = Annotated[Caller, Depends(Allow("org:workload:write"))]


@router.post("/workloads/{workload_id}/pause", response_model=WorkloadView)
def pause(
    request: Request,
    workload_id: str,
    key: IdempotencyKey,
    caller: Annotated[Caller, Depends(Allow("org:workload:write", "platform:workload:cancel"))],
) -> JSONResponse:
    """Let a workload rest: its work ends with grace, its checkpoint is kept, it holds nothing and costs nothing."""
    who = caller.principal

    def work(tx: Tx) -> WorkloadView:
        found = workloads.visible(tx, workload_id, caller.org_scope, lock=True)
        pausing.pause(tx, found)
        return workload_view(tx, found)

    return change(request, principal=who.org_id, actor=who.user_id, key=key, body={}, work=work)


@router.post("/workloads/{workload_id}/resume", response_model=WorkloadView)
def resume(request: Request, workload_id: str, key: IdempotencyKey, caller: Writer) -> JSONResponse:
    """Let a paused workload go on from its checkpoint, at the prices in force now."""
    who = caller.principal
    ttl = platform_of(request).site_ttl

    def work(tx: Tx) -> WorkloadView:
        found = workloads.visible(tx, workload_id, caller.org_scope, lock=True)
        resuming.resume(tx, found, ttl)
        return workload_view(tx, found)

    return change(request, principal=who.org_id, actor=who.user_id, key=key, body={}, work=work)


@router.post("/workloads/{workload_id}/restart", response_model=WorkloadView)
def restart(request: Request, workload_id: str, key: IdempotencyKey, caller: Writer) -> JSONResponse:
    """Begin again from the last checkpoint: what runs is ended for that; what is paused, failed or cancelled waits again."""
    who = caller.principal
    ttl = platform_of(request).site_ttl

    def work(tx: Tx) -> WorkloadView:
        found = workloads.visible(tx, workload_id, caller.org_scope, lock=True)
        resuming.restart(tx, found, ttl)
        return workload_view(tx, found)

    return change(request, principal=who.org_id, actor=who.user_id, key=key, body={}, work=work)
