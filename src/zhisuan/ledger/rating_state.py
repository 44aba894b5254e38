"""What a batch is rated with: the terms of its leases, the grants of its organisation, and how far rounding has come."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session, aliased

from zhisuan.catalog.price_book import DedicatedTokens
from zhisuan.catalog.service import price_books, quotes
from zhisuan.ledger.rules import GrantState, PaidTotal, Terms
from zhisuan.ledger.tables import Balance, Grant, RatedTotal
from zhisuan.usage.rules import epoch_second
from zhisuan.usage.service import lease_terms

TIME, TOKENS = "time", "tokens"
TotalKey = tuple[str, str]
"""Lease id and kind of charge."""


class LeaseRating(NamedTuple):
    """What every charge of a lease carries, and what it is computed from."""

    provider_id: str
    price_book_version: int
    platform_fee_ppm: int
    terms: Terms
    tokens: DedicatedTokens
    has_fault: bool


class Unrateable(Exception):
    """An event refers to something that is not there."""


def lease_ratings(session: Session, lease_ids: Collection[str]) -> dict[str, LeaseRating]:
    """By lease id. Raises ``Unrateable`` where a lease or its quote is not there."""
    leases = lease_terms(session, lease_ids)
    quoted = quotes(session, [lease.quote_id for lease in leases.values()])
    books = price_books(session, [quote.price_book_version for quote in quoted.values()])
    found = {}
    for lease_id in lease_ids:
        lease = leases.get(lease_id)
        quote = quoted.get(lease.quote_id) if lease else None
        if lease is None or quote is None:
            missing = f"its quote {lease.quote_id}" if lease else "the lease itself"
            raise Unrateable(f"use of lease {lease_id} cannot be rated: {missing} is not in the database")
        book = books[quote.price_book_version]
        terms = Terms(
            lease.rate_udu_per_hour, lease.active_from, quote.price_e8_per_du, book.free_quota.provider_value_ppm
        )
        found[lease_id] = LeaseRating(
            lease.provider_id, quote.price_book_version, quote.platform_fee_ppm, terms, book.tokens.dedicated,
            lease.fault is not None,
        )  # fmt: skip
    return found


def grant_states(session: Session, org_id: str) -> list[GrantState]:
    """The organisation's grants that have something left."""
    left, money = aliased(Balance), aliased(Balance)
    rows = session.execute(
        select(Grant, left.amount, func.coalesce(money.amount, 0))
        .join(left, (left.account == func.concat("grant:", Grant.id)) & (left.currency == "DU"))
        .outerjoin(money, (money.account == func.concat("deferred:", Grant.id)) & (money.currency == "CNY"))
        .where(Grant.org_id == org_id, left.amount > 0)
    )
    return [
        GrantState(
            id=grant.id, priority=grant.priority, starts_at=epoch_second(grant.starts_at),
            expires_at=None if grant.expires_at is None else epoch_second(grant.expires_at),
            created_at=epoch_second(grant.created_at), quantity_udu=grant.quantity_udu, paid_ucny=grant.paid_ucny,
            left_udu=left_udu, deferred_ucny=deferred,
        )
        for grant, left_udu, deferred in rows
    ]  # fmt: skip


def rated_totals(session: Session, leases: Mapping[str, LeaseRating]) -> dict[TotalKey, PaidTotal]:
    """What of these leases has been rated before, for each kind of metered charge."""
    kept = session.execute(
        select(RatedTotal.lease_id, RatedTotal.kind, RatedTotal.paid_udu, RatedTotal.token_udu_e6).where(
            RatedTotal.lease_id.in_(list(leases))
        )
    )
    before = {(row.lease_id, row.kind): (row.paid_udu, row.token_udu_e6) for row in kept}
    return {
        (lease_id, kind): PaidTotal.after(*before.get((lease_id, kind), (0, 0)), lease.terms.price_e8_per_du)
        for lease_id, lease in leases.items()
        for kind in (TIME, TOKENS)
    }


def keep_totals(session: Session, totals: Mapping[TotalKey, PaidTotal]) -> None:
    """Write down how far rating has come, for the next batch."""
    statement = postgresql.insert(RatedTotal)
    rows = [
        {"lease_id": lease_id, "kind": kind, "paid_udu": total.paid_udu, "token_udu_e6": total.token_udu_e6}
        for (lease_id, kind), total in totals.items()
        if total.paid_udu or total.token_udu_e6
    ]
    if not rows:
        return
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["lease_id", "kind"],
            set_={"paid_udu": statement.excluded.paid_udu, "token_udu_e6": statement.excluded.token_udu_e6},
        ),
        rows,
    )
