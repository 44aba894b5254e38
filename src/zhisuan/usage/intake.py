"""Taking in what sites and gateways metered: each event once, whoever sends it how often, to however many servers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg.errors import UniqueViolation
from sqlalchemy import select
from sqlalchemy.orm import Session

from zhisuan.base.db import Tx
from zhisuan.execution.tables import Lease
from zhisuan.usage.bulk import copy_rows, driver_connection
from zhisuan.usage.rules import (
    OVERLAP,
    SECONDS_PER_MINUTE,
    LeaseFacts,
    epoch_second,
    is_storable,
    judge_tokens,
    judge_window,
    span_quantity_udu,
)
from zhisuan.usage.sorting import Body, Sorting
from zhisuan.wire.common import Accepted
from zhisuan.wire.gateway import TokenUsage
from zhisuan.wire.site import UsageWindow

WINDOW_COLUMNS = {
    "source": "text", "id": "text", "org_id": "text", "lease_id": "text", "generation": "int8", "minute": "int8",
    "start_at": "timestamptz", "end_at": "timestamptz", "seconds": "int8", "quantity_udu": "int8",
    "received_at": "timestamptz", "rated": "bool",
}  # fmt: skip
TOKEN_COLUMNS = {
    "source": "text", "id": "text", "org_id": "text", "project_id": "text", "key_id": "text", "deployment_id": "text",
    "lease_id": "text", "model": "text", "at": "timestamptz", "input_tokens": "int8", "cached_input_tokens": "int8",
    "output_tokens": "int8", "estimated": "bool", "outcome": "text", "duration_ms": "int8",
    "received_at": "timestamptz", "rated": "bool",
}  # fmt: skip


def accept_windows(tx: Tx, site_id: str, windows: Sequence[UsageWindow]) -> Accepted:
    """Count metered windows of a site; identity is (site, id).

    The same window again is a duplicate. One that can never be counted (see ``rules.judge_window``; also an id with
    another body, and a second window in one minute of a lease) is kept in quarantine and named in ``refused``. One
    of a lease that has not become active here yet is named in ``retry`` and not kept. Of two servers that take the
    same batch at once, one counts it and the other finds duplicates.
    """
    leases = _lease_facts(tx.session, (w.lease_id for w in windows))
    sorting = Sorting(_window_body)
    for window in windows:
        sorting.add(window, judge_window(window, site_id, leases.get(window.lease_id), tx.now))
    sorting.recognise(lambda ids: _stored_windows(tx.session, site_id, ids))
    minutes: dict[tuple[str, int], str] = {}
    for window in sorted(sorting.fresh.values(), key=lambda w: (w.lease_id, w.start, w.id)):
        if minutes.setdefault(_minute_key(window), window.id) != window.id:
            sorting.refuse(window.id, OVERLAP)
    while sorting.fresh and not _copied(
        tx.session, "usage_window", WINDOW_COLUMNS, _window_rows(tx, site_id, sorting, minutes, leases)
    ):
        found = sorting.drop_stored(_stored_windows(tx.session, site_id, list(sorting.fresh)))
        for key in _taken_minutes(tx.session, [k for k, ident in minutes.items() if ident in sorting.fresh]):
            sorting.refuse(minutes[key], OVERLAP)
            found += 1
        _require_progress(found)
    return sorting.answer(tx, site_id)


def accept_token_events(tx: Tx, gateway: str, events: Sequence[TokenUsage]) -> Accepted:
    """Count model calls of a gateway; identity is (gateway, id). Duplicates and refusals as for windows."""
    leases = _lease_facts(tx.session, (e.lease_id for e in events))
    sorting = Sorting(_token_body)
    for event in events:
        sorting.add(event, judge_tokens(event, leases.get(event.lease_id), tx.now))
    sorting.recognise(lambda ids: _stored_tokens(tx.session, gateway, ids))
    while sorting.fresh and not _copied(
        tx.session, "usage_token_event", TOKEN_COLUMNS, _token_rows(tx, gateway, sorting)
    ):
        _require_progress(sorting.drop_stored(_stored_tokens(tx.session, gateway, list(sorting.fresh))))
    return sorting.answer(tx, gateway)


def _lease_facts(session: Session, lease_ids: Iterable[str]) -> dict[str, LeaseFacts]:
    """An id that PostgreSQL cannot hold names no lease."""
    wanted = {ident for ident in set(lease_ids) if is_storable(ident)}
    found = session.execute(
        select(
            Lease.id,
            Lease.generation,
            Lease.org_id,
            Lease.site_id,
            Lease.rate_udu_per_hour,
            Lease.active_from,
            Lease.active_to,
            Lease.state,
        ).where(Lease.id.in_(wanted))
    )
    return {
        row.id: LeaseFacts(
            lease_id=row.id, generation=row.generation, org_id=row.org_id, site_id=row.site_id,
            rate_udu_per_hour=row.rate_udu_per_hour,
            active_from=None if row.active_from is None else epoch_second(row.active_from),
            active_to=None if row.active_to is None else epoch_second(row.active_to),
            closed=row.state == "closed",
        )
        for row in found
    }  # fmt: skip


def _copied(session: Session, table: str, columns: Mapping[str, str], rows: Iterable[Sequence[Any]]) -> bool:
    """Write all rows, or none when one of them is in the database already; a transaction that is just writing the same
    is waited for."""
    try:
        with session.begin_nested():
            copy_rows(session, table, columns, rows)
    except UniqueViolation:
        return False
    return True


def _require_progress(found: int) -> None:
    if not found:
        raise RuntimeError("rows collide with something that is not in the database; a constraint is not known here")


def _minute_key(window: UsageWindow) -> tuple[str, int]:
    return window.lease_id, epoch_second(window.start) // SECONDS_PER_MINUTE


def _window_body(window: UsageWindow) -> Body:
    return window.lease_id, window.generation, window.start, window.end


def _window_rows(
    tx: Tx,
    site_id: str,
    sorting: Sorting[UsageWindow],
    minutes: Mapping[tuple[str, int], str],
    leases: Mapping[str, LeaseFacts],
) -> Iterable[Sequence[Any]]:
    """In the order of (lease, minute): two servers with one batch wait for each other and never in a circle."""
    for (lease_id, minute), ident in minutes.items():
        window = sorting.fresh.get(ident)
        if window is None:
            continue
        lease = leases[lease_id]
        start, end = epoch_second(window.start), epoch_second(window.end)
        quantity = span_quantity_udu(lease.rate_udu_per_hour, lease.active_from or 0, start, end)
        yield (
            site_id, ident, lease.org_id, lease_id, window.generation, minute, window.start, window.end, end - start,
            quantity, tx.now, False,
        )  # fmt: skip


def _token_body(event: TokenUsage) -> Body:
    return (
        event.org_id, event.project_id, event.key_id, event.deployment_id, event.lease_id, event.model, event.at,
        event.input_tokens, event.cached_input_tokens, event.output_tokens, event.estimated, event.outcome,
        event.duration_ms,
    )  # fmt: skip


def _token_rows(tx: Tx, gateway: str, sorting: Sorting[TokenUsage]) -> Iterable[Sequence[Any]]:
    for ident in sorted(sorting.fresh):
        yield (gateway, ident, *_token_body(sorting.fresh[ident]), tx.now, False)


def _stored_windows(session: Session, source: str, ids: Sequence[str]) -> dict[str, Body]:
    rows = driver_connection(session).execute(
        "SELECT w.id, w.lease_id, w.generation, w.start_at, w.end_at FROM unnest(%s::text[]) AS sent(id)"
        " JOIN usage_window w ON w.source = %s AND w.id = sent.id",
        (list(dict.fromkeys(ids)), source),
    )
    return {row[0]: tuple(row[1:]) for row in rows}


def _taken_minutes(session: Session, keys: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    rows = driver_connection(session).execute(
        "SELECT w.lease_id, w.minute FROM unnest(%s::text[], %s::bigint[]) AS sent(lease_id, minute)"
        " JOIN usage_window w ON w.lease_id = sent.lease_id AND w.minute = sent.minute",
        ([key[0] for key in keys], [key[1] for key in keys]),
    )
    return [(row[0], row[1]) for row in rows]


def _stored_tokens(session: Session, source: str, ids: Sequence[str]) -> dict[str, Body]:
    rows = driver_connection(session).execute(
        "SELECT t.id, t.org_id, t.project_id, t.key_id, t.deployment_id, t.lease_id, t.model, t.at, t.input_tokens,"
        " t.cached_input_tokens, t.output_tokens, t.estimated, t.outcome, t.duration_ms"
        " FROM unnest(%s::text[]) AS sent(id) JOIN usage_token_event t ON t.source = %s AND t.id = sent.id",
        (list(dict.fromkeys(ids)), source),
    )
    return {row[0]: tuple(row[1:]) for row in rows}
