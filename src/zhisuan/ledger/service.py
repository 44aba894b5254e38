"""The use cases of this package."""

from zhisuan.ledger.accounts import Leg
from zhisuan.ledger.books import (
    AccountBalance,
    Disagreement,
    TrialBalance,
    balances,
    check_charges,
    rebuild_balances_check,
    trial_balance,
)
from zhisuan.ledger.credits import credit_lease
from zhisuan.ledger.expiry import close_expired_grants
from zhisuan.ledger.invoicing import issue_invoice
from zhisuan.ledger.posting import Unbalanced, balance_of, post
from zhisuan.ledger.purses import Funds, GrantLeft, buy_pack, exhausted_orgs, funds, open_account, require_funds, top_up
from zhisuan.ledger.rating import RatingProblem, RatingResult, rate_pending
from zhisuan.ledger.reading import (
    InvoiceWithLines,
    charge_of_event,
    get_charge,
    get_invoice,
    get_invoice_line,
    list_charges,
    list_grants,
    list_invoices,
    list_top_ups,
    slices_of,
)

__all__ = [
    "AccountBalance",
    "Disagreement",
    "Funds",
    "GrantLeft",
    "InvoiceWithLines",
    "Leg",
    "RatingProblem",
    "RatingResult",
    "TrialBalance",
    "Unbalanced",
    "balance_of",
    "balances",
    "buy_pack",
    "charge_of_event",
    "check_charges",
    "close_expired_grants",
    "credit_lease",
    "exhausted_orgs",
    "funds",
    "get_charge",
    "get_invoice",
    "get_invoice_line",
    "issue_invoice",
    "list_charges",
    "list_grants",
    "list_invoices",
    "list_top_ups",
    "open_account",
    "post",
    "rate_pending",
    "rebuild_balances_check",
    "require_funds",
    "slices_of",
    "top_up",
    "trial_balance",
]
