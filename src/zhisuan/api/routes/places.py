"""Demand places: where users are, and how far sites are from them."""

from collections import defaultdict
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from zhisuan.api.auth import Allow, Caller
from zhisuan.api.calls import IdempotencyKey, change
from zhisuan.api.place_schemas import DemandPlaceView, PlaceBody, PlaceLinkBody, PlaceLinkView
from zhisuan.api.platform import platform_of
from zhisuan.api.schemas import PageOf
from zhisuan.api.site_calls import Operator, seen_site
from zhisuan.api.site_calls import Reader as SiteReader
from zhisuan.base.db import Tx
from zhisuan.supply import service as supply
from zhisuan.supply.service import SeenLink
from zhisuan.supply.tables import DemandPlace

router = APIRouter(tags=["places"])
Reader = Annotated[Caller, Depends(Allow("platform:site:read", "provider:site:read", "org:workload:read"))]
Seer = Annotated[Caller, Depends(Allow("platform:site:read"))]


@router.get("/places")
def places(request: Request, caller: Reader) -> PageOf[DemandPlaceView]:
    """All demand places by name; a workload file names them under ``zhisuan.latency``."""
    with platform_of(request).database.begin() as tx:
        reached: dict[str, set[str]] = defaultdict(set)
        for seen in supply.place_links(tx):
            if not seen.refused:
                reached[seen.place.id].add(seen.link.site_id)
        items = [_place(place, len(reached[place.id])) for place in supply.places(tx)]
    return PageOf[DemandPlaceView](items=items)


@router.post("/places", status_code=201, response_model=DemandPlaceView)
def add(request: Request, body: PlaceBody, key: IdempotencyKey, caller: Operator) -> JSONResponse:
    """Add a demand place."""
    who = caller.principal

    def work(tx: Tx) -> DemandPlaceView:
        return _place(supply.add_place(tx, body.name, body.latitude_e6, body.longitude_e6), 0)

    return change(request, principal=who.org_id, actor=who.user_id, key=key, body=body, work=work, status=201)


@router.post("/places/{place_id}/remove", response_model=DemandPlaceView)
def remove(request: Request, place_id: str, key: IdempotencyKey, caller: Operator) -> JSONResponse:
    """Remove a demand place with its round trips."""
    who = caller.principal

    def work(tx: Tx) -> DemandPlaceView:
        found = supply.place_seen(tx, place_id)
        view = _place(found, 0)
        supply.remove_place(tx, found)
        return view

    return change(request, principal=who.org_id, actor=who.user_id, key=key, body={}, work=work)


@router.get("/places/{place_id}/links")
def links(request: Request, place_id: str, caller: Seer) -> PageOf[PlaceLinkView]:
    """Round trips between the place and sites, nearest first; one that is not used says so."""
    with platform_of(request).database.begin() as tx:
        found = supply.place_seen(tx, place_id)
        return PageOf[PlaceLinkView](items=[_link(seen) for seen in supply.place_links(tx, place_id=found.id)])


@router.post("/places/{place_id}/links", status_code=201, response_model=PlaceLinkView)
def set_link(request: Request, place_id: str, body: PlaceLinkBody, key: IdempotencyKey, caller: Operator) -> JSONResponse:
    """Keep a round trip in place of what was on record for this direction; one that light in fibre could not make is refused."""
    who = caller.principal

    def work(tx: Tx) -> PlaceLinkView:
        found = supply.place_seen(tx, place_id)
        made = supply.set_link(tx, found, supply.SaidLink(**body.model_dump()))
        of_site = supply.place_links(tx, place_id=found.id, site_ids=[made.site_id])
        return next(_link(seen) for seen in of_site if seen.link is made)

    return change(request, principal=who.org_id, actor=who.user_id, key=key, body=body, work=work, status=201)


@router.get("/sites/{site_id}/places")
def places_of_site(request: Request, site_id: str, caller: SiteReader) -> PageOf[PlaceLinkView]:
    """Round trips between a site and demand places, nearest first."""
    with platform_of(request).database.begin() as tx:
        seen_site(tx, site_id, caller)
        return PageOf[PlaceLinkView](items=[_link(seen) for seen in supply.place_links(tx, site_ids=[site_id])])


def _place(found: DemandPlace, reached: int) -> DemandPlaceView:
    return DemandPlaceView(
        id=found.id, name=found.name, latitude_e6=found.latitude_e6, longitude_e6=found.longitude_e6, created_at=found.created_at,
        reached=reached,
    )  # fmt: skip


def _link(seen: SeenLink) -> PlaceLinkView:
    link = seen.link
    return PlaceLinkView(
        place_id=seen.place.id, place_name=seen.place.name, site_id=link.site_id, site_name=seen.site_name,
        direction=link.direction, round_trip_us=link.round_trip_us, method=link.method, source=link.source, at=link.at,
        bound_us=seen.bound_us, refused=seen.refused,
    )  # fmt: skip
