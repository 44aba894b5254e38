"""The use cases of this package."""

from zhisuan.usage.accounts import account_counts, judge_again, list_accounts, reconcile_accounts, take_accounts
from zhisuan.usage.intake import accept_token_events, accept_windows
from zhisuan.usage.quarantine import QuarantinedEvent, list_quarantined
from zhisuan.usage.reading import (
    LeaseTerms,
    LeaseUsage,
    TotalsMismatch,
    UnratedTokens,
    UnratedWindow,
    UsageShape,
    check_totals,
    lease_terms,
    lease_usage,
    orgs_with_unrated,
    take_unrated_tokens,
    take_unrated_windows,
    usage_shapes,
)
from zhisuan.usage.replay import Replayed, replay_quarantined

__all__ = [
    "LeaseTerms",
    "LeaseUsage",
    "QuarantinedEvent",
    "Replayed",
    "TotalsMismatch",
    "UnratedTokens",
    "UnratedWindow",
    "UsageShape",
    "account_counts",
    "accept_token_events",
    "accept_windows",
    "check_totals",
    "judge_again",
    "lease_terms",
    "lease_usage",
    "list_accounts",
    "list_quarantined",
    "orgs_with_unrated",
    "reconcile_accounts",
    "replay_quarantined",
    "take_accounts",
    "take_unrated_tokens",
    "take_unrated_windows",
    "usage_shapes",
]
