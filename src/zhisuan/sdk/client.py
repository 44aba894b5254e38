"""The client: every call of the API in one place."""

from zhisuan.sdk.account import Account
from zhisuan.sdk.billing import Billing
from zhisuan.sdk.operation import Operation
from zhisuan.sdk.quotas import Quotas
from zhisuan.sdk.registry import Registry
from zhisuan.sdk.supply import Supply
from zhisuan.sdk.volumes import Volumes
from zhisuan.sdk.workloads import Workloads
from zhisuan.sdk.workspaces import Workspaces


class Client(Account, Workloads, Workspaces, Volumes, Registry, Billing, Supply, Operation, Quotas):
    """A platform, seen with one credential.

    >>> with Client("http://127.0.0.1:8620", key="zsk_…") as client:
    ...     launched = client.launch("train.yaml")
    ...     for event in client.watch(launched.workload.id):
    ...         ...

    ``language`` (``en`` or ``zh``) is that of error texts; ``timeout`` is seconds per answer; ``retries`` is how often a
    call is repeated. Every error is one of ``zhisuan.base.errors``. One client belongs to one thread at a time.
    """
