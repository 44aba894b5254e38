"""The gateway's own memory of what was used, on disk until the server has taken it (SQLite, write-ahead log).

| state | meaning |
| --- | --- |
| open | a call still running, as far as it had come at the last checkpoint |
| final | a call that is over; to be shipped |
| refused | the server will not take it; kept for the operator |

``synchronous=FULL``: a commit is on the disk before the client gets its last byte, power failure included. One thread
owns the connection; rows that wait while it commits go into the next commit together, so calls that end at about the
same time share the cost of the disk. The rows of a commit are one statement: the interpreter's lock then changes hands
twice per commit and not three times per row, which would hold up the event loop.
"""

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from enum import IntEnum
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import orjson

from zhisuan.base.errors import Unavailable
from zhisuan.base.text import Text
from zhisuan.wire.gateway import TokenUsage

log = logging.getLogger(__name__)
GROUP_MAX = 512
R = TypeVar("R")
Work = Callable[[sqlite3.Connection], Any]
Row = tuple[str, int, str]
Outcome = tuple["_Job", Any, Exception | None]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS usage (
    id TEXT PRIMARY KEY,
    state INTEGER NOT NULL,
    body TEXT NOT NULL
) WITHOUT ROWID
"""
_PUT = """
INSERT INTO usage (id, state, body)
SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?) WHERE true
ON CONFLICT (id) DO UPDATE SET state = excluded.state, body = excluded.body WHERE usage.state = 0
"""


class State(IntEnum):
    open = 0
    final = 1
    refused = 2


class JournalError(Exception):
    """The journal could not be written; what was to be kept is not kept."""


class _Job(NamedTuple):
    """Either rows to put or other work."""

    future: asyncio.Future[Any]
    rows: list[Row]
    work: Work | None = None


class Journal:
    """``start`` it inside the event loop, ``close`` it at the end: what was handed over by then is on the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jobs: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        self._gathered: list[_Job] = []
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> int:
        """Open the file and close the books on calls that a crash cut off; how many those were.

        Raises ``Unavailable`` when the file cannot be used or another gateway uses it.
        """
        self._loop = asyncio.get_running_loop()
        connection = await asyncio.to_thread(_open, self._path)
        self._thread = threading.Thread(target=self._run, args=(connection,), name="usage-journal", daemon=True)
        self._thread.start()
        return await self._do(_finish_open_calls)

    async def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._pass_on()
            self._jobs.put(None)
            await asyncio.to_thread(thread.join)

    def record(self, usage: TokenUsage) -> asyncio.Future[None]:
        """Keep the usage of a call that is over. It is handed over at once; the future is done once it is on the disk,
        or fails with ``JournalError``."""
        return self._put([(usage.id, State.final.value, usage.model_dump_json())])

    def checkpoint(self, usages: Sequence[TokenUsage]) -> asyncio.Future[None]:
        """Keep how far running calls have come, as they would be reported if this process died now."""
        return self._put([(usage.id, State.open.value, usage.model_dump_json()) for usage in usages])

    def pending(self, limit: int) -> asyncio.Future[list[TokenUsage]]:
        """The oldest usage that the server has not taken."""
        return self._do(lambda connection: _pending(connection, limit))

    def forget(self, ids: Sequence[str]) -> asyncio.Future[None]:
        """The server has taken these."""
        keys = [(ident,) for ident in ids]
        return self._do(lambda connection: _many(connection, "DELETE FROM usage WHERE id = ? AND state = 1", keys))

    def refuse(self, ids: Sequence[str]) -> asyncio.Future[None]:
        """The server will never take these; they stay here for the operator."""
        keys = [(ident,) for ident in ids]
        return self._do(
            lambda connection: _many(connection, "UPDATE usage SET state = 2 WHERE id = ? AND state = 1", keys)
        )

    def count(self, state: State) -> asyncio.Future[int]:
        return self._do(lambda connection: _count(connection, state))

    def _do(self, work: Callable[[sqlite3.Connection], R]) -> asyncio.Future[R]:
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        return self._hand_over(_Job(future, [], work))

    def _put(self, rows: list[Row]) -> asyncio.Future[None]:
        return self._hand_over(_Job(asyncio.get_running_loop().create_future(), rows))

    def _hand_over(self, job: _Job) -> asyncio.Future[Any]:
        if self._thread is None:
            job.future.set_exception(JournalError("the journal is closed"))
        else:
            if not self._gathered:
                asyncio.get_running_loop().call_soon(self._pass_on)
            self._gathered.append(job)
        return job.future

    def _pass_on(self) -> None:
        """What one turn of the event loop gathered goes over together: waking the thread has its price."""
        if self._gathered:
            self._jobs.put(self._gathered)
            self._gathered = []

    def _run(self, connection: sqlite3.Connection) -> None:
        try:
            while True:
                group, last = self._next_group()
                if group:
                    self._settle(_commit(connection, group))
                if last:
                    return
        finally:
            connection.close()

    def _next_group(self) -> tuple[list[_Job], bool]:
        """Everything that waits, up to about ``GROUP_MAX``; and whether the journal is being closed after it."""
        group: list[_Job] = []
        jobs = self._jobs.get()
        while jobs is not None:
            group += jobs
            if len(group) >= GROUP_MAX or self._jobs.empty():
                return group, False
            jobs = self._jobs.get()
        return group, True

    def _settle(self, results: list[Outcome]) -> None:
        assert self._loop is not None  # noqa: S101 - set before the thread starts
        try:
            self._loop.call_soon_threadsafe(_settle, results)
        except RuntimeError:
            log.debug("the event loop ended before it heard of %d journal writes", len(results))


