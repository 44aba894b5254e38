"""supply changes"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SITE_COLUMNS = ("id", "provider_id", "name", "state", "region", "pue_milli", "offering", "engine", "clock_offset_ms")


def note(name: str, kind: str, column: str) -> str:
    return f"""CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
INSERT INTO supply_change (kind, subject) VALUES ('{kind}', COALESCE(NEW.{column}, OLD.{column})) ON CONFLICT DO NOTHING;
RETURN NULL; END $$"""  # noqa: S608 - our own names


def triggers(table: str, function: str, when: str = "OLD.* IS DISTINCT FROM NEW.*") -> list[str]:
    return [
        f"CREATE OR REPLACE TRIGGER note_change AFTER INSERT OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()",
        f"CREATE OR REPLACE TRIGGER note_update AFTER UPDATE ON {table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {function}()",
    ]


def site_differs() -> str:
    old, new = (", ".join(f"{side}.{column}" for column in SITE_COLUMNS) for side in ("OLD", "NEW"))
    return (
        f"({old}) IS DISTINCT FROM ({new}) OR (OLD.last_seen_at IS NULL) <> (NEW.last_seen_at IS NULL)"
        " OR NEW.last_seen_at < OLD.last_seen_at"
    )


def upgrade() -> None:
    op.create_table(
        "supply_change",
        sa.Column("xid", sa.BigInteger(), server_default=sa.text("((pg_current_xact_id())::text)::bigint"), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("xid", "kind", "subject", name=op.f("pk_supply_change")),
    )
    for statement in (
        note("supply_note_node", "node", "id"),
        note("supply_note_node_of", "node", "node_id"),
        note("supply_note_site", "site", "id"),
        note("supply_note_site_of", "site", "site_id"),
        *triggers("supply_node", "supply_note_node"),
        *triggers("supply_device", "supply_note_node_of"),
        *triggers("supply_site", "supply_note_site", site_differs()),
        *triggers("supply_recall", "supply_note_site_of"),
        *triggers("supply_rate_factor", "supply_note_site_of"),
    ):
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    for table in ("supply_node", "supply_device", "supply_site", "supply_recall", "supply_rate_factor"):
        op.execute(f"DROP TRIGGER note_change ON {table}")
        op.execute(f"DROP TRIGGER note_update ON {table}")
    for name in ("supply_note_node", "supply_note_node_of", "supply_note_site", "supply_note_site_of"):
        op.execute(f"DROP FUNCTION {name}")
    op.drop_table("supply_change")
