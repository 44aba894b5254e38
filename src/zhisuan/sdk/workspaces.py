"""Workspaces: list them, and get into one. They are launched and ended as workloads."""

from collections.abc import Iterator

from zhisuan.sdk.transport import Transport
from zhisuan.sdk.types.workspaces import Workspace, WorkspaceLink


class Workspaces(Transport):
    def workspaces(self) -> Iterator[Workspace]:
        """Newest first."""
        return self._pages(Workspace, "workspaces")

    def workspace(self, workload_id: str) -> Workspace:
        return self._get(Workspace, "workspaces", workload_id)

    def workspace_link(self, workload_id: str, *, idempotency_key: str | None = None) -> WorkspaceLink:
        """An address for one browser. Raises ``Conflict`` for one that has ended, or where browsers cannot reach workspaces."""
        return self._post(WorkspaceLink, "workspaces", workload_id, "link", idempotency_key=idempotency_key)
