"""links between sites"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("supply_site", sa.Column("echo_address", sa.String(), nullable=True))
    op.create_table(
        "supply_link",
        sa.Column("from_site_id", sa.String(), nullable=False),
        sa.Column("to_site_id", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("answered", sa.BigInteger(), nullable=False),
        sa.Column("median_us", sa.BigInteger(), nullable=True),
        sa.Column("best_us", sa.BigInteger(), nullable=True),
        sa.Column("bound_us", sa.BigInteger(), nullable=True),
        sa.Column("refused", sa.Boolean(), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["from_site_id"], ["supply_site.id"], name=op.f("fk_supply_link_from_site_id")),
        sa.ForeignKeyConstraint(["to_site_id"], ["supply_site.id"], name=op.f("fk_supply_link_to_site_id")),
        sa.PrimaryKeyConstraint("from_site_id", "to_site_id", name=op.f("pk_supply_link")),
    )
    op.create_index(op.f("ix_supply_link_to_site_id"), "supply_link", ["to_site_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_supply_link_to_site_id"), table_name="supply_link")
    op.drop_table("supply_link")
    op.drop_column("supply_site", "echo_address")
