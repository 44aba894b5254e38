"""The database session, and the transaction that every use case runs in."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from sqlalchemy import BigInteger, DateTime, Engine, MetaData, String, create_engine, event, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.orm import DeclarativeBase, Session

from zhisuan.base.clock import Clock
from zhisuan.base.ids import Ids
from zhisuan.base.memory import Memory


class Table(DeclarativeBase):
    """Base of all tables: ids are text, times are zoned, whole numbers are 64 bits wide."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - the name and form are SQLAlchemy's
        int: BigInteger,
        str: String,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
    }


@dataclass(frozen=True, slots=True)
class Tx:
    """One use case: its database session, the time it happens at, where its ids come from, and what its process remembers."""

    session: Session
    now: datetime
    ids: Ids
    actor: str
    memory: Memory = field(default_factory=Memory)
    notices: list[tuple[str, str]] = field(default_factory=list)

    def emit(self, kind: str, subject: str, data: dict[str, Any] | None = None) -> None:
        """Record that something happened, in the same transaction (the outbox)."""
        from zhisuan.base.outbox import OutboxEvent

        self.session.add(
            OutboxEvent(
                id=self.ids.new("evt"), at=self.now, kind=kind, subject=subject, actor=self.actor, data=data or {}
            )
        )

    def notify(self, channel: str, payload: str = "") -> None:
        """Wake listeners on ``channel`` when, and only when, this transaction commits."""
        if (channel, payload) not in self.notices:
            self.notices.append((channel, payload))


_NOTIFY = text(
    "SELECT pg_notify(channel, payload) FROM unnest(CAST(:channels AS text[]), CAST(:payloads AS text[])) AS n(channel, payload)"
)


PING_AFTER_SECONDS = 1.0


def _ping_the_idle(engine: Engine) -> None:
    """A connection that has lain idle is tried before it is used, since the database may have been started again. One that was
    just used is not: it would cost each transaction a round trip, and one call may fail when a database dies anyway."""

    @event.listens_for(engine, "checkin")
    def note_use(_: Any, record: Any) -> None:
        record.info["used"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def ping(connection: Any, record: Any, _: Any) -> None:
        if time.monotonic() - record.info.get("used", 0.0) < PING_AFTER_SECONDS:
            return
        try:
            alive = engine.dialect.do_ping(connection)
        except psycopg.Error:
            alive = False
        if not alive:
            raise InvalidatePoolError("the database has ended its connections")


class Database:
    """A pool of connections to one PostgreSQL, and the transactions made from it."""

    def __init__(self, url: str, clock: Clock, ids: Ids, *, pool_size: int = 8) -> None:
        self.url = url
        self.clock = clock
        self.ids = ids
        self.memory = Memory()
        self.engine: Engine = create_engine(
            driver_url(url),
            pool_size=pool_size,
            max_overflow=8,
            connect_args={"options": "-c timezone=utc"},
        )
        _ping_the_idle(self.engine)

    @contextmanager
    def begin(self, actor: str = "system") -> Iterator[Tx]:
        """A transaction: committed when the block ends, rolled back when it raises."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            tx = Tx(session, self.clock.now(), self.ids, actor, self.memory)
            yield tx
            if tx.notices and session.in_transaction():
                session.flush()
                channels, payloads = (list(column) for column in zip(*tx.notices, strict=True))
                session.execute(_NOTIFY, {"channels": channels, "payloads": payloads})

    def close(self) -> None:
        self.engine.dispose()


def driver_url(url: str) -> str:
    """``postgresql://…`` with the psycopg 3 driver named, as SQLAlchemy wants it."""
    scheme, separator, rest = url.partition("://")
    if scheme not in ("postgresql", "postgres", "postgresql+psycopg") or not separator:
        raise ValueError(
            f"the database must be a PostgreSQL address (postgresql://…), not one that begins with {scheme}://"
        )
    return f"postgresql+psycopg://{rest}"


class QueryCount:
    """Counts the statements an engine runs inside ``with``; list routes promise a bounded number."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.statements: list[str] = []

    def _note(self, *arguments: Any) -> None:
        self.statements.append(arguments[2])

    def __enter__(self) -> "QueryCount":
        event.listen(self._engine, "before_cursor_execute", self._note)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, "before_cursor_execute", self._note)
