"""Who may decide how a run goes on: whoever writes its claim first, for ever.

The node claims a run before it touches anything of the tenant's. The agent claims one that must never begin (stopped
while it was queued, refused by Ray), and writes with the claim how it ended. So an end that the agent has told and a
start that comes late exclude each other, however slow the cluster is.
"""

import os

from zhisuan.engines.local import records
from zhisuan.engines.local.paths import RunPaths


def ticket_path(paths: RunPaths) -> str:
    """Record of the one job that may carry the run out: ``submission_id``. Written before Ray is asked."""
    return f"{paths.folder}/ticket"


def ticket(paths: RunPaths) -> str | None:
    return dict(records.read(ticket_path(paths)) or []).get("submission_id")


def claim_path(paths: RunPaths) -> str:
    return f"{paths.folder}/claim"


def claimed_by_agent(claim: dict[str, str]) -> bool:
    return claim.get("by") == "agent"


def claim_for_node(paths: RunPaths, submission_id: str) -> bool:
    """True when the run is this process's to carry out. False when it must not begin, or its folder is gone or has
    become that of a later job."""
    if ticket(paths) != submission_id:
        return False
    try:
        return records.write_once(claim_path(paths), [("by", "node"), ("pid", str(os.getpid()))])
    except FileNotFoundError:
        return False


def claim_for_agent(paths: RunPaths, end: records.Pairs) -> bool:
    """``end``: the exit record of a run that never begins. True when this call won."""
    return records.write_once(claim_path(paths), [("by", "agent"), *end])
