"""The server's database as the city sees it: real transactions, with faults at their ends and their notices told to the city."""

import errno
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from enum import StrEnum
from functools import cache
from typing import Any

import psycopg
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from zhisuan.base.clock import Clock
from zhisuan.base.db import Database, Tx
from zhisuan.base.ids import Ids
from zhisuan.base.incoming import Incoming
from zhisuan.base.memory import Memory
from zhisuan.base.store import Store


class ServerKilled(BaseException):
    """The server process is gone at this very point."""


class Fault(StrEnum):
    """What may happen to a transaction: the process dies before or after the commit, or the connection does before it."""

    killed_before_commit = "killed before commit"
    killed_after_commit = "killed after commit"
    connection_cut = "database connection cut"


class Trouble(StrEnum):
    """What the database, or the artefact store beside it, may be in."""

    away = "away"
    disk_full = "its disk full"
    read_only = "read only"
    store_full = "its artefact store full"


WRITES = ("INSERT", "UPDATE", "DELETE")


class _Seat:
    """An engine that outlives scenarios: what SQLAlchemy has compiled is compiled once and not in each of them again."""

    def __init__(self) -> None:
        self.url = ""
        self.taken_by: CityDatabase | None = None
        self.engine = create_engine("postgresql+psycopg://", creator=self._connect, pool_size=2)
        event.listen(self.engine, "before_cursor_execute", self._statement)

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url, options="-c timezone=utc")

    def _statement(self, *arguments: Any) -> None:
        if self.taken_by is not None:
            self.taken_by.sees(arguments[2])


@cache
def _seat(name: str) -> _Seat:
    return _Seat()


class CityDatabase(Database):
    """``on_commit`` gets the notices of each transaction that has committed. ``arm`` sets a fault for the n-th transaction
    that writes from now; ``before_taking`` is called once, by the next placement, just before it locks a site. ``trouble`` is
    the database's, as long as something is in it."""

    def __init__(
        self,
        seat: str,
        url: str,
        clock: Clock,
        ids: Ids,
        on_commit: Callable[[list[tuple[str, str]]], None] = lambda _: None,
        trouble: Set[Trouble] = frozenset(),
    ) -> None:
        self.url, self.clock, self.ids, self.memory = url, clock, ids, Memory()
        taken = _seat(seat)
        taken.engine.dispose()
        taken.url, taken.taken_by = url, self
        self.engine = taken.engine
        self._on_commit = on_commit
        self._trouble = trouble
        self._fault: tuple[int, Fault] | None = None
        self._fired: Callable[[str], None] = lambda _: None
        self.before_taking: Callable[[], None] | None = None

    def arm(self, nth: int, fault: Fault, fired: Callable[[str], None]) -> None:
        self._fault = (nth, fault)
        self._fired = fired

    def sees(self, statement: str) -> None:
        if Trouble.disk_full in self._trouble and statement.startswith(WRITES):
            raise OperationalError(
                statement, {}, psycopg.errors.DiskFull("could not extend file: No space left on device")
            )
        if self.before_taking is not None and "supply_site" in statement and statement.rstrip().endswith("FOR SHARE"):
            meddle, self.before_taking = self.before_taking, None
            meddle()

    @contextmanager
    def begin(self, actor: str = "system") -> Iterator[Tx]:
        if Trouble.away in self._trouble:
            raise OperationalError("connect", {}, psycopg.OperationalError("connection refused"))
        fault = None
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            tx = Tx(session, self.clock.now(), self.ids, actor, self.memory)
            if Trouble.read_only in self._trouble:
                session.execute(text("SET TRANSACTION READ ONLY"))
            yield tx
            session.flush()
            fault = self._due(tx)
            if fault is Fault.killed_before_commit:
                raise ServerKilled(fault)
            if fault is Fault.connection_cut:
                self._cut(session)
        self._on_commit(tx.notices)
        if fault is Fault.killed_after_commit:
            raise ServerKilled(fault)

    def _due(self, tx: Tx) -> Fault | None:
        if self._fault is None or not tx.notices:
            return None
        left, fault = self._fault
        self._fault = (left - 1, fault) if left > 1 else None
        if left > 1:
            return None
        self._fired(f"{fault.value} of {tx.actor}")
        return fault

    def _cut(self, session: Session) -> None:
        pid = session.scalar(text("SELECT pg_backend_pid()"))
        with psycopg.connect(self.url) as connection:
            connection.execute("SELECT pg_terminate_backend(%s, 1000)", (pid,))


class CityStore(Store):
    """The artefact store of all servers."""

    def __init__(self, address: str, trouble: Set[Trouble]) -> None:
        super().__init__(address)
        self._trouble = trouble

    def keep(self, incoming: Incoming, sha256: str) -> None:
        if Trouble.store_full in self._trouble:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().keep(incoming, sha256)
