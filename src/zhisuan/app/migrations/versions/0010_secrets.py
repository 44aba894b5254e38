"""secrets"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "workload_secret",
        sa.Column("workload_id", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("workload_id", name=op.f("pk_workload_secret")),
    )


def downgrade() -> None:
    op.drop_table("workload_secret")
