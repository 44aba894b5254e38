"""The engines' own accounts of leases beside what was metered: all of them for the operator, how a site stands for its owner."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request

from zhisuan.api.auth import Allow, Caller
from zhisuan.api.paging import LIMIT_DEFAULT, Cursor, Limit
from zhisuan.api.platform import platform_of
from zhisuan.api.schemas import Answer, PageOf
from zhisuan.api.site_calls import Reader, seen_site
from zhisuan.base.paging import decode_cursor, page_of
from zhisuan.usage import service as usage
from zhisuan.usage.accounts import TOLERANCE_PER_CENT, TOLERANCE_SECONDS

router = APIRouter(tags=["sites"])
Operator = Annotated[Caller, Depends(Allow("platform:bill:read"))]
Verdict = Literal["agrees", "metered_more", "metered_less", "other_nodes"]


class EngineAccountView(Answer):
    """``source`` to ``nodes`` are the engine's words; ``engine_milliseconds`` is what of its time belongs to the lease,
    ``difference_milliseconds`` metered minus that. No ``verdict`` before the lease is closed."""

    lease_id: str
    org_id: str
    site_id: str
    source: str
    reference: str
    state: str
    started_at: datetime
    ended_at: datetime
    elapsed_milliseconds: int
    cpu_milliseconds: int | None
    nodes: int | None
    received_at: datetime
    judged_at: datetime | None
    verdict: Verdict | None
    metered_seconds: int | None
    engine_milliseconds: int | None
    difference_milliseconds: int | None


class SiteReconciliation(Answer):
    """How many closed leases of a site stand how. They agree within ``tolerance_seconds`` and ``tolerance_per_cent`` of the
    engine's time; ``waiting`` are not compared yet, of ``none`` the engine gave no account."""

    site_id: str
    tolerance_seconds: int
    tolerance_per_cent: int
    agrees: int
    metered_more: int
    metered_less: int
    other_nodes: int
    waiting: int
    none: int


@router.get("/engine-accounts")
def engine_accounts(
    request: Request,
    caller: Operator,
    site_id: Annotated[str | None, Query(max_length=100)] = None,
    verdict: Annotated[
        Verdict | Literal["differs"] | None, Query(description="differs: all that do not agree.")
    ] = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> PageOf[EngineAccountView]:
    """What the sites' engines say of leases, by lease, newest first."""
    with platform_of(request).database.begin() as tx:
        rows = usage.list_accounts(
            tx.session, site_id=site_id, verdict=verdict, after=decode_cursor(cursor), limit=limit + 1
        )
        page = page_of(rows, limit, lambda row: row.lease_id)
        items = [EngineAccountView.model_validate(row) for row in page.items]
    return PageOf[EngineAccountView](items=items, next_cursor=page.next_cursor)


@router.get("/sites/{site_id}/reconciliation")
def reconciliation(request: Request, site_id: str, caller: Reader) -> SiteReconciliation:
    """Whether the site's engine counted what the platform metered there, without anything of the tenants."""
    with platform_of(request).database.begin() as tx:
        seen_site(tx, site_id, caller)
        return SiteReconciliation(
            site_id=site_id, tolerance_seconds=TOLERANCE_SECONDS, tolerance_per_cent=TOLERANCE_PER_CENT,
            **usage.account_counts(tx.session, site_id),
        )  # fmt: skip
