"""Takes committed usage to the server, again and again until the server has it."""

import asyncio
import logging
from collections.abc import Callable

from zhisuan.gateway.control import ControlClient, MessageRefused, ServerUnavailable
from zhisuan.gateway.journal import Journal, JournalError
from zhisuan.wire.gateway import TokenUsageBatch

log = logging.getLogger(__name__)
RETRY_SECONDS_MIN = 0.5
RETRY_SECONDS_MAX = 60.0
LAST_SECONDS_MAX = 2.0


class Shipper:
    """One batch at a time, oldest first. A batch that the server cannot take is halved until the row at fault stands
    alone; that row is set aside in the journal, so it neither blocks the others nor is lost."""

    def __init__(
        self,
        journal: Journal,
        control: ControlClient,
        gateway: str,
        written: asyncio.Event,
        *,
        interval_seconds: float,
        batch_max: int,
        random: Callable[[], float],
    ) -> None:
        self._journal = journal
        self._control = control
        self._gateway = gateway
        self._written = written
        self._interval_seconds = interval_seconds
        self._batch_max = batch_max
        self._batch = batch_max
        self._random = random
        self.shipped = 0

    async def run(self) -> None:
        delay = RETRY_SECONDS_MIN
        while True:
            try:
                while await self.ship_once():
                    delay = RETRY_SECONDS_MIN
            except (ServerUnavailable, JournalError) as error:
                log.warning("usage waits in the journal: %s", error)
                await asyncio.sleep(delay * (0.5 + self._random() / 2))
                delay = min(RETRY_SECONDS_MAX, delay * 2)
                continue
            await self._written.wait()
            self._written.clear()
            await asyncio.sleep(self._interval_seconds)

    async def ship_last(self) -> None:
        """Before the gateway stops: what can be delivered quickly; the rest stays for the next start."""
        try:
            async with asyncio.timeout(LAST_SECONDS_MAX):
                while await self.ship_once():
                    pass
        except (ServerUnavailable, JournalError, TimeoutError) as error:
            log.info("usage stays in the journal until the next start: %s", error)

    async def ship_once(self) -> bool:
        """Deliver one batch; False when there is nothing to deliver. Raises ``ServerUnavailable``."""
        events = await self._journal.pending(self._batch)
        if not events:
            return False
        ids = [event.id for event in events]
        try:
            answer = await self._control.usage(TokenUsageBatch(gateway=self._gateway, events=tuple(events)))
        except MessageRefused as error:
            await self._narrow(ids, error)
            return True
        refused = set(answer.refused) & set(ids)
        if refused:
            await self._set_aside(sorted(refused), "the server refused it")
        await self._journal.forget([ident for ident in ids if ident not in refused])
        self.shipped += len(ids) - len(refused)
        self._batch = min(self._batch_max, self._batch * 2)
        return True

    async def _narrow(self, ids: list[str], error: MessageRefused) -> None:
        if len(ids) == 1:
            await self._set_aside(ids, str(error))
        else:
            self._batch = len(ids) // 2

    async def _set_aside(self, ids: list[str], why: str) -> None:
        log.error("usage of %d calls is set aside in the journal, %s; the first is %s", len(ids), why, ids[0])
        await self._journal.refuse(ids)
