"""Turning usage into charges: each event once, in batches of one organisation, all or nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from zhisuan.base.db import Tx
from zhisuan.base.errors import NotFound
from zhisuan.ledger import accounts
from zhisuan.ledger.accounts import Leg
from zhisuan.ledger.bulk import write_charges
from zhisuan.ledger.credits import credit_lease
from zhisuan.ledger.posting import balance_of, lock_org, post
from zhisuan.ledger.rating_state import (
    TIME,
    TOKENS,
    LeaseRating,
    TotalKey,
    Unrateable,
    grant_states,
    keep_totals,
    lease_ratings,
    rated_totals,
)
from zhisuan.ledger.rules import GrantState, PaidTotal, Purses, Slice, token_udu_e6
from zhisuan.usage.service import (
    UnratedTokens,
    UnratedWindow,
    orgs_with_unrated,
    take_unrated_tokens,
    take_unrated_windows,
)

Event = UnratedWindow | UnratedTokens

ORGS_MAX = 100
UDU_E6_PER_UDU = 1_000_000
UPSTREAM_FAILED = "upstream_failed"
LATE_USAGE = "use of a lease that was broken off by fault of the platform or the provider"


@dataclass(frozen=True, slots=True)
class RatingProblem:
    """An organisation whose usage cannot be rated, and why. Its events stay unrated."""

    org_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class RatingResult:
    """What one pass did. ``busy`` organisations were just held by somebody else. ``credited`` charges were of leases
    with a fault and have been given back at once. ``more`` says that calling again with ``after`` finds work."""

    charges: int
    orgs: tuple[str, ...]
    busy: tuple[str, ...]
    credited: int
    problems: tuple[RatingProblem, ...]
    after: str
    more: bool


@dataclass(frozen=True, slots=True)
class _Batch:
    org_id: str
    transaction_id: str
    cause: str
    charges: int
    legs: list[Leg]
    faulted: list[str]


def rate_pending(tx: Tx, limit: int = 5000, *, after: str = "") -> RatingResult:
    """Rate what has been metered: up to ``limit`` windows and ``limit`` model calls, by organisation, from the one after
    ``after`` round to it (so that nobody waits behind a large neighbour).

    An organisation is held while its batch is rated, so any number of raters may run: one that finds it held goes
    on to the next. Grants pay in burn order, then the wallet, and what is left becomes arrears. Charges, slices,
    entries and the mark on each event are written in the caller's transaction: all or none.
    """
    batches: list[_Batch] = []
    busy: list[str] = []
    problems: list[RatingProblem] = []
    left = limit
    last = ""
    waiting = _waiting_orgs(tx.session, after)
    for org_id in waiting:
        if left <= 0:
            break
        last = org_id
        try:
            with tx.session.begin_nested():
                if not lock_org(tx, org_id, wait=False):
                    busy.append(org_id)
                    continue
                batch = _rate_org(tx, org_id, left)
        except (Unrateable, NotFound) as error:
            problems.append(RatingProblem(org_id, str(error)))
            continue
        if batch is not None:
            batches.append(batch)
            left -= batch.charges
    for batch in batches:
        post(
            tx, "rating", batch.cause, batch.legs, org_id=batch.org_id, ident=batch.transaction_id,
            memo={"charges": batch.charges},
        )  # fmt: skip
        tx.emit("usage.rated", batch.org_id, {"charges": batch.charges, "transaction_id": batch.transaction_id})
    faulted = [lease_id for batch in batches for lease_id in batch.faulted]
    credited = sum(len(credit_lease(tx, lease_id, LATE_USAGE, tx.actor)) for lease_id in faulted)
    charges = sum(batch.charges for batch in batches)
    return RatingResult(
        charges=charges, orgs=tuple(batch.org_id for batch in batches), busy=tuple(busy), credited=credited,
        problems=tuple(problems), after=last, more=bool(charges) and (left <= 0 or len(waiting) == ORGS_MAX),
    )  # fmt: skip


def _waiting_orgs(session: Session, after: str) -> list[str]:
    """Organisations with unrated events, beginning after ``after`` and going round."""
    first = orgs_with_unrated(session, after=after, limit=ORGS_MAX)
    if not after or len(first) == ORGS_MAX:
        return first
    return first + [org for org in orgs_with_unrated(session, limit=ORGS_MAX - len(first)) if org <= after]


def _rate_org(tx: Tx, org_id: str, limit: int) -> _Batch | None:
    windows = take_unrated_windows(tx.session, org_id, limit)
    calls = take_unrated_tokens(tx.session, org_id, limit)
    if not windows and not calls:
        return None
    lease_ids = {w.lease_id for w in windows} | {c.lease_id for c in calls}
    leases = lease_ratings(tx.session, lease_ids)
    totals = rated_totals(tx.session, leases)
    grants = grant_states(tx.session, org_id)
    before = {grant.id: (grant.left_udu, grant.deferred_ucny) for grant in grants}
    purses = Purses(grants, balance_of(tx.session, accounts.wallet(org_id)))
    transaction_id = tx.ids.new("txn")
    charges: list[tuple[Any, ...]] = []
    slices: list[tuple[str, list[Slice]]] = []
    for event in _in_order(windows, calls):
        lease = leases[event.lease_id]
        kind, subject, seconds, tokens, quantity = _use(event, lease, totals)
        total = totals[event.lease_id, kind]
        parts = purses.pay(event.second, event.second + seconds, quantity, lease.terms, total)
        value = cash = 0
        for part in parts:
            value += part.value_ucny
            cash += part.cash_ucny
        ident = tx.ids.new("chg")
        slices.append((ident, parts))
        charges.append((
            ident, org_id, event.source, event.id, kind, event.lease_id, lease.provider_id, subject, event.at, seconds,
            tokens, quantity, value, cash, lease.platform_fee_ppm, lease.price_book_version, lease.terms.price_e8_per_du,
            transaction_id,
        ))  # fmt: skip
    write_charges(tx.session, charges, slices)
    keep_totals(tx.session, totals)
    faulted = sorted(lease_id for lease_id in lease_ids if leases[lease_id].has_fault)
    return _Batch(org_id, transaction_id, charges[0][0], len(charges), _legs(org_id, purses, grants, before), faulted)


def _in_order(windows: list[UnratedWindow], calls: list[UnratedTokens]) -> list[Event]:
    """As the use happened."""
    events: list[Event] = [*windows, *calls]
    if windows and calls:
        events.sort(key=lambda event: (event.second, event.lease_id))
    return events


def _use(event: Event, lease: LeaseRating, totals: Mapping[TotalKey, PaidTotal]) -> tuple[str, str, int, int, int]:
    """What an event comes to before it is paid: kind of charge, subject, seconds, tokens, 10⁻⁶ 度."""
    if isinstance(event, UnratedWindow):
        return TIME, event.lease_id, event.seconds, 0, event.quantity_udu
    total = totals[event.lease_id, TOKENS]
    before = total.token_udu_e6
    if event.outcome != UPSTREAM_FAILED:
        total.token_udu_e6 += token_udu_e6(
            lease.tokens, event.input_tokens, event.cached_input_tokens, event.output_tokens
        )
    quantity = total.token_udu_e6 // UDU_E6_PER_UDU - before // UDU_E6_PER_UDU
    return TOKENS, event.deployment_id, 0, event.input_tokens + event.output_tokens, quantity


def _legs(org_id: str, purses: Purses, grants: Iterable[GrantState], before: dict[str, tuple[int, int]]) -> list[Leg]:
    legs = [
        Leg(accounts.PROMOTION, "CNY", -purses.free_value_ucny),
        Leg(accounts.wallet(org_id), "CNY", -purses.wallet_paid_ucny),
        Leg(accounts.arrears(org_id), "CNY", -purses.arrears_ucny),
        Leg(accounts.ISSUED_DU, "DU", -purses.on_demand_udu),
    ]
    for grant in grants:
        left_udu, deferred_ucny = before[grant.id]
        legs.append(Leg(accounts.grant(grant.id), "DU", grant.left_udu - left_udu))
        legs.append(Leg(accounts.deferred(grant.id), "CNY", grant.deferred_ucny - deferred_ucny))
    legs.append(Leg(accounts.CLEARING, "CNY", -sum(leg.amount for leg in legs if leg.currency == "CNY")))
    legs.append(Leg(accounts.CONSUMED_DU, "DU", -sum(leg.amount for leg in legs if leg.currency == "DU")))
    return legs
