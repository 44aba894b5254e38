"""What time brings to sites: recalls that are due, and figures that begin to hold."""

from datetime import timedelta

from zhisuan.api.platform import Platform
from zhisuan.execution import service as execution
from zhisuan.supply import service as supply

CAUSE = "taken back by the provider"
# How far back a figure that began to hold is looked for: longer than a server is ever down for an upgrade.
CONDITIONS_SPAN = timedelta(days=7)


def recalls(here: Platform) -> bool:
    """One recall a transaction: tell the work there once its time has come, and note when the last of it is gone."""
    with here.database.begin("recalls") as tx:
        found = supply.recalls_to_tend(tx)
    for recall_id in found:
        with here.database.begin("recalls") as tx:
            recall = supply.locked_recall(tx, recall_id)
            if recall is None:
                continue
            left = execution.take_back(tx, recall.site_id, grace_seconds=recall.notice_seconds, cause=CAUSE)
            supply.note_progress(tx, recall, left)
    return False


def conditions(here: Platform) -> bool:
    with here.database.begin("conditions") as tx:
        supply.bring_up_to_date(tx, supply.sites_with_due_conditions(tx, tx.now - CONDITIONS_SPAN))
    return False
