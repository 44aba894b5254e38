"""What is sold, at what price, in which version."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import Field
from sqlalchemy import select

from zhisuan.api.auth import Allow, Caller, Public
from zhisuan.api.calls import IdempotencyKey, change
from zhisuan.api.paging import Limit
from zhisuan.api.platform import platform_of
from zhisuan.api.schemas import Answer, Body, PageOf, PriceBookView, Words
from zhisuan.base.db import Tx
from zhisuan.base.errors import FieldProblem, InvalidInput
from zhisuan.base.text import Text
from zhisuan.catalog import service as catalog
from zhisuan.catalog.device_classes import load_device_classes
from zhisuan.catalog.price_file import parse_price_book
from zhisuan.catalog.tables import PriceBook as PriceBookRow

router = APIRouter(tags=["catalogue"])


class ClassView(Answer):
    class_id: str
    kind: str
    vendor: str
    model: str
    name: Words
    memory_mib: int | None
    nominal_fp16_tflops_milli: int | None
    published_rate_udu_per_hour: int | None
    rate_basis: str
    confidence: str
    source: str


class CatalogView(Answer):
    version: int
    effective_from: datetime
    book: dict[str, Any]
    device_classes: list[ClassView]


class NewPrices(Body):
    yaml: str = Field(max_length=200_000, description="A price file; catalog/default_prices.yaml is one.")
    effective_from: datetime | None = None


@router.get("/catalog", dependencies=[Depends(Public())])
def public_catalog(request: Request) -> CatalogView:
    """The public prices in force and the device classes they are for."""
    with platform_of(request).database.begin() as tx:
        version, book = catalog.price_book_in_force(tx.session, tx.now)
        row = tx.session.get_one(PriceBookRow, version)
    classes = [
        ClassView(
            class_id=c.class_id, kind=c.kind, vendor=c.vendor, model=c.model, name=Words(en=c.name.en, zh=c.name.zh),
            memory_mib=c.memory_mib, nominal_fp16_tflops_milli=c.nominal_fp16_tflops_milli,
            published_rate_udu_per_hour=book.device_rates.get(c.class_id), rate_basis=c.rate_basis,
            confidence=c.confidence, source=c.source,
        )
        for c in load_device_classes()
    ]  # fmt: skip
    return CatalogView(version=version, effective_from=row.effective_from, book=book.to_json(), device_classes=classes)


@router.get("/price-books")
def price_books(
    request: Request,
    caller: Annotated[Caller, Depends(Allow("platform:catalog:read"))],
    limit: Limit = 50,
    before: int | None = None,
) -> PageOf[PriceBookView]:
    """Every version there was, newest first; ``before`` is the version to go on from."""
    query = select(PriceBookRow).order_by(PriceBookRow.version.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(PriceBookRow.version < before)
    with platform_of(request).database.begin() as tx:
        rows = tx.session.scalars(query).all()
    return PageOf[PriceBookView](
        items=[PriceBookView.model_validate(r) for r in rows[:limit]],
        next_cursor=str(rows[limit - 1].version) if len(rows) > limit else None,
    )


@router.post("/price-books", status_code=201, response_model=PriceBookView)
def publish(
    request: Request,
    body: NewPrices,
    key: IdempotencyKey,
    caller: Annotated[Caller, Depends(Allow("platform:catalog:write"))],
) -> JSONResponse:
    """Publish a new version of all prices, from now or from a later time."""
    book = parse_price_book(body.yaml)
    if body.effective_from is not None and body.effective_from.tzinfo is None:
        raise InvalidInput(
            Text("effective_from has no zone.", "effective_from 缺少时区。"),
            Text(
                "Write it with one, such as 2026-08-01T00:00:00+08:00.", "请带上时区，例如 2026-08-01T00:00:00+08:00。"
            ),
            problems=[FieldProblem("effective_from", Text("needs a zone", "缺少时区"))],
        )

    def work(tx: Tx) -> PriceBookView:
        version = catalog.publish_price_book(tx, book, body.effective_from or tx.now)
        return PriceBookView.model_validate(tx.session.get_one(PriceBookRow, version))

    who = caller.principal
    return change(request, principal=who.org_id, actor=who.user_id, key=key, body=body, work=work, status=201)
