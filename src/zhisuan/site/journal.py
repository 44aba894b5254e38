"""The agent's memory on disk: SQLite, one file, each change durable before it is acted upon or told.

A change and the windows that it makes due are one transaction, so no kill can cut a window twice or lose one.
"""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from zhisuan.base.text import Text
from zhisuan.site.errors import JournalUnreadable
from zhisuan.site.record import Key, LeaseRecord
from zhisuan.wire.site import AccountReport, LeaseReport, UsageWindow

PAST_KEPT = timedelta(days=90)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS lease (
    lease_id TEXT NOT NULL, generation INTEGER NOT NULL, record TEXT NOT NULL,
    PRIMARY KEY (lease_id, generation)
) STRICT;
CREATE TABLE IF NOT EXISTS usage_window (
    id TEXT PRIMARY KEY, lease_id TEXT NOT NULL, generation INTEGER NOT NULL, start_epoch INTEGER NOT NULL,
    end_epoch INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS usage_window_lease ON usage_window (lease_id, generation);
CREATE TABLE IF NOT EXISTS artefact (
    lease_id TEXT NOT NULL, generation INTEGER NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL,
    PRIMARY KEY (lease_id, generation, path)
) STRICT;
CREATE TABLE IF NOT EXISTS past (
    lease_id TEXT NOT NULL, generation INTEGER NOT NULL, report TEXT NOT NULL, forgotten_epoch INTEGER NOT NULL,
    PRIMARY KEY (lease_id, generation)
) STRICT;
CREATE TABLE IF NOT EXISTS account (
    lease_id TEXT NOT NULL, generation INTEGER NOT NULL, report TEXT NOT NULL, PRIMARY KEY (lease_id, generation)
) STRICT;
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""


class Journal:
    """Used from one thread. Opening it checks that it is whole."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)
        self._path = path
        self._db = sqlite3.connect(path, isolation_level=None)
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            found = self._db.execute("PRAGMA quick_check(1)").fetchone()
            if found[0] != "ok":
                raise sqlite3.DatabaseError(str(found[0]))
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            self._db.close()
            raise _unreadable(path, error) from error

    def close(self) -> None:
        self._db.close()

    def records(self) -> list[LeaseRecord]:
        rows = self._db.execute("SELECT record FROM lease ORDER BY lease_id, generation")
        return [LeaseRecord.model_validate_json(row[0]) for row in rows]

    def save(self, record: LeaseRecord, windows: Iterable[UsageWindow] = ()) -> None:
        """Keep the record and spool its new windows, both or neither."""
        with self._transaction() as cursor:
            cursor.execute(
                "INSERT INTO lease VALUES (?, ?, ?) "
                "ON CONFLICT (lease_id, generation) DO UPDATE SET record = excluded.record",
                (*record.key, record.model_dump_json()),
            )
            cursor.executemany(
                "INSERT INTO usage_window VALUES (?, ?, ?, ?, ?)",
                [(w.id, w.lease_id, w.generation, _epoch(w.start), _epoch(w.end)) for w in windows],
            )

    def unsent_windows(self, limit: int) -> list[UsageWindow]:
        """The oldest windows that the server has not accepted yet."""
        rows = self._db.execute(
            "SELECT id, lease_id, generation, start_epoch, end_epoch FROM usage_window "
            "ORDER BY start_epoch, id LIMIT ?",
            (limit,),
        )
        return [
            UsageWindow(id=i, lease_id=lease, generation=generation, start=_at(start), end=_at(end))
            for i, lease, generation, start, end in rows
        ]

    def windows_sent(self, windows: Iterable[UsageWindow]) -> None:
        with self._transaction() as cursor:
            cursor.executemany("DELETE FROM usage_window WHERE id = ?", [(w.id,) for w in windows])

    def has_unsent(self, key: Key) -> bool:
        found = self._db.execute("SELECT 1 FROM usage_window WHERE lease_id = ? AND generation = ? LIMIT 1", key)
        return found.fetchone() is not None

    def keep_account(self, key: Key, account: AccountReport) -> None:
        with self._transaction() as cursor:
            cursor.execute("INSERT OR REPLACE INTO account VALUES (?, ?, ?)", (*key, account.model_dump_json()))

    def unsent_accounts(self, limit: int) -> list[AccountReport]:
        rows = self._db.execute("SELECT report FROM account ORDER BY lease_id, generation LIMIT ?", (limit,))
        return [AccountReport.model_validate_json(row[0]) for row in rows]

    def accounts_sent(self, accounts: Iterable[AccountReport]) -> None:
        with self._transaction() as cursor:
            cursor.executemany(
                "DELETE FROM account WHERE lease_id = ? AND generation = ?",
                [(a.lease_id, a.generation) for a in accounts],
            )

    def artefacts(self, key: Key) -> dict[str, str]:
        """Digest by path of what the server has taken of this lease."""
        rows = self._db.execute("SELECT path, sha256 FROM artefact WHERE lease_id = ? AND generation = ?", key)
        return dict(rows.fetchall())

    def artefact_sent(self, key: Key, path: str, sha256: str) -> None:
        with self._transaction() as cursor:
            cursor.execute("INSERT OR REPLACE INTO artefact VALUES (?, ?, ?, ?)", (*key, path, sha256))

    def forget(self, final: LeaseReport, at: datetime) -> None:
        """Drop all of one generation but its final report; reports older than ``PAST_KEPT`` go too."""
        key = (final.lease_id, final.generation)
        with self._transaction() as cursor:
            for statement in (
                "DELETE FROM lease WHERE lease_id = ? AND generation = ?",
                "DELETE FROM artefact WHERE lease_id = ? AND generation = ?",
            ):
                cursor.execute(statement, key)
            cursor.execute(
                "INSERT OR REPLACE INTO past VALUES (?, ?, ?, ?)", (*key, final.model_dump_json(), _epoch(at))
            )
            cursor.execute("DELETE FROM past WHERE forgotten_epoch < ?", (_epoch(at - PAST_KEPT),))

    def past_of(self, lease_id: str) -> list[LeaseReport]:
        """Final reports of a lease's generations that have been forgotten."""
        rows = self._db.execute("SELECT report FROM past WHERE lease_id = ? ORDER BY generation", (lease_id,))
        return [LeaseReport.model_validate_json(row[0]) for row in rows]

    def fact(self, name: str) -> Any:
        """A value kept under ``name``, or ``None``."""
        row = self._db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def keep_fact(self, name: str, value: Any) -> None:
        with self._transaction() as cursor:
            cursor.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, json.dumps(value)))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        """All of it or nothing. Raises JournalUnreadable when the disk does not take it."""
        with closing(self._db.cursor()) as cursor:
            try:
                cursor.execute("BEGIN IMMEDIATE")
                yield cursor
                cursor.execute("COMMIT")
            except BaseException as error:
                if self._db.in_transaction:
                    cursor.execute("ROLLBACK")
                if isinstance(error, sqlite3.OperationalError):
                    raise _unwritable(self._path, error) from error
                raise


