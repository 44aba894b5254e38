"""log volumes"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "execution_log_volume",
        sa.Column("lease_id", sa.String(), nullable=False),
        sa.Column("at_byte", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=False),
        sa.Column("packed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["lease_id"], ["execution_lease.id"], name=op.f("fk_execution_log_volume_lease_id")),
        sa.PrimaryKeyConstraint("lease_id", "at_byte", name=op.f("pk_execution_log_volume")),
    )


def downgrade() -> None:
    op.drop_table("execution_log_volume")