def _open(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)
        try:
            # Exclusive locking keeps a second gateway off; it must be asked for before the log is first used.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(_SCHEMA)
        except sqlite3.Error:
            connection.close()
            raise
    except (sqlite3.Error, OSError) as error:
        raise Unavailable(
            Text(f"The usage journal {path} cannot be used: {error}.", f"无法使用用量日志 {path}：{error}。"),
            Text(
                "If another gateway runs on it, give this one a journal of its own; else check that the folder is "
                "writable and the file is not damaged.",
                "若已有另一个网关在使用该文件，请为本网关另设日志；否则请检查目录是否可写、文件是否损坏。",
            ),
            code="journal_unusable",
        ) from error
    return connection


def _commit(connection: sqlite3.Connection, group: list[_Job]) -> list[Outcome]:
    """Do all of ``group`` in its order; rows that follow each other are one commit."""
    outcomes: list[Outcome] = []
    for is_work, jobs in groupby(group, key=lambda job: job.work is not None):
        if is_work:
            outcomes += [_do_work(connection, job) for job in jobs]
        else:
            outcomes += _put_rows(connection, list(jobs))
    return outcomes


def _put_rows(connection: sqlite3.Connection, jobs: list[_Job]) -> list[Outcome]:
    """One commit for all; where that fails, each alone, so that one cannot spoil the others."""
    rows = [row for job in jobs for row in job.rows]
    try:
        connection.execute(_PUT, (orjson.dumps(rows).decode(),))
    except sqlite3.Error as error:
        if len(jobs) > 1:
            return [outcome for job in jobs for outcome in _put_rows(connection, [job])]
        log.error("the usage journal cannot be written: %s", error)
        return [(jobs[0], None, JournalError(str(error)))]
    return [(job, None, None) for job in jobs]


def _do_work(connection: sqlite3.Connection, job: _Job) -> Outcome:
    if job.work is None:
        return job, None, None
    try:
        connection.execute("BEGIN IMMEDIATE")
        result = job.work(connection)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        log.error("the usage journal cannot be used: %s", error)
        return job, None, JournalError(str(error))
    return job, result, None


def _settle(results: list[Outcome]) -> None:
    for job, result, error in results:
        if job.future.done():
            continue
        if error is None:
            job.future.set_result(result)
        else:
            job.future.set_exception(error)


def _many(connection: sqlite3.Connection, statement: str, keys: list[tuple[str]]) -> None:
    connection.executemany(statement, keys)


def _pending(connection: sqlite3.Connection, limit: int) -> list[TokenUsage]:
    rows = connection.execute("SELECT body FROM usage WHERE state = 1 ORDER BY id LIMIT ?", (limit,))
    return [TokenUsage.model_validate_json(body) for (body,) in rows]


def _count(connection: sqlite3.Connection, state: State) -> int:
    (rows,) = connection.execute("SELECT count(*) FROM usage WHERE state = ?", (int(state),)).fetchone()
    return int(rows)


def _finish_open_calls(connection: sqlite3.Connection) -> int:
    return connection.execute("UPDATE usage SET state = 1 WHERE state = 0").rowcount
