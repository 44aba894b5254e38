"""How far a site is from the others."""

from fastapi import APIRouter, Request

from zhisuan.api.platform import platform_of
from zhisuan.api.schemas import PageOf
from zhisuan.api.site_calls import Reader, seen_site
from zhisuan.api.site_schemas import LinkView
from zhisuan.supply import service as supply
from zhisuan.supply.tables import Link

router = APIRouter(tags=["sites"])


@router.get("/sites/{site_id}/links")
def links(request: Request, site_id: str, caller: Reader) -> PageOf[LinkView]:
    """Round trips measured from this site and to it, nearest first; one that is faster than light says so."""
    with platform_of(request).database.begin() as tx:
        seen_site(tx, site_id, caller)
        return PageOf[LinkView](items=[_view(row, name, site_id) for row, name in supply.links_of(tx, site_id)])


def _view(row: Link, name: str, site_id: str) -> LinkView:
    outward = row.from_site_id == site_id
    return LinkView(
        site_id=row.to_site_id if outward else row.from_site_id, site_name=name, direction="to" if outward else "from", at=row.at,
        tries=row.tries, answered=row.answered, median_us=row.median_us, best_us=row.best_us, bound_us=row.bound_us,
        refused=row.refused, note=row.note,
    )  # fmt: skip
