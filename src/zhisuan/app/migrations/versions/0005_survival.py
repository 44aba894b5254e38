"""survival"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATES = "'pending','placed','starting','running',{}'succeeded','failed','cancelled'"
# Workloads of the release before have no retries; what it writes while this one is started has none either.


def _states(paused: str) -> None:
    op.drop_constraint(op.f("ck_workload_workload_state"), "workload_workload", type_="check")
    op.create_check_constraint(
        op.f("ck_workload_workload_state"), "workload_workload", f"state IN ({STATES.format(paused)})"
    )


def upgrade() -> None:
    op.create_table(
        "execution_checkpoint",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("workload_id", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("lease_id", sa.String(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("files", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("new_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["lease_id"], ["execution_lease.id"], name=op.f("fk_execution_checkpoint_lease_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_execution_checkpoint")),
        sa.UniqueConstraint("workload_id", "number", name=op.f("uq_execution_checkpoint_workload_id_number")),
    )
    op.create_table(
        "execution_checkpoint_blob",
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "sha256", name=op.f("pk_execution_checkpoint_blob")),
    )
    op.add_column("execution_lease", sa.Column("spot", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("execution_lease", sa.Column("preempted_for", sa.String(), nullable=True))
    op.add_column(
        "workload_workload", sa.Column("retries_left", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column("workload_workload", sa.Column("pause_reason", sa.String(), nullable=True))
    op.add_column("workload_workload", sa.Column("stop_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_workload_workload_stop_at",
        "workload_workload",
        ["stop_at"],
        unique=False,
        postgresql_where=sa.text("stop_at IS NOT NULL"),
    )
    _states("'paused',")


def downgrade() -> None:
    op.execute("UPDATE workload_workload SET state = 'cancelled' WHERE state = 'paused'")
    _states("")
    op.drop_index("ix_workload_workload_stop_at", table_name="workload_workload")
    op.drop_column("workload_workload", "stop_at")
    op.drop_column("workload_workload", "pause_reason")
    op.drop_column("workload_workload", "retries_left")
    op.drop_column("execution_lease", "preempted_for")
    op.drop_column("execution_lease", "spot")
    op.drop_table("execution_checkpoint_blob")
    op.drop_table("execution_checkpoint")
