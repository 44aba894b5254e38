"""The migrations make exactly the tables of the code, from nothing, once, and refuse a database of the future."""

import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from zhisuan.app.migrate import FOLDER, migrate
from zhisuan.app.tables import METADATA
from zhisuan.base.db import Database, driver_url
from zhisuan.base.errors import Unavailable
from zhisuan.testing.database import TABLE_MODULES, TestServer


def differences(url: str) -> list[object]:
    engine = create_engine(driver_url(url))
    try:
        with engine.connect() as connection:
            options = {"compare_type": True, "compare_server_default": True}
            return list(compare_metadata(MigrationContext.configure(connection, opts=options), METADATA))
    finally:
        engine.dispose()


def rules_of(url: str) -> set[str]:
    """Checks, partial indexes and triggers, which the comparison above does not look into."""
    engine = create_engine(driver_url(url))
    try:
        with engine.connect() as connection:
            checks = connection.execute(text(
                "SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint"
                " WHERE connamespace = 'public'::regnamespace AND conrelid <> 'alembic_version'::regclass"
                if "alembic_version" in inspect(engine).get_table_names() else
                "SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint"
                " WHERE connamespace = 'public'::regnamespace"
            )).scalars()  # fmt: skip
            indexes = connection.execute(
                text("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'")
            ).scalars()
            triggers = connection.execute(text("SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal")).scalars()
            functions = connection.execute(
                text("SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace")
            ).scalars()
            return {*checks, *indexes, *triggers, *functions}
    finally:
        engine.dispose()


def test_an_empty_database_gets_the_tables_of_the_code(postgres: TestServer) -> None:
    with postgres.database(empty=True) as fresh, postgres.database() as made:
        migrate(fresh.url)
        assert differences(fresh.url) == []
        assert rules_of(fresh.url) == rules_of(made.url)
        migrate(fresh.url)
        assert differences(fresh.url) == [], "again: nothing to do"


def test_the_comparison_can_fail(postgres: TestServer) -> None:
    with postgres.database(empty=True) as fresh:
        migrate(fresh.url)
        with fresh.begin() as tx:
            tx.session.execute(text("ALTER TABLE supply_device DROP COLUMN note"))
        assert "note" in str(differences(fresh.url))


@pytest.mark.slow
def test_two_servers_that_start_at_once_migrate_once(postgres: TestServer) -> None:
    with postgres.database(empty=True) as fresh:
        code = "import sys; from zhisuan.app.migrate import migrate; migrate(sys.argv[1])"
        servers = [subprocess.Popen([sys.executable, "-c", code, fresh.url]) for _ in range(2)]
        assert [server.wait(120) for server in servers] == [0, 0]
        assert differences(fresh.url) == []


def test_a_database_of_a_newer_version_is_left_alone(postgres: TestServer) -> None:
    with postgres.database(empty=True) as fresh:
        migrate(fresh.url)
        with fresh.begin() as tx:
            tx.session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(Unavailable) as caught:
            migrate(fresh.url)
        assert caught.value.code == "newer_database" and "9999" in caught.value.what.zh
        with fresh.begin() as tx:
            assert tx.session.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


def test_migrations_are_one_line(database: Database) -> None:
    script = ScriptDirectory(str(FOLDER))
    assert len(script.get_heads()) == 1 and len(script.get_bases()) == 1
    assert {t.name for t in METADATA.sorted_tables} <= set(inspect(database.engine).get_table_names())
    assert len(TABLE_MODULES) == 13
