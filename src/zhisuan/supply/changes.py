"""Which sites and nodes were changed, by which transaction: written by triggers, so that no writer can forget it.

A reader that has read everything at one moment reads on from there: it asks for the changes of all transactions that were not
over then (their number is at least ``xmin`` of that moment's database snapshot), whenever they committed. Nothing is missed, whatever
order transactions end in, and nothing needs to be listened to. Rows are kept for an hour (``forget_changes``); a reader that has
not read for longer than ``READ_ON_WITHIN`` reads everything anew.

A site that was heard again is no change: that happens all the time, and ``last_seen_at`` only grows.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Connection, delete, event, func, text
from sqlalchemy.orm import Mapped, mapped_column

from zhisuan.base.db import Table, Tx

READ_ON_WITHIN = timedelta(minutes=5)
CHANGES_MAX = 20_000
FORGOTTEN_AFTER = timedelta(hours=1)


class SupplyChange(Table):
    """``kind``: site or node; ``subject``: its id. One row for each transaction and subject."""

    __tablename__ = "supply_change"

    xid: Mapped[int] = mapped_column(
        BigInteger, primary_key=True, autoincrement=False, server_default=text("((pg_current_xact_id())::text)::bigint")
    )
    kind: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


def _function(name: str, kind: str, column: str) -> str:
    return f"""CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
INSERT INTO supply_change (kind, subject) VALUES ('{kind}', COALESCE(NEW.{column}, OLD.{column})) ON CONFLICT DO NOTHING;
RETURN NULL; END $$"""  # noqa: S608 - our own names


def _triggers(table: str, function: str, when: str = "OLD.* IS DISTINCT FROM NEW.*") -> list[str]:
    return [
        f"CREATE OR REPLACE TRIGGER note_change AFTER INSERT OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()",
        f"CREATE OR REPLACE TRIGGER note_update AFTER UPDATE ON {table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {function}()",
    ]


def _site_differs() -> str:
    columns = (
        "id", "provider_id", "name", "state", "region", "pue_milli", "offering", "engine", "clock_offset_ms", "green_ppm",
        "latitude_e6", "longitude_e6",
    )  # fmt: skip
    old, new = (", ".join(f"{side}.{c}" for c in columns) for side in ("OLD", "NEW"))
    return (
        f"({old}) IS DISTINCT FROM ({new}) OR (OLD.last_seen_at IS NULL) <> (NEW.last_seen_at IS NULL)"
        " OR NEW.last_seen_at < OLD.last_seen_at"
    )


TRIGGERS = (
    _function("supply_note_node", "node", "id"),
    _function("supply_note_node_of", "node", "node_id"),
    _function("supply_note_site", "site", "id"),
    _function("supply_note_site_of", "site", "site_id"),
    *_triggers("supply_node", "supply_note_node"),
    *_triggers("supply_device", "supply_note_node_of"),
    *_triggers("supply_site", "supply_note_site", _site_differs()),
    *_triggers("supply_recall", "supply_note_site_of"),
    *_triggers("supply_rate_factor", "supply_note_site_of"),
    *_triggers("supply_place_link", "supply_note_site_of"),
)
"""The migration that makes them has a copy."""


@event.listens_for(Table.metadata, "after_create")
def _make_triggers(_: Any, connection: Connection, **__: Any) -> None:
    for statement in TRIGGERS:
        connection.exec_driver_sql(statement)


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment to read on from: transactions from ``xid`` on may not have been over. ``seen`` are the changes of such ones that
    were there already; ``at`` is the database's time."""

    xid: int
    at: datetime
    seen: frozenset[tuple[int, str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Changes:
    """Ids that changed since a mark. ``own``: this very transaction is among those that changed something, and may yet be
    rolled back."""

    sites: frozenset[str]
    nodes: frozenset[str]
    own: bool
    now: Mark


_READ = text(
    """SELECT ((pg_snapshot_xmin(pg_current_snapshot()))::text)::bigint, statement_timestamp(),
       ((pg_current_xact_id_if_assigned())::text)::bigint, c.xid, c.kind, c.subject
       FROM (SELECT 1) AS one LEFT JOIN LATERAL (
         SELECT xid, kind, subject FROM supply_change WHERE xid >= :xid ORDER BY xid DESC LIMIT :most) AS c ON true"""
)
NOTHING_YET = 2**62
"""No transaction has such a number: a mark to begin from."""


def mark(tx: Tx) -> tuple[Mark, bool]:
    """Now, for a reader that reads everything after this; and whether this very transaction has changed something."""
    now, own, _ = _read(tx, NOTHING_YET)
    changed = own is not None and any(xid == own for xid, _, _ in _read(tx, own)[2])
    return now, changed


def changes_since(tx: Tx, last: Mark) -> Changes | None:
    """What changed; None where too much did, or too long ago, to read on from there."""
    now, own, rows = _read(tx, last.xid)
    if len(rows) >= CHANGES_MAX or now.at - last.at > READ_ON_WITHIN or now.at < last.at or now.xid < last.xid:
        return None
    fresh = set(rows) - last.seen
    return Changes(
        frozenset(subject for _, kind, subject in fresh if kind == "site"),
        frozenset(subject for _, kind, subject in fresh if kind == "node"),
        any(xid == own for xid, _, _ in rows),
        Mark(now.xid, now.at, frozenset(row for row in rows if row[0] >= now.xid)),
    )


def _read(tx: Tx, xid: int) -> tuple[Mark, int | None, list[tuple[int, str, str]]]:
    tx.session.flush()
    found = tx.session.execute(_READ, {"xid": xid, "most": CHANGES_MAX}).all()
    rows = [(row[3], row[4], row[5]) for row in found if row[3] is not None]
    return Mark(found[0][0], found[0][1]), found[0][2], rows


def forget_changes(tx: Tx) -> None:
    """Rows that no reader reads on from any more."""
    tx.session.execute(
        delete(SupplyChange).where(SupplyChange.at < func.clock_timestamp() - FORGOTTEN_AFTER)
    )
