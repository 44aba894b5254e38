"""The terms a provider sets for its site: place and conditions, claims, offer windows, taking back."""

from datetime import timedelta

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from zhisuan.api.calls import IdempotencyKey
from zhisuan.api.platform import platform_of
from zhisuan.api.routes.wire_joining import checked_claims
from zhisuan.api.schemas import PageOf, SiteView
from zhisuan.api.site_calls import Provider, Reader, Writer, seen_site, site_call
from zhisuan.api.site_schemas import ClaimsBody, ConditionsBody, ConditionView, TakeBackBody, WindowsBody
from zhisuan.base.db import Tx
from zhisuan.supply import service as supply
from zhisuan.supply.tables import Site
from zhisuan.wire.joining import ClaimMessage

router = APIRouter(tags=["sites"])
AT_ONCE = TakeBackBody()


@router.get("/sites/{site_id}/conditions")
def conditions(request: Request, site_id: str, caller: Reader) -> PageOf[ConditionView]:
    """PUE, tariff and green share as they were, are and will be, newest first."""
    with platform_of(request).database.begin() as tx:
        seen_site(tx, site_id, caller)
        items = [ConditionView.model_validate(c) for c in supply.conditions_of(tx, site_id)]
    return PageOf[ConditionView](items=items)


@router.post("/sites/{site_id}/conditions", response_model=SiteView)
def set_conditions(
    request: Request, site_id: str, key: IdempotencyKey, caller: Provider, body: ConditionsBody
) -> JSONResponse:
    """Set place, PUE, tariff or green share; figures hold from ``valid_from`` on, and leases keep those they were placed under."""

    def work(tx: Tx, found: Site) -> None:
        if body.city is not None or body.latitude_e6 is not None or body.longitude_e6 is not None:
            city = found.city if body.city is None else body.city
            place = supply.Place(city, body.latitude_e6, body.longitude_e6)
            if body.latitude_e6 is None and body.longitude_e6 is None:
                place = supply.Place(city, found.latitude_e6, found.longitude_e6)
            found.city, found.latitude_e6, found.longitude_e6 = place.checked()
        if body.echo_address is not None:
            found.echo_address = supply.checked_echo_address(body.echo_address)
        terms = supply.Terms(body.pue_milli, body.tariff_ucny_per_kwh, body.green_ppm, body.valid_from)
        supply.set_terms(tx, found, terms)

    return site_call(request, site_id, key, caller, work, body=body)


@router.post("/sites/{site_id}/claims", response_model=SiteView)
def set_claims(request: Request, site_id: str, key: IdempotencyKey, caller: Provider, body: ClaimsBody) -> JSONResponse:
    """Say what devices the site has; it is set beside what was found and measured."""
    claims = checked_claims(tuple(ClaimMessage(**c.model_dump()) for c in body.claims))
    return site_call(
        request, site_id, key, caller, lambda tx, found: supply.claim_devices(tx, found, claims), body=body
    )


@router.post("/sites/{site_id}/windows", response_model=SiteView)
def set_windows(
    request: Request, site_id: str, key: IdempotencyKey, caller: Provider, body: WindowsBody
) -> JSONResponse:
    """Set the weekly hours in which idle devices are offered; outside of them nothing new is placed, what runs goes on."""
    windows = supply.parsed_windows(body.zone, [w.model_dump(by_alias=True) for w in body.windows])
    return site_call(request, site_id, key, caller, lambda tx, found: supply.set_windows(tx, found, windows), body=body)


@router.post("/sites/{site_id}/take-back", response_model=SiteView)
def take_back(
    request: Request, site_id: str, key: IdempotencyKey, caller: Provider, body: TakeBackBody = AT_ONCE
) -> JSONResponse:
    """Take the devices back with notice: the work there is told to end, saves what it did and goes on elsewhere."""
    ask = supply.TakeBack(timedelta(seconds=body.notice_seconds), body.back_at, body.until, body.reason)
    return site_call(request, site_id, key, caller, lambda tx, found: supply.take_back(tx, found, ask), body=body)


@router.post("/sites/{site_id}/offer-again", response_model=SiteView)
def offer_again(request: Request, site_id: str, key: IdempotencyKey, caller: Writer) -> JSONResponse:
    """End a recall: the devices are offered again from now on."""
    return site_call(request, site_id, key, caller, lambda tx, found: supply.offer_again(tx, found))
