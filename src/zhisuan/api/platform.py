"""What every route works with."""

from dataclasses import dataclass
from datetime import timedelta

from fastapi import Request

from zhisuan.base.db import Database
from zhisuan.base.notify import Hub
from zhisuan.base.settings import Settings
from zhisuan.base.store import Store
from zhisuan.base.vault import Vault
from zhisuan.wire.workspaces import workspace_address


@dataclass(slots=True)
class Platform:
    """The parts of one server process; ``server_url`` and ``gateway_url`` are known once the ports are."""

    database: Database
    settings: Settings
    hub: Hub
    store: Store
    server_url: str
    gateway_url: str
    vault: Vault

    def workspace_address(self, workload_id: str) -> str | None:
        """Where a browser finds a workspace; None where workspaces have no host names of their own."""
        return workspace_address(self.settings.workspace_url, self.gateway_url, workload_id)

    @property
    def site_ttl(self) -> timedelta:
        return timedelta(seconds=self.settings.lease_ttl_seconds)


def platform_of(request: Request) -> Platform:
    platform: Platform = request.app.state.platform
    return platform
