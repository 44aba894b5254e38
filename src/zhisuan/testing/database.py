"""A real PostgreSQL for tests: one server a run, one database a test, copied from a template in a few milliseconds."""

import importlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from sqlalchemy import create_engine, text

from zhisuan.base.clock import ManualClock
from zhisuan.base.db import Database, Table, driver_url
from zhisuan.base.ids import TimeOrderedIds
from zhisuan.base.postgres import EmbeddedPostgres

START = datetime(2026, 7, 1, 2, 0, 0, tzinfo=UTC)
TEMPLATE = "template_zhisuan"
# What is in these databases need not outlive the machine: nothing waits for a disk. Transactions mean the same.
UNSAFE_AND_QUICK = {
    "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off", "jit": "off",
    "checkpoint_timeout": "1h", "max_wal_size": "4GB", "bgwriter_lru_maxpages": "0",
}  # fmt: skip
TABLE_MODULES = (
    "zhisuan.base.outbox", "zhisuan.base.idempotency", "zhisuan.tenancy.tables", "zhisuan.supply.changes", "zhisuan.supply.tables",
    "zhisuan.catalog.tables", "zhisuan.workload.tables", "zhisuan.execution.tables", "zhisuan.usage.tables",
    "zhisuan.ledger.tables", "zhisuan.settlement.tables", "zhisuan.models.tables", "zhisuan.data.tables",
)  # fmt: skip


def import_all_tables() -> None:
    for module in TABLE_MODULES:
        importlib.import_module(module)


class TestServer:
    """One embedded PostgreSQL with a template database that holds all tables."""

    __test__ = False

    def __init__(self, folder: Path) -> None:
        import_all_tables()
        self._postgres = EmbeddedPostgres(folder / "postgres")
        self._address = self._postgres.start()
        self._admin = create_engine(driver_url(self._address), isolation_level="AUTOCOMMIT")
        self._count = 0
        for name, value in UNSAFE_AND_QUICK.items():
            self._run(f"ALTER SYSTEM SET {name} = '{value}'")
        self._run("SELECT pg_reload_conf()")
        self._run(f'CREATE DATABASE "{TEMPLATE}"')
        template = create_engine(driver_url(self._named(TEMPLATE)))
        Table.metadata.create_all(template)
        template.dispose()

    @contextmanager
    def database(
        self, *, clock: ManualClock | None = None, seed: int = 1, empty: bool = False, template: str = TEMPLATE
    ) -> Iterator[Database]:
        """A fresh database (with all that ``template`` has, unless ``empty``) with a manual clock and seeded ids."""
        self._count += 1
        name = f"test_{self._count}"
        self._run(f'CREATE DATABASE "{name}"' + ("" if empty else f' TEMPLATE "{template}"'))
        clock = clock or ManualClock(START)
        database = Database(self._named(name), clock, TimeOrderedIds(clock, random.Random(seed).getrandbits))
        try:
            yield database
        finally:
            database.close()
            self._run(f'DROP DATABASE "{name}" WITH (FORCE)')

    @contextmanager
    def template(self, name: str) -> Iterator[str]:
        """The address of a new database to fill inside the block, for ``database`` to copy afterwards."""
        self._run(f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}"')
        yield self._named(name)

    def stop(self) -> None:
        self._admin.dispose()
        self._postgres.stop()

    def _named(self, name: str) -> str:
        parts = urlsplit(self._address)
        return urlunsplit(parts._replace(path=f"/{name}"))

    def _run(self, statement: str) -> None:
        with self._admin.connect() as connection:
            connection.execute(text(statement))
