"""Alembic's entry: the address comes from the caller, the tables from all packages.

All that is missing is one transaction, so that the lock holds to its end and servers that start at once migrate once.
"""

from alembic import context
from sqlalchemy import create_engine

from zhisuan.app.tables import METADATA

engine = create_engine(context.config.attributes["url"])
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=METADATA)
    with context.begin_transaction():
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(722301)")
        context.run_migrations()
engine.dispose()
