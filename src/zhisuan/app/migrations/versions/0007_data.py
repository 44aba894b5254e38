"""project data: content, uploads, volumes"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "data_content",
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("touched_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "sha256", name=op.f("pk_data_content")),
    )
    op.create_index(op.f("ix_data_content_sha256"), "data_content", ["sha256"], unique=False)
    op.create_index(op.f("ix_data_content_touched_at"), "data_content", ["touched_at"], unique=False)
    op.create_table(
        "data_doomed",
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_data_doomed")),
    )
    op.create_table(
        "data_quota",
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("bytes_used", sa.BigInteger(), nullable=False),
        sa.Column("bytes_max", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("bytes_used >= 0", name=op.f("ck_data_quota_used")),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_data_quota")),
    )
    op.create_table(
        "data_upload",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("offset_bytes", sa.BigInteger(), nullable=False),
        sa.Column("touched_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_upload")),
        sa.UniqueConstraint("owner", "sha256", name=op.f("uq_data_upload_owner_sha256")),
    )
    op.create_index(op.f("ix_data_upload_touched_at"), "data_upload", ["touched_at"], unique=False)
    op.create_table(
        "data_volume",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("current_number", sa.BigInteger(), nullable=False),
        sa.Column("last_number", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_by", sa.String(), nullable=True),
        sa.Column("delete_reason", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_volume")),
    )
    op.create_index(op.f("ix_data_volume_org_id_id"), "data_volume", ["org_id", "id"], unique=False)
    op.create_index(
        "uq_data_volume_name",
        "data_volume",
        ["org_id", "name"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "data_volume_use",
        sa.Column("workload_id", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("volume_id", sa.String(), nullable=False),
        sa.Column("version_id", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("workload_id", "target", name=op.f("pk_data_volume_use")),
    )
    op.create_index(op.f("ix_data_volume_use_version_id"), "data_volume_use", ["version_id"], unique=False)
    op.create_index(
        op.f("ix_data_volume_use_volume_id_workload_id"), "data_volume_use", ["volume_id", "workload_id"], unique=False
    )
    op.create_table(
        "data_piece",
        sa.Column("upload_id", sa.String(), nullable=False),
        sa.Column("at_byte", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["upload_id"], ["data_upload.id"], name=op.f("fk_data_piece_upload_id")),
        sa.PrimaryKeyConstraint("upload_id", "at_byte", name=op.f("pk_data_piece")),
    )
    op.create_table(
        "data_volume_version",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("volume_id", sa.String(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("parent_number", sa.BigInteger(), nullable=False),
        sa.Column("side", sa.String(), nullable=True),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("manifest_sha256", sa.String(), nullable=False),
        sa.Column("file_count", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("workload_id", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["volume_id"], ["data_volume.id"], name=op.f("fk_data_volume_version_volume_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_volume_version")),
        sa.UniqueConstraint("volume_id", "number", name=op.f("uq_data_volume_version_volume_id_number")),
    )
    op.create_table(
        "data_volume_file",
        sa.Column("version_id", sa.String(), nullable=False),
        sa.Column("path", sa.String(collation="C"), nullable=False),
        sa.Column("mode", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["version_id"], ["data_volume_version.id"], name=op.f("fk_data_volume_file_version_id")
        ),
        sa.PrimaryKeyConstraint("version_id", "path", name=op.f("pk_data_volume_file")),
    )
    op.create_index(op.f("ix_data_volume_file_sha256"), "data_volume_file", ["sha256"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_data_volume_file_sha256"), table_name="data_volume_file")
    op.drop_table("data_volume_file")
    op.drop_table("data_volume_version")
    op.drop_table("data_piece")
    op.drop_index(op.f("ix_data_volume_use_volume_id_workload_id"), table_name="data_volume_use")
    op.drop_index(op.f("ix_data_volume_use_version_id"), table_name="data_volume_use")
    op.drop_table("data_volume_use")
    op.drop_index("uq_data_volume_name", table_name="data_volume", postgresql_where=sa.text("deleted_at IS NULL"))
    op.drop_index(op.f("ix_data_volume_org_id_id"), table_name="data_volume")
    op.drop_table("data_volume")
    op.drop_index(op.f("ix_data_upload_touched_at"), table_name="data_upload")
    op.drop_table("data_upload")
    op.drop_table("data_quota")
    op.drop_table("data_doomed")
    op.drop_index(op.f("ix_data_content_touched_at"), table_name="data_content")
    op.drop_index(op.f("ix_data_content_sha256"), table_name="data_content")
    op.drop_table("data_content")
