"""What speaks for a site's devices, and what the operator makes of it."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from zhisuan.api.calls import IdempotencyKey
from zhisuan.api.platform import platform_of
from zhisuan.api.schemas import SiteView
from zhisuan.api.site_calls import Operator, Reader, seen_site, site_call
from zhisuan.api.site_schemas import (
    EvidenceView,
    FactorView,
    FlagView,
    PricingBody,
    SiteEvidence,
    VerificationView,
    VerifyBody,
)
from zhisuan.base.db import Tx
from zhisuan.base.errors import NotFound
from zhisuan.base.text import Text
from zhisuan.catalog import service as catalog
from zhisuan.catalog.device_classes import load_device_classes
from zhisuan.supply import service as supply
from zhisuan.supply.evidence import PPM, ClassEvidence, ClassSpeed, weigh
from zhisuan.supply.tables import Site, Verification

router = APIRouter(tags=["sites"])
PLAINLY = VerifyBody()
PPM_PER_PERCENT = 10_000


def evidence_of(tx: Tx, request: Request, site_id: str) -> tuple[ClassEvidence, ...]:
    """By the price book in force: an operator's own rates count before those that the classes come with."""
    rates = catalog.price_book_in_force(tx.session, tx.now)[1].device_rates
    classes = {
        c.class_id: ClassSpeed(c.class_id, c.kind, c.name, c.nominal_fp16_tflops_milli, rates.get(c.class_id))
        for c in load_device_classes()
    }
    least = platform_of(request).settings.measured_share_min_percent * PPM_PER_PERCENT
    return weigh(supply.claims_of(tx, site_id), supply.found_devices(tx, site_id), classes, share_min_ppm=least)


@router.get("/sites/{site_id}/evidence")
def evidence(request: Request, site_id: str, caller: Reader) -> SiteEvidence:
    """Class by class: claimed, found, nominal, published and measured, with what does not fit."""
    with platform_of(request).database.begin() as tx:
        seen_site(tx, site_id, caller)
        factors = supply.factors_of_site(tx, site_id)
        current = {f.class_id: f.factor_ppm for f in reversed(factors)}
        rows = evidence_of(tx, request, site_id)
        last = supply.last_verification(tx, site_id)
        return SiteEvidence(
            site_id=site_id, share_min_ppm=platform_of(request).settings.measured_share_min_percent * PPM_PER_PERCENT,
            items=[
                EvidenceView.model_validate({**r.as_dict(), "rate_factor_ppm": current.get(r.class_id or "", PPM)})
                for r in rows
            ],
            verification=_verification(last) if last else None, factors=[FactorView.model_validate(f) for f in factors],
        )  # fmt: skip


def _verification(found: Verification) -> VerificationView:
    accepted = [FlagView(code=f["code"], en=f["en"], zh=f["zh"]) for f in found.accepted]
    return VerificationView(id=found.id, at=found.at, by=found.by, note=found.note, accepted=accepted)


@router.post("/sites/{site_id}/verify", response_model=SiteView)
def verify(
    request: Request, site_id: str, key: IdempotencyKey, caller: Operator, body: VerifyBody = PLAINLY
) -> JSONResponse:
    """The operator has looked at the evidence and opens the site for work; the evidence is kept with it."""

    def work(tx: Tx, found: Site) -> None:
        supply.verify(tx, found, evidence_of(tx, request, found.id), accept=body.accept, note=body.note)
        supply.change_state(tx, found, "open")

    return site_call(request, site_id, key, caller, work, body=body)


@router.post("/sites/{site_id}/pricing", response_model=SiteView)
def pricing(request: Request, site_id: str, key: IdempotencyKey, caller: Operator, body: PricingBody) -> JSONResponse:
    """Sell a class of this site at its measured share of the published rate, or at the whole of it again."""

    def work(tx: Tx, found: Site) -> None:
        rows = {r.class_id: r for r in evidence_of(tx, request, found.id)}
        row = rows.get(body.class_id)
        if row is None:
            raise NotFound.of(Text("device class at this site", "该站点的设备型号"), body.class_id)
        decide = supply.price_by_measurement if body.basis == "measured" else supply.price_as_published
        decide(tx, found, row, body.reason)

    return site_call(request, site_id, key, caller, work, body=body)
