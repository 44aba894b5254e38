"""Closing grants that have expired: what is left becomes breakage once late use can hardly come any more."""

from datetime import timedelta

from sqlalchemy import func, select

from zhisuan.base.db import Tx
from zhisuan.ledger import accounts
from zhisuan.ledger.accounts import Leg
from zhisuan.ledger.posting import balance_of, lock_org, post
from zhisuan.ledger.tables import Balance, Grant

GRACE = timedelta(hours=72)


def close_expired_grants(tx: Tx, *, grace: timedelta = GRACE, limit: int = 1000) -> int:
    """Book what is left of grants that expired more than ``grace`` ago as breakage; returns how many were closed.

    Organisations that are held by somebody else are left for the next call.
    """
    due = tx.session.scalars(
        select(Grant)
        .join(Balance, (Balance.account == func.concat("grant:", Grant.id)) & (Balance.currency == "DU"))
        .where(Grant.expires_at <= tx.now - grace, Balance.amount > 0)
        .order_by(Grant.org_id, Grant.id)
        .limit(limit)
    ).all()
    closed = 0
    for grant in due:
        if not lock_org(tx, grant.org_id, wait=False):
            continue
        left = balance_of(tx.session, accounts.grant(grant.id), "DU")
        money = balance_of(tx.session, accounts.deferred(grant.id))
        if left or money:
            legs = [
                Leg(accounts.grant(grant.id), "DU", -left),
                Leg(accounts.BREAKAGE, "DU", left),
                Leg(accounts.deferred(grant.id), "CNY", -money),
                Leg(accounts.BREAKAGE, "CNY", money),
            ]
            post(tx, "expiry", grant.id, legs, org_id=grant.org_id, memo={"product": grant.product})
            tx.emit("grant.expired", grant.id, {"org_id": grant.org_id, "left_udu": left})
            closed += 1
    return closed
