"""From the end of a call to the server's books: nothing lost, nothing twice.

1. A call begins: it is in ``Meter``'s memory only.
2. Once a second, calls that have delivered something are checkpointed: a crash loses at most the last second of a
   stream that was cut off by it.
3. A call ends: its usage is committed before the client gets ``[DONE]`` or the whole answer.
4. ``Shipper`` sends what is committed, and sends it again until the server has taken it. The id is the call's, so the
   server knows a repetition.
5. Taken usage is deleted.
"""

import asyncio
import logging
from dataclasses import dataclass, field

from zhisuan.gateway.calls import Call, Outcome
from zhisuan.gateway.journal import Journal, JournalError
from zhisuan.wire.gateway import TokenUsage

log = logging.getLogger(__name__)
CHECKPOINT_BATCH = 200


@dataclass(slots=True)
class Totals:
    """Since the start of this process."""

    calls: dict[str, int] = field(default_factory=lambda: {"completed": 0, "client_closed": 0, "upstream_failed": 0})
    input_tokens: int = 0
    output_tokens: int = 0


class Meter:
    """Knows the calls that run, and hands their usage to the journal when they end."""

    def __init__(self, journal: Journal, *, checkpoint_seconds: float) -> None:
        self._journal = journal
        self._checkpoint_seconds = checkpoint_seconds
        self._running: dict[str, Call] = {}
        self._unwritten: dict[str, TokenUsage] = {}
        self.totals = Totals()
        self.written = asyncio.Event()

    @property
    def healthy(self) -> bool:
        """Whether usage can be kept; calls that cannot be metered are not taken."""
        return not self._unwritten

    @property
    def running(self) -> int:
        return len(self._running)

    def begin(self, call: Call) -> None:
        self._running[call.id] = call

    def leave(self, call: Call) -> None:
        """The call ended without anything to meter: no replica was asked, or it refused."""
        self._running.pop(call.id, None)

    async def finish(self, call: Call, outcome: Outcome) -> None:
        """Commit the call's usage; ``JournalError`` when that fails, and then it is tried again in the background.

        A call is finished once: its first end counts.
        """
        usage = self._end(call, outcome)
        if usage is not None:
            await self._write(usage)

    def finish_aside(self, call: Call, outcome: Outcome) -> None:
        """As ``finish``, for a task that is being cancelled and cannot wait."""
        usage = self._end(call, outcome)
        if usage is not None:
            self._journal.record(usage).add_done_callback(lambda done: self._noted(usage, done))

    async def run(self) -> None:
        """Checkpoint what runs, and write again what could not be written."""
        while True:
            await asyncio.sleep(self._checkpoint_seconds)
            await self._checkpoint()

    def _end(self, call: Call, outcome: Outcome) -> TokenUsage | None:
        if self._running.pop(call.id, None) is None:
            return None
        usage = call.usage(outcome, asyncio.get_running_loop().time())
        if usage is not None:
            self.totals.calls[outcome] += 1
            self.totals.input_tokens += usage.input_tokens
            self.totals.output_tokens += usage.output_tokens
        return usage

    async def _write(self, usage: TokenUsage) -> None:
        future = self._journal.record(usage)
        future.add_done_callback(lambda done: self._noted(usage, done))
        await asyncio.shield(future)

    def _noted(self, usage: TokenUsage, done: asyncio.Future[None]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._unwritten[usage.id] = usage
        else:
            self._unwritten.pop(usage.id, None)
            self.written.set()

    async def _checkpoint(self) -> None:
        for usage in list(self._unwritten.values()):
            try:
                await self._write(usage)
            except JournalError:
                return
        moved = [call for call in self._running.values() if call.pieces > call.pieces_checkpointed]
        for start in range(0, len(moved), CHECKPOINT_BATCH):
            await self._keep_partial(moved[start : start + CHECKPOINT_BATCH])

    async def _keep_partial(self, calls: list[Call]) -> None:
        now = asyncio.get_running_loop().time()
        rows = []
        for call in calls:
            # One that ended while an earlier batch was being written must not come back as running.
            usage = call.usage("upstream_failed", now) if call.id in self._running else None
            if usage is not None:
                rows.append(usage)
                call.pieces_checkpointed = call.pieces
        try:
            await self._journal.checkpoint(rows)
        except JournalError as error:
            log.warning("running calls were not checkpointed: %s", error)
