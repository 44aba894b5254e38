"""The wire of joining (``zhisuan.wire.joining``)."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from zhisuan import __version__
from zhisuan.api.auth import Public, SiteAgent
from zhisuan.api.platform import platform_of
from zhisuan.base.db import Tx
from zhisuan.base.errors import FieldProblem, InvalidInput
from zhisuan.base.text import Text
from zhisuan.catalog.device_classes import load_device_classes
from zhisuan.supply import service as supply
from zhisuan.supply.tables import Site
from zhisuan.wire.joining import (
    ClaimMessage,
    CredentialRequest,
    HelloAnswer,
    HelloRequest,
    SiteJoinRequest,
    SiteRegistration,
    SiteStanding,
    TokenReport,
)
from zhisuan.wire.site import JoinAnswer

router = APIRouter(tags=["wire: joining"])
Agent = Annotated[str, Depends(SiteAgent())]


@router.post("/hello", dependencies=[Depends(Public())])
def hello(request: Request, body: HelloRequest) -> HelloAnswer:
    """The time here, and what a join token would do: for a machine that thinks about joining."""
    with platform_of(request).database.begin("join token") as tx:
        token = None if body.token is None else _look(tx, body.token)
        return HelloAnswer(server_time=tx.now, version=__version__, token=token)


def _look(tx: Tx, token: str) -> TokenReport:
    found = supply.look_at_token(tx, token)
    if found.site is None:
        return TokenReport.model_validate({"state": found.state})
    return TokenReport(
        state="valid", site_id=found.site.id, site_name=found.site.name, region=found.site.region,
        pue_milli=found.site.pue_milli, expires_at=found.expires_at,
    )  # fmt: skip


@router.post("/join", dependencies=[Depends(Public())])
def join(request: Request, body: SiteJoinRequest) -> JoinAnswer:
    """The agent that shows a join token acts for its site from then on, by the credential whose digest it sends."""
    here = platform_of(request)
    with here.database.begin("join token") as tx:
        said = None if body.registration is None else registration_of(body.registration)
        site = supply.join(tx, body.token, body.credential_digest, said)
        return JoinAnswer(site_id=site.id, site_name=site.name, gateway_url=here.gateway_url)


def registration_of(said: SiteRegistration) -> supply.Registration:
    """Raises ``InvalidInput`` for a claim of a class that the catalogue does not know."""
    place = None
    if said.city is not None or said.latitude_e6 is not None or said.longitude_e6 is not None:
        place = supply.Place(said.city, said.latitude_e6, said.longitude_e6)
    claims = None if said.claims is None else checked_claims(said.claims)
    terms = supply.Terms(pue_milli=said.pue_milli, tariff_ucny_per_kwh=said.tariff_ucny_per_kwh)
    return supply.Registration(said.region, place, terms, claims, said.echo_address)


def checked_claims(claims: tuple[ClaimMessage, ...]) -> tuple[supply.Claim, ...]:
    known = {c.class_id for c in load_device_classes()}
    unknown = [c.class_id for c in claims if c.class_id not in known]
    if unknown:
        raise InvalidInput(
            Text(f"There is no device class called {unknown[0]}.", f"没有名为 {unknown[0]} 的设备型号。"),
            Text("`zhisuan catalog` lists the classes.", "zhisuan catalog 列出全部型号。"),
            code="unknown_device_class",
            problems=[FieldProblem(f"claims.{n}", Text("is not a device class", "不是设备型号")) for n in unknown],
        )
    return tuple(supply.Claim(c.class_id, c.count, c.tflops_milli) for c in claims)


@router.get("/site")
def standing(request: Request, site_id: Agent) -> SiteStanding:
    """What the platform makes of the calling site. The first call with a new credential is what puts it in force."""
    with platform_of(request).database.begin(site_id) as tx:
        return _standing(request, tx, site_id)


@router.post("/credential")
def credential(request: Request, body: CredentialRequest, site_id: Agent) -> SiteStanding:
    """Let a new credential wait for its first use; the one of this call holds until then."""
    with platform_of(request).database.begin(site_id) as tx:
        supply.rotate_credential(tx, site_id, body.credential_digest)
        return _standing(request, tx, site_id)


def _standing(request: Request, tx: Tx, site_id: str) -> SiteStanding:
    site = tx.session.get_one(Site, site_id)
    after = timedelta(days=platform_of(request).settings.credential_days)
    return SiteStanding(
        site_id=site.id, site_name=site.name, state=site.state, rotation_due=supply.rotation_due(site, tx.now, after),
        server_time=tx.now,
    )  # fmt: skip
