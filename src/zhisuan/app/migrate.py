"""Bringing a database to this version's tables."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from zhisuan.base.db import driver_url
from zhisuan.base.errors import Unavailable
from zhisuan.base.text import Text

FOLDER = Path(__file__).parent / "migrations"


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["url"] = driver_url(url)
    return config


def migrate(url: str) -> None:
    """Run the migrations that the database has not seen. Raises ``Unavailable`` for one made by a newer version."""
    config = _config(url)
    script = ScriptDirectory.from_config(config)
    engine = create_engine(driver_url(url))
    try:
        with engine.connect() as connection:
            at = MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
    if at is not None and at not in {r.revision for r in script.walk_revisions()}:
        raise Unavailable(
            Text(
                f"The database was made by a newer zhisuan (its schema is {at}).",
                f"数据库由更新版本的 zhisuan 创建（结构版本 {at}）。",
            ),
            Text("Start it with that version or a later one.", "请使用该版本或更高版本启动。"),
            code="newer_database",
        )
    if at != script.get_current_head():
        command.upgrade(config, "head")
