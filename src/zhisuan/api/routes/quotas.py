"""Quotas of organisations and their projects."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from zhisuan.api import quotas
from zhisuan.api.auth import Allow, Caller
from zhisuan.api.calls import IdempotencyKey, change
from zhisuan.api.paging import Cursor, Limit
from zhisuan.api.platform import platform_of
from zhisuan.api.queue_schemas import QuotaPage, UsedAnew
from zhisuan.api.schemas import Body
from zhisuan.base.db import Tx
from zhisuan.base.errors import Forbidden
from zhisuan.base.text import Text
from zhisuan.execution import sharing
from zhisuan.placement.queueing.types import Amounts
from zhisuan.placement.queueing.types import Limit as Most

router = APIRouter(tags=["quotas"])
MILLI_MAX = 10**12
Milli = Annotated[int, Field(ge=-MILLI_MAX, le=MILLI_MAX)]


class QuotaBody(Body):
    """Thousandths of cards and cores; a null limit is none."""

    guaranteed_cards_milli: Milli = 0
    guaranteed_cores_milli: Milli = 0
    limit_cards_milli: Milli | None = None
    limit_cores_milli: Milli | None = None
    weight: Annotated[int, Field(ge=-MILLI_MAX, le=MILLI_MAX)] = 1
    parent: str | None = Field(
        default=None, max_length=200, description="Project of the same organisation that this project stands under, by name or id."
    )


class CountAnew(Body):
    """Says nothing more."""


@router.get("/quotas")
def show(
    request: Request,
    caller: Annotated[Caller, Depends(Allow("org:quota:read", "platform:quota:read"))],
    organisation: Annotated[str | None, Query(max_length=200, description="For the operator: this one with its projects.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> QuotaPage:
    """One's organisation and its projects; for the operator all tenants, or one of them with its projects."""
    here = platform_of(request)
    with here.database.begin() as tx:
        named = organisation or caller.org_scope
        if named is None:
            return quotas.show_all(tx, here.site_ttl, limit, cursor)
        return quotas.show_tree(tx, quotas.find_subject(tx, named, caller.org_scope)[0], here.site_ttl)


@router.put("/quotas/{subject}", response_model=QuotaPage)
def set_quota(
    request: Request,
    subject: str,
    body: QuotaBody,
    key: IdempotencyKey,
    caller: Annotated[Caller, Depends(Allow("org:quota:write", "platform:quota:write"))],
) -> JSONResponse:
    """Set the quota of an organisation (the operator) or of a project (an owner, or the operator). What runs goes on."""
    here, who = platform_of(request), caller.principal
    terms = quotas.Terms(
        Amounts(body.guaranteed_cards_milli, body.guaranteed_cores_milli), Most(body.limit_cards_milli, body.limit_cores_milli),
        body.weight, body.parent,
    )  # fmt: skip

    def work(tx: Tx) -> QuotaPage:
        org_id, project_id = quotas.find_subject(tx, subject, caller.org_scope)
        if project_id is None and caller.org_scope is not None:
            raise Forbidden(
                Text("The quota of an organisation is set by the operator.", "组织的配额由运营方设置。"),
                Text("Set those of your projects, or ask the operator.", "您可设置各项目的配额，或联系运营方。"),
            )
        quotas.set_quota(tx, org_id, project_id, terms)
        return quotas.show_tree(tx, org_id, here.site_ttl)

    return change(request, principal=who.org_id, actor=who.user_id, key=key, body=body, work=work)


@router.post("/quotas/used", response_model=UsedAnew)
def count_anew(
    request: Request, body: CountAnew, key: IdempotencyKey, caller: Annotated[Caller, Depends(Allow("platform:quota:write"))]
) -> JSONResponse:
    """Count what has been used of late anew from the leases, in the course of the next minute; nothing is missing meanwhile."""
    who = caller.principal
    return change(
        request, principal=who.org_id, actor=who.user_id, key=key, body=body,
        work=lambda tx: UsedAnew(leases=sharing.note_again(tx)),
    )  # fmt: skip
