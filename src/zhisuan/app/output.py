"""Output's way out of the database, and its end."""

from datetime import timedelta

from zhisuan.api.platform import Platform
from zhisuan.execution import packing


def pack_output(here: Platform) -> bool:
    return packing.pack(here.database, here.store)


def remove_old_output(here: Platform) -> bool:
    kept = timedelta(days=here.settings.output_days)
    return packing.remove_old(here.database, here.store, here.database.clock.now() - kept)
