"""The chain around any record."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from zhisuan.api.auth import Allow, Caller
from zhisuan.api.platform import platform_of
from zhisuan.api.schemas import Trace
from zhisuan.api.tracing import trace

router = APIRouter(tags=["trace"])


@router.get("/trace/{ident}")
def trace_record(
    request: Request, ident: str, caller: Annotated[Caller, Depends(Allow("org:trace:read", "platform:trace:read"))]
) -> Trace:
    """Every station from supply to carbon that the record belongs to."""
    with platform_of(request).database.begin() as tx:
        return trace(tx, ident, caller.org_scope)
