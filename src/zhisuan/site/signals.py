"""How the agent's lanes wake one another."""

import asyncio

PROGRESS_SECONDS = 0.1


class Pulse:
    """Asks for a report to the server: at once for what matters, coalesced to ``PROGRESS_SECONDS`` for the rest."""

    def __init__(self) -> None:
        self._any = asyncio.Event()
        self._now = asyncio.Event()
        self._last = float("-inf")

    def now(self) -> None:
        self._now.set()
        self._any.set()

    def soon(self) -> None:
        self._any.set()

    async def wait(self) -> None:
        """Return when a report is due; what is signalled from then on asks for another."""
        await self._any.wait()
        loop = asyncio.get_running_loop()
        early = self._last + PROGRESS_SECONDS - loop.time()
        if early > 0 and not self._now.is_set():
            try:
                async with asyncio.timeout(early):
                    await self._now.wait()
            except TimeoutError:
                pass
        self._any.clear()
        self._now.clear()
        self._last = loop.time()


class Signals:
    """``control``: something here or in the server's list has changed; ``usage``: windows wait to be sent; ``ended``: a run has
    ended."""

    def __init__(self) -> None:
        self.control = asyncio.Event()
        self.usage = asyncio.Event()
        self.ended = asyncio.Event()
        self.report = Pulse()
