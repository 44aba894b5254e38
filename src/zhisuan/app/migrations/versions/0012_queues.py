"""queues"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "workload_quota",
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=True),
        sa.Column("parent_id", sa.String(), nullable=True),
        sa.Column("cards_milli", sa.BigInteger(), nullable=False),
        sa.Column("cores_milli", sa.BigInteger(), nullable=False),
        sa.Column("cards_limit_milli", sa.BigInteger(), nullable=True),
        sa.Column("cores_limit_milli", sa.BigInteger(), nullable=True),
        sa.Column("weight", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("set_by", sa.String(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("cards_milli >= 0 AND cores_milli >= 0", name=op.f("ck_workload_quota_guaranteed")),
        sa.CheckConstraint(
            "cards_limit_milli >= cards_milli AND cores_limit_milli >= cores_milli", name=op.f("ck_workload_quota_limited")
        ),
        sa.CheckConstraint("weight >= 1", name=op.f("ck_workload_quota_weight")),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_workload_quota")),
    )
    op.create_index(op.f("ix_workload_quota_org_id"), "workload_quota", ["org_id"])
    op.create_table(
        "workload_used_hour",
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("cards_milli_seconds", sa.BigInteger(), nullable=False),
        sa.Column("cores_milli_seconds", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "hour", name=op.f("pk_workload_used_hour")),
    )
    op.create_index(op.f("ix_workload_used_hour_hour"), "workload_used_hour", ["hour"])
    op.add_column("execution_lease", sa.Column("project_id", sa.String(), server_default=sa.text("''"), nullable=False))
    op.add_column("execution_lease", sa.Column("cards_milli", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("execution_lease", sa.Column("cores_milli", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("execution_lease", sa.Column("used_noted", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.execute(
        """UPDATE execution_lease AS lease SET project_id = workload.project_id, used_noted = (lease.state = 'closed')
           FROM workload_workload AS workload WHERE workload.id = lease.workload_id"""
    )
    op.execute(
        """UPDATE execution_lease AS lease SET cards_milli = held.cards, cores_milli = held.cores FROM (
             SELECT lease_id, coalesce(sum(amount) FILTER (WHERE kind = 'accelerator'), 0) AS cards,
                    coalesce(sum(amount) FILTER (WHERE kind = 'cpu'), 0) AS cores
             FROM execution_allocation JOIN supply_device ON supply_device.id = device_id GROUP BY lease_id) AS held
           WHERE held.lease_id = lease.id AND lease.state <> 'closed'"""
    )
    op.create_index(
        "ix_execution_lease_held", "execution_lease", ["org_id"], postgresql_where=sa.text("state IN ('offered','accepted','active')")
    )
    op.create_index(
        "ix_execution_lease_unnoted", "execution_lease", ["org_id"],
        postgresql_where=sa.text("NOT used_noted AND active_from IS NOT NULL"),
    )  # fmt: skip


def downgrade() -> None:
    op.drop_index("ix_execution_lease_unnoted", table_name="execution_lease")
    op.drop_index("ix_execution_lease_held", table_name="execution_lease")
    for column in ("used_noted", "cores_milli", "cards_milli", "project_id"):
        op.drop_column("execution_lease", column)
    op.drop_table("workload_used_hour")
    op.drop_table("workload_quota")
