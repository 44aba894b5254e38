"""What every route works with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import ParamSpec, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import Request

from zhisuan.base.db import Database
from zhisuan.base.notify import Hub
from zhisuan.base.settings import Settings
from zhisuan.base.store import Store
from zhisuan.base.vault import Vault
from zhisuan.wire.workspaces import workspace_address

P = ParamSpec("P")
R = TypeVar("R")
OWN_THREADS = 16


@dataclass(slots=True)
class Platform:
    """The parts of one server process; ``server_url`` and ``gateway_url`` are known once the ports are. ``own_threads`` are for what
    keeps running work alive and the account going, so that any number of other calls cannot hold it up."""

    database: Database
    settings: Settings
    hub: Hub
    store: Store
    server_url: str
    gateway_url: str
    vault: Vault
    own_threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(OWN_THREADS))

    async def in_own_thread(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return await anyio.to_thread.run_sync(partial(function, *args, **kwargs), limiter=self.own_threads)

    def workspace_address(self, workload_id: str) -> str | None:
        """Where a browser finds a workspace; None where workspaces have no host names of their own."""
        return workspace_address(self.settings.workspace_url, self.gateway_url, workload_id)

    @property
    def site_ttl(self) -> timedelta:
        return timedelta(seconds=self.settings.lease_ttl_seconds)

    @property
    def spot_least(self) -> timedelta:
        return timedelta(seconds=self.settings.spot_least_seconds)


def platform_of(request: Request) -> Platform:
    platform: Platform = request.app.state.platform
    return platform
