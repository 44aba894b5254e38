"""Following a workload on behalf of one open page: the platform's events in, text and states out."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from zhisuan.console.client import Api, ApiAway, ApiProblem, Json

PUSH_SECONDS = 0.15
BACKLOG_CHARACTERS_MAX = 300_000
RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0)


@dataclass(slots=True)
class Watch:
    """One page's view of a workload's output.

    ``on_text`` gets output in order, gathered so that a chatty workload sends a few messages a second and not thousands;
    when more than a page can show has gathered, the oldest is left out and ``cut`` says so. ``on_state`` gets each new state
    of the workload; ``on_link`` ``live``, ``lost`` or ``ended``.
    """

    api: Api
    workload_id: str
    cut: str
    on_text: Callable[[str], None]
    on_state: Callable[[Json], Awaitable[None]]
    on_link: Callable[[str], None]
    _offset: int = 0
    _gathered: list[str] = field(default_factory=list)
    _gathered_length: int = 0
    _paused: bool = False
    _ended: bool = False

    async def run(self) -> None:
        """Follow until the workload has ended and all its output has come; start again where a broken link left off."""
        pushing = asyncio.create_task(self._push_often())
        failures = 0
        try:
            while not self._ended:
                before = self._offset
                try:
                    await self._follow()
                except ApiProblem:
                    self._push()
                    return
                except ApiAway:
                    self.on_link("lost")
                failures = 0 if self._offset > before else failures + 1
                if not self._ended:
                    await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
        finally:
            pushing.cancel()

    def pause(self, paused: bool) -> None:
        """Hold the output back, or let it go on; nothing is lost meanwhile but what no page could show."""
        self._paused = paused
        if not paused:
            self._push()

    async def _follow(self) -> None:
        async for event in self.api.events(f"/workloads/{self.workload_id}/watch", offset=self._offset):
            if event.name == "log":
                self._gather(str(event.data["text"]))
                self._offset = int(event.data["next_offset"])
            elif event.name == "state":
                self.on_link("live")
                await self.on_state(event.data)
            elif event.name == "end":
                self._ended = True
                self._push()
                await self.on_state(event.data)
                self.on_link("ended")
                return

    def _gather(self, text: str) -> None:
        self._gathered.append(text)
        self._gathered_length += len(text)
        if self._gathered_length > 2 * BACKLOG_CHARACTERS_MAX:
            kept = "".join(self._gathered)[-BACKLOG_CHARACTERS_MAX:]
            _, _, kept = kept.partition("\n")
            self._gathered = [self.cut, kept]
            self._gathered_length = len(self.cut) + len(kept)

    def _push(self) -> None:
        if self._gathered and not self._paused:
            text = "".join(self._gathered)
            self._gathered, self._gathered_length = [], 0
            self.on_text(text)

    async def _push_often(self) -> None:
        while True:
            await asyncio.sleep(PUSH_SECONDS)
            self._push()
