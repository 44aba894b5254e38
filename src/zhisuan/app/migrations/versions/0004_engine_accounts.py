"""engine accounts"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLE = "usage_engine_account"


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("lease_id", sa.String(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("site_id", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("elapsed_milliseconds", sa.BigInteger(), nullable=False),
        sa.Column("cpu_milliseconds", sa.BigInteger(), nullable=True),
        sa.Column("nodes", sa.BigInteger(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verdict", sa.String(), nullable=True),
        sa.Column("metered_seconds", sa.BigInteger(), nullable=True),
        sa.Column("engine_milliseconds", sa.BigInteger(), nullable=True),
        sa.Column("difference_milliseconds", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "verdict IN ('agrees','metered_more','metered_less','other_nodes')",
            name=op.f("ck_usage_engine_account_verdict"),
        ),
        sa.PrimaryKeyConstraint("lease_id", name=op.f("pk_usage_engine_account")),
    )
    op.create_index(op.f("ix_usage_engine_account_site_id_lease_id"), TABLE, ["site_id", "lease_id"])
    op.create_index(
        "ix_usage_engine_account_unjudged", TABLE, ["received_at"], postgresql_where=sa.text("judged_at IS NULL")
    )
    op.create_index(
        "ix_usage_engine_account_differs", TABLE, ["lease_id"], postgresql_where=sa.text("verdict <> 'agrees'")
    )


def downgrade() -> None:
    op.drop_table(TABLE)