def _epoch(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)


def _at(epoch: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=epoch)


def _unwritable(path: Path, error: sqlite3.Error) -> JournalUnreadable:
    return JournalUnreadable(
        Text(f"The site journal {path} cannot be written: {error}.", f"无法写入站点记录库 {path}：{error}。"),
        Text(
            "Free space on its disk and start the agent again; running work goes on meanwhile.",
            "请清理磁盘空间后重新启动代理；在此期间，运行中的任务不受影响。",
        ),
    )


def _unreadable(path: Path, error: sqlite3.Error) -> JournalUnreadable:
    aside = f"{path.name}.damaged"
    locked = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
    if locked or not os.access(path, os.R_OK | os.W_OK):
        return JournalUnreadable(
            Text(f"The site journal {path} cannot be opened: {error}.", f"无法打开站点记录库 {path}：{error}。"),
            Text(
                "Make the file readable and writable for the agent's user and end other programs that hold it.",
                "请确认代理用户可读写该文件，并结束占用它的其他程序。",
            ),
        )
    return JournalUnreadable(
        Text(
            f"The site journal {path} is damaged: {error}. The agent does not go on with it, since metered time could be "
            "lost.",
            f"站点记录库 {path} 已损坏：{error}。为避免丢失计量数据，代理不会继续使用它。",
        ),
        Text(
            f"Restore it from a backup, or move it to {aside} and start again: windows that were not sent yet stay in it.",
            f"请从备份恢复；也可以将其改名为 {aside} 后重新启动，尚未上报的用量仍保存在改名后的文件里。",
        ),
    )
