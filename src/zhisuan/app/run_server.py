"""``python -m zhisuan.app.run_server``: the server process; its configuration comes as JSON on standard input."""

import logging
import sys
from pathlib import Path

import orjson

from zhisuan.app.server import ServerConfig, run_server
from zhisuan.base.settings import Settings

if __name__ == "__main__":
    told = orjson.loads(sys.stdin.buffer.read())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("httpx", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    settings = Settings(**told["settings"])
    Path(settings.data_dir).mkdir(parents=True, exist_ok=True)
    run_server(
        ServerConfig(
            settings=settings,
            database_url=told["database_url"],
            server_url=told["server_url"],
            gateway_url=told["gateway_url"],
            storage_secret=told["storage_secret"],
            seal_keys=told["seal_keys"],
        ),
        settings.host,
        settings.server_port,
    )
