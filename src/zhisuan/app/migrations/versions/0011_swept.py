"""swept"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "execution_checkpoint_blob",
        sa.Column("touched_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    for table, columns in (
        ("execution_checkpoint_blob", ["touched_at"]),
        ("execution_checkpoint_blob", ["sha256"]),
        ("execution_artefact", ["sha256"]),
        ("execution_log_volume", ["sha256"]),
        ("workload_blob", ["sha256"]),
    ):
        op.create_index(op.f(f"ix_{table}_{columns[0]}"), table, columns)
    op.create_index(
        op.f("ix_execution_checkpoint_files"), "execution_checkpoint", ["files"], postgresql_using="gin",
        postgresql_ops={"files": "jsonb_path_ops"},
    )  # fmt: skip
    op.create_table(
        "data_swept",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("file_count", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('content','upload','received')", name=op.f("ck_data_swept_kind")),
        sa.PrimaryKeyConstraint("day", "kind", name=op.f("pk_data_swept")),
    )


def downgrade() -> None:
    op.drop_table("data_swept")
    op.drop_index(op.f("ix_execution_checkpoint_files"), table_name="execution_checkpoint")
    for table in ("workload_blob", "execution_log_volume", "execution_artefact", "execution_checkpoint_blob"):
        op.drop_index(op.f(f"ix_{table}_sha256"), table_name=table)
    op.drop_index(op.f("ix_execution_checkpoint_blob_touched_at"), table_name="execution_checkpoint_blob")
    op.drop_column("execution_checkpoint_blob", "touched_at")
