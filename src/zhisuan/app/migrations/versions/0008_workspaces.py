"""workspaces"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

KINDS = "kind IN ('job','service','workspace')"
KINDS_BEFORE = "kind IN ('job','service')"


def upgrade() -> None:
    op.drop_constraint(op.f("ck_workload_workload_kind"), "workload_workload", type_="check")
    op.create_check_constraint(op.f("ck_workload_workload_kind"), "workload_workload", KINDS)
    op.create_table(
        "workload_workspace_session",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("workload_id", sa.String(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("ticket_digest", sa.String(), nullable=False),
        sa.Column("ticket_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("session_digest", sa.String(), nullable=True),
        sa.Column("session_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workload_id"], ["workload_workload.id"], name=op.f("fk_workload_workspace_session_workload_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workload_workspace_session")),
        sa.UniqueConstraint("session_digest", name=op.f("uq_workload_workspace_session_session_digest")),
        sa.UniqueConstraint("ticket_digest", name=op.f("uq_workload_workspace_session_ticket_digest")),
    )
    op.create_index(
        op.f("ix_workload_workspace_session_workload_id"), "workload_workspace_session", ["workload_id"], unique=False
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_workload_workspace_session_workload_id"), table_name="workload_workspace_session")
    op.drop_table("workload_workspace_session")
    op.drop_constraint(op.f("ck_workload_workload_kind"), "workload_workload", type_="check")
    op.create_check_constraint(op.f("ck_workload_workload_kind"), "workload_workload", KINDS_BEFORE)
