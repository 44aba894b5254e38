"""The accounts of the books: their names, which may not be overdrawn, and the order they are locked in.

A positive balance is what the platform holds for, or owes to, the account's owner; so a wallet is positive, what a tenant
owes (arrears) negative, and where money and 度 come from (``external:payments``, ``issued:du``) negative.

| account | currency | what it holds |
| --- | --- | --- |
| ``wallet:<org>`` | CNY | prepaid money; never below zero |
| ``arrears:<org>`` | CNY | minus what is owed for work that had run when nothing was left to pay it with |
| ``grant:<id>`` | DU | what is left of a free quota or pack; never below zero |
| ``deferred:<grant>`` | CNY | what was paid for a pack and has not been used up yet; never below zero |
| ``external:payments`` | CNY | minus all money that came in |
| ``issued:du`` / ``consumed:du`` | DU | minus all 度 issued / all 度 used |
| ``promotion`` | CNY | minus what the platform spent on free quota |
| ``breakage`` | both | packs and quota that expired unused |
| ``clearing`` | CNY | value of use that awaits settlement |
| ``rounding`` | CNY | what rounding to the fen has added |
| ``provider:<org>:payable`` / ``…:paid`` | CNY | what a provider is to be paid / has been paid |
| ``platform:fee`` | CNY | the platform's share |
"""

from typing import Literal, NamedTuple

Currency = Literal["CNY", "DU"]

EXTERNAL_PAYMENTS = "external:payments"
ISSUED_DU = "issued:du"
CONSUMED_DU = "consumed:du"
PROMOTION = "promotion"
BREAKAGE = "breakage"
CLEARING = "clearing"
ROUNDING = "rounding"
PLATFORM_FEE = "platform:fee"

SHARED = frozenset({EXTERNAL_PAYMENTS, ISSUED_DU, CONSUMED_DU, PROMOTION, BREAKAGE, CLEARING, ROUNDING, PLATFORM_FEE})
_OWNED = ("wallet", "arrears", "grant", "deferred", "provider")
_NOT_OVERDRAWN = ("wallet", "grant", "deferred")


class Leg(NamedTuple):
    """One side of a transaction: a signed amount in 10⁻⁶ of its currency."""

    account: str
    currency: Currency
    amount: int


def wallet(org_id: str) -> str:
    return f"wallet:{org_id}"


def arrears(org_id: str) -> str:
    return f"arrears:{org_id}"


def grant(grant_id: str) -> str:
    return f"grant:{grant_id}"


def deferred(grant_id: str) -> str:
    return f"deferred:{grant_id}"


def provider_payable(org_id: str) -> str:
    return f"provider:{org_id}:payable"


def floor_of(account: str) -> int | None:
    """The balance that must not be passed downwards, or None. Raises ``ValueError`` for a name that is no account."""
    owner, _, rest = account.partition(":")
    if account not in SHARED and (owner not in _OWNED or not rest):
        raise ValueError(f"{account!r} is not an account of the books")
    return 0 if owner in _NOT_OVERDRAWN else None


def lock_order(account: str) -> tuple[bool, str]:
    """Sort key: owned accounts first, then the shared ones that every transaction touches, so these are held shortest
    and no two transactions wait for each other in a circle."""
    return account in SHARED, account


def into_wallet(org_id: str, amount_ucny: int, balance_of_arrears: int) -> list[Leg]:
    """Money that comes to a tenant pays what is owed first; the rest goes into the wallet."""
    owed = min(amount_ucny, max(0, -balance_of_arrears))
    return [Leg(arrears(org_id), "CNY", owed), Leg(wallet(org_id), "CNY", amount_ucny - owed)]
