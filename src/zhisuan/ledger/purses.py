"""Money and grants of an organisation: opening the account, topping up, buying packs, and what there is to spend."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session, aliased

from zhisuan.base.clock import whole_second
from zhisuan.base.db import Tx
from zhisuan.base.errors import Conflict, InvalidInput, NotFound, PaymentRequired
from zhisuan.base.money import Money, decimal_text
from zhisuan.base.text import Text
from zhisuan.catalog.service import price_book_in_force
from zhisuan.catalog.tables import Order
from zhisuan.ledger import accounts
from zhisuan.ledger.accounts import Leg, into_wallet
from zhisuan.ledger.posting import balance_of, lock_org, post
from zhisuan.ledger.rules import affordable_udu
from zhisuan.ledger.tables import Balance, Grant, TopUp
from zhisuan.tenancy.tables import Organisation

FREE_QUOTA = "free-quota"
PRIORITY = 100
TOP_UP_UCNY_MAX = 10**15
PACKS_MAX = 100_000
SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True)
class GrantLeft:
    """A grant and what is left of it."""

    grant_id: str
    kind: str
    product: str
    quantity_udu: int
    left_udu: int
    starts_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Funds:
    """What an organisation can spend. ``arrears_ucny`` is what it owes, zero or more. ``grants`` can be used at the time
    asked about, in burn order."""

    org_id: str
    wallet_ucny: int
    arrears_ucny: int
    grants: tuple[GrantLeft, ...]

    @property
    def granted_udu(self) -> int:
        return sum(grant.left_udu for grant in self.grants)

    def spendable_udu(self, price_e8_per_du: int) -> int:
        """度 that grants and wallet cover at this price."""
        return self.granted_udu + affordable_udu(0, self.wallet_ucny, price_e8_per_du)


def open_account(tx: Tx, org_id: str) -> None:
    """Make the organisation's wallet; a tenant gets the free quota of the price book in force, once. Repeating it changes
    nothing. Raises ``NotFound`` for an unknown organisation."""
    lock_org(tx, org_id)
    had = tx.session.scalar(select(Grant.id).where(Grant.org_id == org_id, Grant.product == FREE_QUOTA))
    if had is not None or tx.session.get_one(Organisation, org_id).kind != "tenant":
        return
    _, book = price_book_in_force(tx.session, tx.now)
    if book.free_quota.quantity_udu:
        quota = book.free_quota
        grant = _add_grant(tx, org_id, "free", FREE_QUOTA, quota.quantity_udu, quota.valid_days)
        post(tx, "grant", grant.id, _issue(grant), org_id=org_id, memo={"product": FREE_QUOTA})
        tx.emit("grant.issued", grant.id, {"org_id": org_id, "product": FREE_QUOTA, "quantity_udu": grant.quantity_udu})


def top_up(tx: Tx, org_id: str, amount: Money, channel: str, reference: str, by: str) -> TopUp:
    """Put money that came through a payment channel into the wallet; what is owed is paid first.

    (``channel``, ``reference``) is its identity: the same top-up again gives the first one, with another amount or
    organisation it raises ``Conflict``. Raises ``InvalidInput`` for an amount that is not above zero.
    """
    if not 0 < amount.ucny <= TOP_UP_UCNY_MAX or not channel or not reference:
        raise InvalidInput(
            Text(f"A top-up of {amount} yuan is not possible.", f"无法充值 {amount} 元。"),
            Text("Give an amount above zero, and the channel and reference of the payment.", "请给出大于零的金额，以及支付渠道和支付流水号。"),
        )  # fmt: skip
    lock_org(tx, org_id)
    values = {
        "id": tx.ids.new("top"), "org_id": org_id, "channel": channel, "reference": reference, "amount_ucny": amount.ucny,
        "at": tx.now, "by": by,
    }  # fmt: skip
    statement = postgresql.insert(TopUp).values(values).on_conflict_do_nothing().returning(TopUp.id)
    is_new = tx.session.scalar(statement) is not None
    row = tx.session.scalars(select(TopUp).where(TopUp.channel == channel, TopUp.reference == reference)).one()
    if (row.org_id, row.amount_ucny) != (org_id, amount.ucny):
        raise Conflict(
            Text(f"The payment {reference} of {channel} was booked before, for another amount or account.",
                 f"支付流水 {channel}/{reference} 此前已入账，但金额或账户不同。"),
            Text("Check the reference; every payment has its own.", "请核对支付流水号；每笔支付的流水号各不相同。"),
            code="reference_used",
        )  # fmt: skip
    if is_new:
        owed = balance_of(tx.session, accounts.arrears(org_id))
        legs = [Leg(accounts.EXTERNAL_PAYMENTS, "CNY", -amount.ucny), *into_wallet(org_id, amount.ucny, owed)]
        post(tx, "top_up", row.id, legs, org_id=org_id, memo={"channel": channel, "reference": reference})
        tx.emit("wallet.topped_up", org_id, {"top_up_id": row.id, "amount_ucny": amount.ucny})
    return row


def buy_pack(tx: Tx, org_id: str, product: str, quantity: int, by: str) -> Order:
    """Buy ``quantity`` packs of a product, paid whole from the wallet, usable from now on.

    Raises ``NotFound`` for a product that is not sold, ``PaymentRequired`` when the wallet does not cover it.
    """
    version, book = price_book_in_force(tx.session, tx.now)
    pack = book.pack(product)
    if pack is None:
        raise NotFound.of(Text("product", "产品"), product)
    if not 1 <= quantity <= PACKS_MAX:
        raise InvalidInput(
            Text(f"{quantity} packs cannot be ordered.", f"无法订购 {quantity} 份算力包。"),
            Text(f"Order 1 to {PACKS_MAX}.", f"请订购 1 到 {PACKS_MAX} 份。"),
        )
    lock_org(tx, org_id)
    price = pack.price_ucny * quantity
    balance = balance_of(tx.session, accounts.wallet(org_id))
    if balance < price:
        raise _wallet_short(pack.name.en, pack.name.zh, price, balance)
    order = Order(
        id=tx.ids.new("ord"), org_id=org_id, product=product, price_book_version=version, quantity=quantity, amount_ucny=price,
        quantity_udu=pack.quantity_udu * quantity, at=tx.now, by=by,
    )  # fmt: skip
    tx.session.add(order)
    grant = _add_grant(tx, org_id, "pack", product, order.quantity_udu, pack.valid_days, order)
    paid = [Leg(accounts.wallet(org_id), "CNY", -price), Leg(accounts.deferred(grant.id), "CNY", price)]
    post(tx, "order", order.id, [*paid, *_issue(grant)], org_id=org_id, memo={"product": product, "grant_id": grant.id})
    tx.emit("order.paid", order.id, {"org_id": org_id, "product": product, "quantity": quantity, "amount_ucny": price})
    return order


def funds(session: Session, org_id: str, at: datetime) -> Funds:
    """What the organisation can spend at ``at``; nothing for one without an account."""
    rows = session.execute(
        select(Grant, Balance.amount)
        .join(Balance, (Balance.account == func.concat("grant:", Grant.id)) & (Balance.currency == "DU"))
        .where(Grant.org_id == org_id, Balance.amount > 0, _is_valid(at))
        .order_by(Grant.priority, Grant.expires_at.asc().nulls_last(), Grant.paid_ucny > 0, Grant.created_at, Grant.id)
    )
    grants = tuple(
        GrantLeft(g.id, g.kind, g.product, g.quantity_udu, left, g.starts_at, g.expires_at) for g, left in rows
    )
    named = select(Balance.account, Balance.amount).where(
        Balance.account.in_([accounts.wallet(org_id), accounts.arrears(org_id)]), Balance.currency == "CNY"
    )
    held: dict[str, int] = dict(session.execute(named).all())
    wallet, owed = held.get(accounts.wallet(org_id), 0), held.get(accounts.arrears(org_id), 0)
    return Funds(org_id, wallet, max(0, -owed), grants)


def require_funds(there: Funds, rate_udu_per_hour: int, price_e8_per_du: int, seconds: int = 60) -> None:
    """Raises ``PaymentRequired`` when the purses do not cover the first ``seconds`` at this rate and price."""
    needed = -(-rate_udu_per_hour * seconds // SECONDS_PER_HOUR)
    if there.spendable_udu(price_e8_per_du) >= needed:
        return
    need, have = decimal_text(needed, 6), decimal_text(there.granted_udu, 6)
    wallet, owed = Money(there.wallet_ucny), Money(there.arrears_ucny)
    raise PaymentRequired(
        Text(f"Running this takes {need} 度 for its first {seconds} s; the account has {have} 度 of quota and packs, "
             f"{wallet} yuan in the wallet and owes {owed} yuan.",
             f"运行前 {seconds} 秒需要 {need} 度；账户现有额度与算力包 {have} 度、钱包余额 {wallet} 元、欠费 {owed} 元。"),
        Text("Top up the wallet or buy a compute pack, then start it again.", "请充值或购买算力包后重新启动。"),
        code="empty_wallet",
        extra={"needed_udu": needed, "granted_udu": there.granted_udu, "wallet_ucny": there.wallet_ucny,
               "arrears_ucny": there.arrears_ucny},
    )  # fmt: skip


def exhausted_orgs(session: Session, at: datetime, among: list[str] | None = None) -> list[str]:
    """Organisations whose purses are all empty at ``at``, by id: no grant that can be used, and a wallet that is empty or
    could not pay for the last use (something is owed). Their work should stop. ``among`` limits the question."""
    wallet, owed = aliased(Balance), aliased(Balance)
    org_id = func.substr(wallet.account, len("wallet:") + 1)
    usable = (
        select(Grant.id)
        .join(Balance, (Balance.account == func.concat("grant:", Grant.id)) & (Balance.currency == "DU"))
        .where(Grant.org_id == org_id, Balance.amount > 0, _is_valid(at))
    )
    query = (
        select(org_id)
        .join(owed, (owed.account == func.concat("arrears:", org_id)) & (owed.currency == "CNY"))
        .where(wallet.currency == "CNY", or_(wallet.amount == 0, owed.amount < 0), ~usable.exists())
    )
    if among is None:
        query = query.where(wallet.account.startswith("wallet:"))
    else:
        query = query.where(wallet.account.in_([accounts.wallet(org) for org in among]))
    return sorted(session.scalars(query))


def _is_valid(at: datetime) -> ColumnElement[bool]:
    return (Grant.starts_at <= at) & or_(Grant.expires_at.is_(None), Grant.expires_at > at)


def _add_grant(
    tx: Tx, org_id: str, kind: str, product: str, quantity_udu: int, valid_days: int | None, order: Order | None = None
) -> Grant:
    starts_at = whole_second(tx.now)
    grant = Grant(
        id=tx.ids.new("grt"), org_id=org_id, kind=kind, product=product, order_id=order.id if order else None,
        priority=PRIORITY, quantity_udu=quantity_udu, paid_ucny=order.amount_ucny if order else 0, created_at=tx.now,
        starts_at=starts_at, expires_at=None if valid_days is None else starts_at + timedelta(days=valid_days),
    )  # fmt: skip
    tx.session.add(grant)
    tx.session.flush()
    return grant


def _issue(grant: Grant) -> list[Leg]:
    return [
        Leg(accounts.ISSUED_DU, "DU", -grant.quantity_udu),
        Leg(accounts.grant(grant.id), "DU", grant.quantity_udu),
    ]


def _wallet_short(en: str, zh: str, price_ucny: int, balance_ucny: int) -> PaymentRequired:
    price, balance, missing = Money(price_ucny), Money(balance_ucny), Money(price_ucny - balance_ucny)
    return PaymentRequired(
        Text(f"{en} costs {price} yuan; the wallet holds {balance} yuan, {missing} yuan are missing.",
             f"{zh}需 {price} 元；钱包余额 {balance} 元，还差 {missing} 元。"),
        Text("Top up the wallet and order again.", "请充值后重新下单。"),
        code="empty_wallet",
        extra={"price_ucny": price_ucny, "wallet_ucny": balance_ucny, "missing_ucny": missing.ucny},
    )  # fmt: skip
