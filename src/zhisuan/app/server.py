"""The server process: API, wire, console and reconcilers in one ASGI application."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI

from zhisuan.api.build import add_api, new_app
from zhisuan.api.platform import Platform
from zhisuan.app.reconcilers import STEPS, run_step
from zhisuan.base.clock import SystemClock
from zhisuan.base.db import Database
from zhisuan.base.ids import TimeOrderedIds
from zhisuan.base.notify import Hub
from zhisuan.base.settings import Settings
from zhisuan.base.store import Store
from zhisuan.base.vault import Vault
from zhisuan.execution.placing import SITE_CHANNEL
from zhisuan.execution.service import ROUTES_CHANNEL
from zhisuan.workload.service import WATCH_CHANNEL


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What a server process is told at its start."""

    settings: Settings
    database_url: str
    server_url: str
    gateway_url: str
    storage_secret: str
    seal_keys: str | None = None
    reconcile: bool = True


def build_server(config: ServerConfig) -> FastAPI:
    """The application; its lifespan listens for changes and runs the reconcilers."""
    clock = SystemClock()
    database = Database(config.database_url, clock, TimeOrderedIds(clock))
    hub = Hub(config.database_url, (SITE_CHANNEL, WATCH_CHANNEL, ROUTES_CHANNEL))
    platform = Platform(
        database=database, settings=config.settings, hub=hub, store=Store(config.settings.artefact_address, config.settings.artefact_options, config.settings.data_dir / "incoming"),
        server_url=config.server_url, gateway_url=config.gateway_url,
        vault=Vault.of_installation(config.settings.data_dir, config.seal_keys),
    )  # fmt: skip

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        hub.start()
        tasks = [asyncio.create_task(run_step(platform, s)) for s in STEPS] if config.reconcile else []
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            hub.stop()
            database.close()

    app = add_api(new_app(lifespan=lifespan), platform)
    if config.settings.console:
        from zhisuan.console.app import mount

        mount(app, api_url=config.server_url, storage_secret=config.storage_secret)
    return app


def run_server(config: ServerConfig, host: str, port: int) -> None:
    """Serve until told to stop (SIGINT, SIGTERM)."""
    os.environ.setdefault("NICEGUI_STORAGE_PATH", str(config.settings.data_dir / "console"))
    uvicorn.run(
        build_server(config), host=host, port=port, log_level="warning", access_log=False, server_header=False,
        timeout_graceful_shutdown=3, ws_per_message_deflate=False,
    )  # fmt: skip
