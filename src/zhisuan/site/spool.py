"""Usage windows from the journal to the server: oldest first, each until the server has taken it."""

from collections.abc import Callable

from zhisuan.site.backoff import Backoff, Link, log
from zhisuan.site.client import ServerClient
from zhisuan.site.errors import Refused, Unreachable
from zhisuan.site.journal import Journal
from zhisuan.site.signals import Signals
from zhisuan.wire.site import UsageBatch, UsageWindow

BATCH = 2_000


class Spool:
    def __init__(
        self, client: ServerClient, journal: Journal, signals: Signals, link: Link, new_backoff: Callable[[], Backoff]
    ) -> None:
        self._client = client
        self._journal = journal
        self._signals = signals
        self._link = link
        self._new_backoff = new_backoff

    async def run(self) -> None:
        """For ever. A refused batch is never dropped, and neither is a window that comes before its lease has been reported
        as active: it is metered time."""
        backoff = self._new_backoff()
        while True:
            self._signals.usage.clear()
            windows = self._journal.unsent_windows(BATCH)
            if not windows:
                await self._signals.usage.wait()
            elif not await self._send(windows):
                await backoff.pause()
            else:
                backoff.reset()

    async def _send(self, windows: list[UsageWindow]) -> bool:
        try:
            answer = await self._client.send_usage(UsageBatch(windows=tuple(windows)))
        except Unreachable as error:
            self._link.failed(error.why)
            return False
        except Refused as error:
            self._link.refused("usage windows", error.detail)
            return False
        self._link.succeeded()
        self._link.taken("usage windows")
        for refused in answer.refused:
            log.error("The server does not count the usage window %s; it keeps it aside with the reason.", refused)
        early = set(answer.retry)
        self._journal.windows_sent(w for w in windows if w.id not in early)
        self._signals.report.now()
        return not early
