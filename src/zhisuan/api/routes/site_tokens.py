"""Join tokens of a site: made, listed without what they are, revoked."""

from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from sqlalchemy import select

from zhisuan.api.calls import IdempotencyKey, change
from zhisuan.api.paging import Cursor, Limit, paged
from zhisuan.api.platform import platform_of
from zhisuan.api.schemas import PageOf, TokenMade
from zhisuan.api.site_calls import Provider, Reader, Writer, seen_site
from zhisuan.api.site_schemas import TokenBody, TokenView
from zhisuan.base.db import Tx
from zhisuan.supply import service as supply
from zhisuan.supply.tables import JoinToken

router = APIRouter(tags=["sites"])
A_DAY = TokenBody()


@router.get("/sites/{site_id}/join-tokens")
def join_tokens(
    request: Request, site_id: str, caller: Reader, limit: Limit = 50, cursor: Cursor = None
) -> PageOf[TokenView]:
    """All tokens of the site there were, newest first; the tokens themselves are not kept."""
    with platform_of(request).database.begin() as tx:
        seen_site(tx, site_id, caller)
        query = select(JoinToken).where(JoinToken.site_id == site_id)
        return paged(tx, query, JoinToken.id, lambda t: token_view(t, tx.now), limit, cursor)


@router.post("/sites/{site_id}/join-tokens", status_code=201, response_model=TokenMade)
def new_join_token(
    request: Request, site_id: str, key: IdempotencyKey, caller: Provider, body: TokenBody = A_DAY
) -> JSONResponse:
    """A new join token; the agent that joins with it replaces the one before."""
    who = caller.principal

    def work(tx: Tx) -> TokenMade:
        found = supply.site_visible(tx, site_id, caller.org_scope)
        made = supply.invite_again(tx, found, timedelta(hours=body.hours))
        return TokenMade(id=made.token_id, join_token=made.token, expires_at=made.expires_at)

    return change(
        request, principal=who.org_id, actor=who.user_id, key=key, body=body, work=work, status=201,
        secret_fields=("join_token",),
    )  # fmt: skip


@router.delete("/sites/{site_id}/join-tokens/{token_id}", status_code=204)
def revoke_join_token(request: Request, site_id: str, token_id: str, caller: Writer) -> Response:
    """End a token that has not been used; doing it again changes nothing."""
    with platform_of(request).database.begin(caller.principal.user_id) as tx:
        supply.revoke_token(tx, supply.site_visible(tx, site_id, caller.org_scope), token_id)
    return Response(status_code=204)


def token_view(token: JoinToken, now: datetime) -> TokenView:
    return TokenView(
        id=token.id, hint=token.hint, state=supply.token_state(token, now), created_at=token.created_at,
        created_by=token.created_by, expires_at=token.expires_at, used_at=token.used_at, revoked_at=token.revoked_at,
    )  # fmt: skip
