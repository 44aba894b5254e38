"""What may be counted, and how much 度 it is. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from zhisuan.base.clock import CLOCK_SKEW
from zhisuan.wire.gateway import TokenUsage
from zhisuan.wire.site import UsageWindow

SECONDS_PER_HOUR = 3600
SECONDS_PER_MINUTE = 60
CLOCK_AHEAD_WAITED_FOR = timedelta(hours=1)
AGE_MAX = timedelta(days=90)
TEXT_LENGTH_MAX = 300
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class LeaseFacts:
    """What judging an event needs to know of its lease; ``active_from`` and ``active_to`` in seconds since 1970."""

    lease_id: str
    generation: int
    org_id: str
    site_id: str
    rate_udu_per_hour: int
    active_from: int | None
    active_to: int | None
    closed: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an event is kept aside; ``retry`` marks one that is only early."""

    code: str
    reason: str
    retry: bool = False


NOT_ACTIVE_YET = Refusal("not_active_yet", "the lease has not become active here yet", retry=True)
NEVER_ACTIVE = Refusal("never_active", "the lease was closed before it had become active here")
ID_REUSED = Refusal("id_reused", "another event with this id and another body has been counted already")
OVERLAP = Refusal("overlap", "this lease has another window in the same minute already")


def epoch_second(at: datetime) -> int:
    """Whole seconds since 1970, cut down."""
    return (at - EPOCH) // _SECOND


def quantity_until_udu(rate_udu_per_hour: int, seconds: int) -> int:
    """10⁻⁶ 度 of the first ``seconds`` of a lease, cut down: the one formula of metered quantity.

    >>> quantity_until_udu(25_000, 3600)
    25000
    """
    return rate_udu_per_hour * seconds // SECONDS_PER_HOUR


def span_quantity_udu(rate_udu_per_hour: int, active_from: int, start: int, end: int) -> int:
    """Cumulative after minus cumulative before: spans of a lease add up to its exact total, cut where they may be."""
    return quantity_until_udu(rate_udu_per_hour, end - active_from) - quantity_until_udu(
        rate_udu_per_hour, start - active_from
    )


def is_storable(value: str) -> bool:
    """Whether a text can be kept as it is: printable, not empty and not overlong."""
    return 0 < len(value) <= TEXT_LENGTH_MAX and value.isprintable()


def judge_window(window: UsageWindow, site_id: str, lease: LeaseFacts | None, now: datetime) -> Refusal | None:
    """None when the window may be counted. A lease of another site is answered like an unknown one."""
    if not is_storable(window.id):
        return Refusal("bad_text", "the id is empty, overlong or not printable")
    if lease is None or lease.site_id != site_id:
        return Refusal("unknown_lease", f"this site has no lease {window.lease_id[:TEXT_LENGTH_MAX]!r}")
    if window.generation != lease.generation:
        return Refusal(
            "wrong_generation", f"the window is of generation {window.generation}, the lease of {lease.generation}"
        )
    if window.start.microsecond or window.end.microsecond:
        return Refusal("not_whole_seconds", "metered time starts and ends on whole seconds")
    if window.end <= window.start:
        return Refusal("empty", "the window does not end after its start")
    start, end = epoch_second(window.start), epoch_second(window.end)
    if start // SECONDS_PER_MINUTE != (end - 1) // SECONDS_PER_MINUTE:
        return Refusal("crosses_minute", "the window does not lie inside one minute")
    if window.end < now - AGE_MAX:
        return Refusal("too_late", f"the window is older than {AGE_MAX.days} days")
    if lease.active_from is None:
        return NEVER_ACTIVE if lease.closed else NOT_ACTIVE_YET
    if start < lease.active_from or (lease.active_to is not None and end > lease.active_to):
        return Refusal("outside_active", "the window is not within the time the lease was active")
    if window.end > now + CLOCK_SKEW:
        # A site's clock some minutes ahead: its agent keeps the window and sends it again until its time has come.
        early = window.end <= now + CLOCK_AHEAD_WAITED_FOR
        text = f"the window ends after {now.isoformat()}, the time it was received at"
        return Refusal("in_future", text, retry=early)
    return None


def judge_tokens(event: TokenUsage, lease: LeaseFacts | None, now: datetime) -> Refusal | None:
    """None when the event may be counted. A lease of another organisation is answered like an unknown one."""
    if not all(map(is_storable, (event.id, event.key_id, event.deployment_id, event.model, event.project_id or "-"))):
        return Refusal("bad_text", "a text of the event is empty, overlong or not printable")
    if lease is None or lease.org_id != event.org_id:
        return Refusal("unknown_lease", f"organisation {event.org_id!r} has no lease {event.lease_id!r}")
    if event.cached_input_tokens > event.input_tokens:
        return Refusal("cached_above_input", "more input tokens are reported as cached than there were")
    if max(event.input_tokens, event.output_tokens, event.duration_ms) >= 2**40:
        return Refusal("too_large", "a count is too large to be one model call")
    if event.at > now + CLOCK_SKEW:
        return Refusal("in_future", f"the call ended after {now.isoformat()}, the time it was received at")
    if event.at < now - AGE_MAX:
        return Refusal("too_late", f"the call is older than {AGE_MAX.days} days")
    return None
