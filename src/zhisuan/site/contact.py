"""How long the server has surely not renewed this site's leases: the clock of the fence.

The server renews all leases of a site at some moment between a sync's sending and its answer, so the time of *sending* is
the last that is surely not later than its own. The clock is the one since boot, suspended time included: a wall clock that
is set forward or back stops nothing and keeps nothing alive.
"""

import time
from collections.abc import Callable
from pathlib import Path

import psutil

from zhisuan.base.clock import Clock
from zhisuan.site.journal import Journal

KEEP_SECONDS = 10.0
SETTLING_SECONDS = 30.0
START_SILENCE_SECONDS = 60.0
_FACT = "contact"


def since_boot() -> float:
    """Seconds since the host came up, suspended time included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def host_boot() -> str:
    """What changes when the host starts anew; where the system has no id for it, the second it came up."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return f"up-since-{int(psutil.boot_time())}"


class Contact:
    """Kept in the journal, so that an agent that was away counts the time it was away as silence."""

    def __init__(
        self, journal: Journal, clock: Clock, boot_id: str, boottime: Callable[[], float] = since_boot
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._boot_id = boot_id
        self._boottime = boottime
        self._began = boottime()
        self._kept_at = float("-inf")
        self._heard_at = self._began - self._silence_before()
        self._heard_now = False

    def _silence_before(self) -> float:
        """Seconds from the last answer to the agent before this one until now; over a reboot only the wall clock tells."""
        kept = self._journal.fact(_FACT)
        if kept is None:
            return 0.0
        if kept["boot_id"] == self._boot_id:
            return max(0.0, self._began - float(kept["boottime"]))
        return max(0.0, self._clock.now().timestamp() - float(kept["wall"]))

    def asking(self) -> float:
        """The time to note before a sync is sent."""
        return self._boottime()

    def answered(self, asked_at: float) -> None:
        """A sync that was sent at ``asked_at`` has got its answer."""
        self._heard_at = max(self._heard_at, asked_at)
        if asked_at - self._kept_at >= KEEP_SECONDS or not self._heard_now:
            wall = self._clock.now().timestamp() - (self._boottime() - asked_at)
            self._journal.keep_fact(_FACT, {"boot_id": self._boot_id, "boottime": asked_at, "wall": wall})
            self._kept_at = asked_at
        self._heard_now = True

    @property
    def silent_seconds(self) -> float:
        """At most this long ago the server renewed the leases. An agent that has just begun is given time to ask."""
        now = self._boottime()
        if not self._heard_now and now - self._began < SETTLING_SECONDS:
            return 0.0
        return now - self._heard_at

    @property
    def may_start(self) -> bool:
        """Whether an offer that has not begun may begin: not one that was heard long ago."""
        return self._heard_now and self._boottime() - self._heard_at <= START_SILENCE_SECONDS
