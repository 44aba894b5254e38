"""constraints"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

SITE_COLUMNS = ("id", "provider_id", "name", "state", "region", "pue_milli", "offering", "engine", "clock_offset_ms")
SITE_COLUMNS_MORE = ("green_ppm", "latitude_e6", "longitude_e6")


def note_update(table: str, function: str, when: str = "OLD.* IS DISTINCT FROM NEW.*") -> str:
    return f"CREATE OR REPLACE TRIGGER note_update AFTER UPDATE ON {table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {function}()"


def site_differs(columns: tuple[str, ...]) -> str:
    old, new = (", ".join(f"{side}.{column}" for column in columns) for side in ("OLD", "NEW"))
    return (
        f"({old}) IS DISTINCT FROM ({new}) OR (OLD.last_seen_at IS NULL) <> (NEW.last_seen_at IS NULL)"
        " OR NEW.last_seen_at < OLD.last_seen_at"
    )


def upgrade() -> None:
    op.add_column("supply_site", sa.Column("green_ppm", sa.BigInteger(), nullable=True))
    op.create_check_constraint(op.f("ck_supply_site_green"), "supply_site", "green_ppm BETWEEN 0 AND 1000000")
    op.drop_constraint(op.f("ck_supply_site_condition_name"), "supply_site_condition", type_="check")
    op.create_check_constraint(
        op.f("ck_supply_site_condition_name"), "supply_site_condition", "name IN ('pue_milli','tariff_ucny_per_kwh','green_ppm')"
    )
    op.create_table(
        "supply_demand_place",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("latitude_e6", sa.BigInteger(), nullable=False),
        sa.Column("longitude_e6", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_supply_demand_place")),
        sa.UniqueConstraint("name", name=op.f("uq_supply_demand_place_name")),
    )
    op.create_table(
        "supply_place_link",
        sa.Column("place_id", sa.String(), nullable=False),
        sa.Column("site_id", sa.String(), nullable=False),
        sa.Column("direction", sa.String(), nullable=False),
        sa.Column("round_trip_us", sa.BigInteger(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.CheckConstraint("direction IN ('from_place','from_site')", name=op.f("ck_supply_place_link_direction")),
        sa.CheckConstraint("method IN ('measured','stated','computed')", name=op.f("ck_supply_place_link_method")),
        sa.CheckConstraint("round_trip_us > 0", name=op.f("ck_supply_place_link_round_trip")),
        sa.ForeignKeyConstraint(
            ["place_id"], ["supply_demand_place.id"], name=op.f("fk_supply_place_link_place_id_supply_demand_place")
        ),
        sa.ForeignKeyConstraint(["site_id"], ["supply_site.id"], name=op.f("fk_supply_place_link_site_id_supply_site")),
        sa.PrimaryKeyConstraint("place_id", "site_id", "direction", name=op.f("pk_supply_place_link")),
    )
    op.create_index(op.f("ix_supply_place_link_site_id"), "supply_place_link", ["site_id"])
    for statement in (
        "CREATE OR REPLACE TRIGGER note_change AFTER INSERT OR DELETE ON supply_place_link"
        " FOR EACH ROW EXECUTE FUNCTION supply_note_site_of()",
        note_update("supply_place_link", "supply_note_site_of"),
        note_update("supply_site", "supply_note_site", site_differs((*SITE_COLUMNS, *SITE_COLUMNS_MORE))),
    ):
        op.get_bind().exec_driver_sql(statement)
    for name in ("start_after", "start_by", "deadline"):
        op.add_column("workload_workload", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_workload_workload_deadline", "workload_workload", ["deadline"], postgresql_where=sa.text("deadline IS NOT NULL")
    )


def downgrade() -> None:
    op.drop_index("ix_workload_workload_deadline", table_name="workload_workload")
    for name in ("start_after", "start_by", "deadline"):
        op.drop_column("workload_workload", name)
    op.get_bind().exec_driver_sql(note_update("supply_site", "supply_note_site", site_differs(SITE_COLUMNS)))
    op.drop_table("supply_place_link")
    op.drop_table("supply_demand_place")
    op.execute("DELETE FROM supply_site_condition WHERE name = 'green_ppm'")
    op.drop_constraint(op.f("ck_supply_site_condition_name"), "supply_site_condition", type_="check")
    op.create_check_constraint(
        op.f("ck_supply_site_condition_name"), "supply_site_condition", "name IN ('pue_milli','tariff_ucny_per_kwh')"
    )
    op.drop_constraint(op.f("ck_supply_site_green"), "supply_site", type_="check")
    op.drop_column("supply_site", "green_ppm")
