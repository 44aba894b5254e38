"""Secrets of workloads: sealed while the workload lives, gone when it has ended."""

from collections.abc import Mapping

import orjson

from zhisuan.base.db import Tx
from zhisuan.base.errors import Unavailable
from zhisuan.base.text import Text
from zhisuan.base.vault import Vault
from zhisuan.workload.tables import WorkloadSecret


def keep(tx: Tx, vault: Vault, workload_id: str, values: Mapping[str, str]) -> None:
    """Seal the values, with the workload they belong to: a row put under another workload does not open."""
    if values:
        plain = orjson.dumps({"workload_id": workload_id, "values": dict(values)})
        tx.session.add(WorkloadSecret(workload_id=workload_id, sealed=vault.seal(plain, tx.now)))


def values_of(tx: Tx, vault: Vault, workload_id: str) -> dict[str, str]:
    """Empty where it has none, or has ended."""
    row = tx.session.get(WorkloadSecret, workload_id)
    if row is None:
        return {}
    opened = orjson.loads(vault.open(row.sealed))
    if opened["workload_id"] != workload_id:
        raise Unavailable(
            Text("The stored secrets are those of another workload.", "保存的密钥属于其他工作负载。"),
            Text("Restore the table workload_secret from a backup.", "请从备份恢复 workload_secret 表。"),
            code="seal_key",
        )
    return dict(opened["values"])


def forget(tx: Tx, workload_id: str) -> None:
    row = tx.session.get(WorkloadSecret, workload_id)
    if row is not None:
        tx.session.delete(row)
