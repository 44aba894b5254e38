"""Wallets, packs and payments."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import Field
from sqlalchemy import select

from zhisuan.api.auth import Allow, Caller
from zhisuan.api.calls import IdempotencyKey, change
from zhisuan.api.paging import Cursor, Limit, paged
from zhisuan.api.platform import platform_of
from zhisuan.api.schemas import Body, GrantView, OrderView, PageOf, TopUpView, WalletView
from zhisuan.base.db import Tx
from zhisuan.base.errors import FieldProblem, InvalidInput, NotFound
from zhisuan.base.money import Money
from zhisuan.base.text import Text
from zhisuan.catalog import service as catalog
from zhisuan.catalog.tables import Order
from zhisuan.ledger import service as ledger
from zhisuan.ledger.tables import Grant
from zhisuan.tenancy.tables import Organisation

router = APIRouter(tags=["wallet"])
Reader = Annotated[Caller, Depends(Allow("org:wallet:read"))]
Owner = Annotated[Caller, Depends(Allow("org:wallet:write"))]


class NewOrder(Body):
    product: str = Field(max_length=40)
    quantity: int = Field(default=1, ge=1, le=10_000)


class NewTopUp(Body):
    amount_yuan: str = Field(pattern=r"^\d{1,9}(\.\d{1,2})?$", description="Yuan with at most two decimals.")
    channel: Literal["bank_transfer", "cash", "other_offline"] = "bank_transfer"
    reference: str = Field(min_length=1, max_length=100, description="The payment's own reference; it counts once.")


def wallet_view(tx: Tx, org_id: str) -> WalletView:
    _, book = catalog.price_book_in_force(tx.session, tx.now)
    funds = ledger.funds(tx.session, org_id, tx.now)
    price = book.on_demand_price_e8_per_du
    return WalletView(
        wallet_ucny=funds.wallet_ucny, arrears_ucny=funds.arrears_ucny, spendable_udu=funds.spendable_udu(price),
        price_e8_per_du=price, grants=[
            GrantView(
                id=g.grant_id, kind=g.kind, product=g.product, quantity_udu=g.quantity_udu, left_udu=g.left_udu,
                created_at=g.starts_at, expires_at=g.expires_at,
            )
            for g in funds.grants
        ],
    )  # fmt: skip


@router.get("/wallet")
def wallet(request: Request, caller: Reader) -> WalletView:
    """What the organisation can spend: wallet, free quota and packs."""
    with platform_of(request).database.begin() as tx:
        return wallet_view(tx, caller.principal.org_id)


@router.post("/orders", status_code=201, response_model=OrderView)
def buy(request: Request, body: NewOrder, key: IdempotencyKey, caller: Owner) -> JSONResponse:
    """Buy compute packs from the catalogue, paid from the wallet at once."""
    who = caller.principal

    def work(tx: Tx) -> OrderView:
        order = ledger.buy_pack(tx, who.org_id, body.product, body.quantity, who.user_id)
        grant_id = tx.session.scalar(select(Grant.id).where(Grant.order_id == order.id))
        return OrderView.model_validate(order).model_copy(update={"grant_id": grant_id})

    return change(request, principal=who.org_id, actor=who.user_id, key=key, body=body, work=work, status=201)


@router.get("/orders")
def orders(request: Request, caller: Reader, limit: Limit = 50, cursor: Cursor = None) -> PageOf[OrderView]:
    with platform_of(request).database.begin() as tx:
        query = select(Order).where(Order.org_id == caller.principal.org_id)
        return paged(tx, query, Order.id, OrderView.model_validate, limit, cursor)


@router.post("/organisations/{org_id}/top-ups", status_code=201, response_model=TopUpView)
def top_up(
    request: Request,
    org_id: str,
    body: NewTopUp,
    key: IdempotencyKey,
    caller: Annotated[Caller, Depends(Allow("platform:payment:write"))],
) -> JSONResponse:
    """The operator records money that arrived outside the platform; one reference counts once."""
    who = caller.principal
    amount = Money.yuan(body.amount_yuan)
    if amount.ucny <= 0:
        raise InvalidInput(
            Text("A top-up must be more than zero.", "充值金额必须大于零。"),
            Text("Give the amount that arrived.", "请填写实际到账金额。"),
            problems=[FieldProblem("amount_yuan", Text("must be more than zero", "必须大于零"))],
        )

    def work(tx: Tx) -> TopUpView:
        org = tx.session.get(Organisation, org_id)
        if org is None or org.kind != "tenant":
            raise NotFound.of(Text("tenant", "租户"), org_id)
        made = ledger.top_up(tx, org_id, amount, body.channel, body.reference, who.user_id)
        return TopUpView.model_validate(made)

    return change(request, principal=who.org_id, actor=who.user_id, key=key, body=body, work=work, status=201)
