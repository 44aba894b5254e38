"""The database session, and the transaction that every use case runs in."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Engine, MetaData, String, create_engine, event
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Session

from zhisuan.base.clock import Clock
from zhisuan.base.ids import Ids


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
    """One use case: its database session, the time it happens at, and where its ids come from."""

    session: Session
    now: datetime
    ids: Ids
    actor: str

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
        from sqlalchemy import text

        self.session.execute(text("SELECT pg_notify(:channel, :payload)"), {"channel": channel, "payload": payload})


class Database:
    """A pool of connections to one PostgreSQL, and the transactions made from it."""

    def __init__(self, url: str, clock: Clock, ids: Ids, *, pool_size: int = 8) -> None:
        self.url = url
        self.clock = clock
        self.ids = ids
        self.engine: Engine = create_engine(
            driver_url(url),
            pool_size=pool_size,
            max_overflow=8,
            pool_pre_ping=True,
            connect_args={"options": "-c timezone=utc"},
        )

    @contextmanager
    def begin(self, actor: str = "system") -> Iterator[Tx]:
        """A transaction: committed when the block ends, rolled back when it raises."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield Tx(session=session, now=self.clock.now(), ids=self.ids, actor=actor)

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
