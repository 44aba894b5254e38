"""Work with standby sites leaves a draining site."""

from zhisuan.api import standby
from zhisuan.api.platform import Platform


def leave_draining(here: Platform) -> bool:
    """One lease at a time; see ``standby.can_move``."""
    with here.database.begin("standby") as tx:
        found = standby.can_move(tx, here.site_ttl)
    for lease_id in found[:1]:
        with here.database.begin("standby") as tx:
            standby.move(tx, lease_id)
    return False
