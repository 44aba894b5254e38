"""Two lanes to the server's sync call.

The long poll waits for a change of what should run; only its answers are acted upon, one after the other, so an old answer
never overtakes a new one. The quick lane tells at once what has changed here; of its answers only the taking counts.
Every request carries the latest of all leases and a rising ``sequence``: the server takes the highest.
"""

from collections.abc import Callable
from datetime import timedelta

from zhisuan.base.clock import Clock
from zhisuan.site.backoff import Backoff, Link, log
from zhisuan.site.book import Book
from zhisuan.site.client import ServerClient
from zhisuan.site.contact import Contact
from zhisuan.site.control import Control
from zhisuan.site.errors import Refused, Unreachable
from zhisuan.site.record import key_of
from zhisuan.site.signals import Signals
from zhisuan.wire.site import SyncAnswer, SyncRequest

WAIT_SECONDS = 20
CLOCK_OFFSET_MAX = timedelta(seconds=5)


class Sync:
    """``on_gateway`` is called with the gateway's address whenever an answer carries one."""

    def __init__(
        self,
        client: ServerClient,
        book: Book,
        control: Control,
        clock: Clock,
        contact: Contact,
        signals: Signals,
        link: Link,
        new_backoff: Callable[[], Backoff],
        *,
        agent_boot: str,
        on_gateway: Callable[[str], None],
    ) -> None:
        self._client = client
        self._book = book
        self._control = control
        self._clock = clock
        self._contact = contact
        self._signals = signals
        self._link = link
        self._new_backoff = new_backoff
        self._agent_boot = agent_boot
        self._on_gateway = on_gateway
        self._sequence = 0
        self._version: str | None = None
        self._clock_doubted = False

    async def poll(self) -> None:
        """The long poll, for ever."""
        backoff = self._new_backoff()
        while True:
            # Without an answer yet there is nothing to wait for; after a failure the server may know better than we.
            wait = WAIT_SECONDS if self._version is not None and self._link.up else 0
            answer = await self._sync(wait, backoff)
            if answer is not None:
                self._version = answer.version
                self._control.desire(answer.leases)
                self._check_clock(answer)
                if answer.gateway_url is not None:
                    self._on_gateway(answer.gateway_url)

    async def tell(self) -> None:
        """The quick lane, for ever."""
        backoff = self._new_backoff()
        while True:
            await self._signals.report.wait()
            while await self._sync(0, backoff, only_tells=True) is None:
                pass

    async def _sync(self, wait_seconds: int, backoff: Backoff, *, only_tells: bool = False) -> SyncAnswer | None:
        """One call; ``None`` after a failure and a pause."""
        self._sequence += 1
        request = SyncRequest(
            agent_boot=self._agent_boot,
            sequence=self._sequence,
            at=self._clock.now(),
            known_version=self._version,
            wait_seconds=wait_seconds,
            leases=tuple(self._control.reports()),
            only_tells=only_tells,
        )
        asked_at = self._contact.asking()
        try:
            answer = await self._client.sync(request)
        except Unreachable as error:
            self._link.failed(error.why)
        except Refused as error:
            self._link.refused("the report of leases", error.detail)
        else:
            self._contact.answered(asked_at)
            self._link.succeeded()
            self._link.taken("the report of leases")
            backoff.reset()
            self._acknowledge(request)
            return answer
        await backoff.pause()
        return None

    def _acknowledge(self, request: SyncRequest) -> None:
        for told in request.leases:
            held = self._book.held.get(key_of(told))
            if told.complete and held is not None and not held.acknowledged:
                held.acknowledged = True
                self._signals.control.set()

    def _check_clock(self, answer: SyncAnswer) -> None:
        offset = self._clock.now() - answer.server_time
        doubted = abs(offset) > CLOCK_OFFSET_MAX
        if doubted and not self._clock_doubted:
            seconds = round(offset.total_seconds())
            log.warning(
                "This machine's clock is %+d s off the server's; let NTP keep it, since metering uses it.", seconds
            )
        self._clock_doubted = doubted
