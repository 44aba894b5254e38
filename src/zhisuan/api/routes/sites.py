"""Sites: providers bring them, the operator verifies them. What is said about one in particular is in the modules beside."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import Field
from sqlalchemy import select

from zhisuan.api.calls import IdempotencyKey, change
from zhisuan.api.paging import Cursor, Limit, paged
from zhisuan.api.platform import platform_of
from zhisuan.api.routes import site_evidence, site_links, site_money, site_terms, site_tokens
from zhisuan.api.routes.wire_joining import registration_of
from zhisuan.api.schemas import Body, PageOf, SiteInvited, SiteView
from zhisuan.api.site_calls import Provider, Reader, Writer, seen_site, site_call
from zhisuan.api.site_schemas import ClaimBody, ReasonBody
from zhisuan.api.site_views import site_views
from zhisuan.base.db import Tx
from zhisuan.base.errors import Conflict
from zhisuan.base.text import Text
from zhisuan.execution import service as execution
from zhisuan.execution.placing import SITE_CHANNEL
from zhisuan.supply import service as supply
from zhisuan.supply.tables import Site
from zhisuan.wire.joining import ClaimMessage, SiteRegistration

router = APIRouter(tags=["sites"])
for part in (site_tokens, site_terms, site_evidence, site_links, site_money):
    router.include_router(part.router)


class NewSite(Body):
    name: str = Field(max_length=60)
    region: str = Field(max_length=10, description="ISO 3166-2 province, such as CN-AH; it picks the grid factor.")
    pue_milli: int = Field(ge=1000, le=3000, default=1420, description="PUE in thousandths")
    city: str | None = Field(default=None, max_length=60)
    latitude_e6: int | None = Field(default=None, description="10⁻⁶ degrees; with a longitude")
    longitude_e6: int | None = None
    echo_address: str | None = Field(default=None, max_length=260, description="host:port there that answers TCP connections")
    tariff_ucny_per_kwh: int | None = Field(default=None, description="What the provider pays for electricity")
    claims: list[ClaimBody] | None = Field(default=None, max_length=200, description="What the site is said to have")

    def registration(self) -> supply.Registration:
        claims = None if self.claims is None else tuple(ClaimMessage(**c.model_dump()) for c in self.claims)
        said = SiteRegistration(
            city=self.city, latitude_e6=self.latitude_e6, longitude_e6=self.longitude_e6,
            echo_address=self.echo_address, tariff_ucny_per_kwh=self.tariff_ucny_per_kwh, claims=claims,
        )  # fmt: skip
        return registration_of(said)


@router.get("/sites")
def sites(request: Request, caller: Reader, limit: Limit = 50, cursor: Cursor = None) -> PageOf[SiteView]:
    """A provider's own sites; all of them for the operator."""
    query = select(Site)
    if caller.org_scope is not None:
        query = query.where(Site.provider_id == caller.org_scope)
    with platform_of(request).database.begin() as tx:
        rows = paged(tx, query, Site.id, lambda s: s, limit, cursor)
        return PageOf[SiteView](items=site_views(tx, rows.items, request), next_cursor=rows.next_cursor)


@router.get("/sites/{site_id}")
def site(request: Request, site_id: str, caller: Reader) -> SiteView:
    with platform_of(request).database.begin() as tx:
        return site_views(tx, [seen_site(tx, site_id, caller)], request)[0]


@router.post("/sites", status_code=201, response_model=SiteInvited)
def create_site(request: Request, body: NewSite, key: IdempotencyKey, caller: Provider) -> JSONResponse:
    """Register a site and get the token that its agent joins with, once, within a day."""
    who = caller.principal

    def work(tx: Tx) -> SiteInvited:
        made = supply.create_site(
            tx, provider_id=who.org_id, name=body.name, region=body.region, pue_milli=body.pue_milli,
            registration=body.registration(),
        )  # fmt: skip
        view = site_views(tx, [made.site], request)[0]
        return SiteInvited(site=view, join_token=made.token, expires_at=made.expires_at)

    return change(
        request, principal=who.org_id, actor=who.user_id, key=key, body=body, work=work, status=201,
        secret_fields=("join_token",),
    )  # fmt: skip


@router.post("/sites/{site_id}/open", response_model=SiteView)
def reopen(request: Request, site_id: str, key: IdempotencyKey, caller: Writer) -> JSONResponse:
    """Open a verified or drained site; what was being taken back is offered again."""

    def work(tx: Tx, found: Site) -> None:
        supply.change_state(tx, found, "open")
        supply.offer_again(tx, found)

    return site_call(request, site_id, key, caller, work)


@router.post("/sites/{site_id}/drain", response_model=SiteView)
def drain(request: Request, site_id: str, key: IdempotencyKey, caller: Writer) -> JSONResponse:
    """Take no new work; what runs there goes on."""
    return site_call(request, site_id, key, caller, lambda tx, found: supply.change_state(tx, found, "drain"))


@router.post("/sites/{site_id}/close", response_model=SiteView)
def close(request: Request, site_id: str, key: IdempotencyKey, caller: Writer) -> JSONResponse:
    """End a drained site; its agent's credential is void from then on. Of a site that cannot be heard, what still ran
    there counts as lost: it is not charged, and waits for another place while it has restarts left."""
    ttl = platform_of(request).site_ttl

    def work(tx: Tx, found: Site) -> None:
        if supply.is_reachable(found, tx.now, ttl) and execution.open_lease_count(tx, found.id):
            raise Conflict(
                Text(f"Work still runs at the site {found.name}.", f"站点 {found.name} 仍有作业在运行。"),
                Text(
                    "Drain the site, wait until its work has ended, and close it then.",
                    "请先排空站点，待作业结束后再关闭。",
                ),
                code="site_in_use",
            )
        supply.change_state(tx, found, "close")
        supply.offer_again(tx, found)
        execution.lose_leases(tx, found)

    return site_call(request, site_id, key, caller, work)


@router.post("/sites/{site_id}/revoke", response_model=SiteView)
def revoke(request: Request, site_id: str, key: IdempotencyKey, caller: Writer, body: ReasonBody) -> JSONResponse:
    """Shut the site's agent out at once. Work it runs goes on under its engine and is lost to the platform unless an
    agent joins again, with a new token, before the leases expire."""

    def work(tx: Tx, found: Site) -> None:
        supply.revoke_credential(tx, found, body.reason)
        tx.notify(SITE_CHANNEL, found.id)

    return site_call(request, site_id, key, caller, work, body=body)
