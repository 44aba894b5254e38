"""The wire of measured distances (``zhisuan.wire.links``)."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from zhisuan.api.auth import SiteAgent
from zhisuan.api.platform import platform_of
from zhisuan.supply import service as supply
from zhisuan.supply.tables import Site
from zhisuan.wire.common import Accepted
from zhisuan.wire.links import PEERS_MAX, LinkBatch, PeersAnswer, PeerSite

router = APIRouter(tags=["wire: links"])
Agent = Annotated[str, Depends(SiteAgent())]


@router.get("/peers")
def peers(request: Request, site_id: Agent) -> PeersAnswer:
    """Whose distance the calling site should measure next."""
    with platform_of(request).database.begin(site_id) as tx:
        found = supply.peers_of(tx, tx.session.get_one(Site, site_id), PEERS_MAX)
        return PeersAnswer(peers=tuple(PeerSite(site_id=s.id, echo_address=s.echo_address or "") for s in found))


@router.post("/links")
def links(request: Request, body: LinkBatch, site_id: Agent) -> Accepted:
    measured = [supply.Measured(**report.model_dump()) for report in body.links]
    with platform_of(request).database.begin(site_id) as tx:
        return Accepted(accepted=supply.take_links(tx, tx.session.get_one(Site, site_id), measured))
