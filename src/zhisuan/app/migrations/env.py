"""Alembic's entry: the address comes from the caller, the tables from all packages."""

from alembic import context
from sqlalchemy import create_engine

from zhisuan.app.tables import METADATA

engine = create_engine(context.config.attributes["url"])
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=METADATA, transaction_per_migration=True)
    with context.begin_transaction():
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(722301)")
        context.run_migrations()
engine.dispose()
