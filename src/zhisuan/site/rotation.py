"""A new credential now and then, and when somebody at the machine asks for one.

1. The agent makes a secret and keeps it beside the old one.
2. It sends the secret's digest with the old one; the server takes both from then on.
3. It asks with the new one: at this first use the server drops the old one.
4. It keeps the new one alone.

Killed after any of these, the next agent asks with the new one first: accepted means that 3 was reached; refused means that
the old one still holds, and the same secret is offered again from 2.
"""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

from zhisuan.base.clock import Clock
from zhisuan.base.ids import Ids
from zhisuan.base.secrets import digest
from zhisuan.site.backoff import Backoff, Fraction, Link, log, until_reached
from zhisuan.site.client import ServerClient
from zhisuan.site.errors import CredentialRevoked, Refused
from zhisuan.site.identity import Identity, keep
from zhisuan.wire.joining import SiteStanding

LOOK_SECONDS = 600.0
ASK_SIGNAL = signal.SIGUSR1


class Rotation:
    """The credential of one agent; the client always carries the one that works. ``on_change`` is called with each new
    one."""

    def __init__(
        self,
        data_dir: Path,
        identity: Identity,
        client: ServerClient,
        clock: Clock,
        ids: Ids,
        link: Link,
        fraction: Fraction,
        *,
        on_change: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.identity = identity
        self._data_dir = data_dir
        self._client = client
        self._clock = clock
        self._ids = ids
        self._link = link
        self._fraction = fraction
        self._on_change = on_change
        self._asked = asyncio.Event()

    async def settle(self) -> None:
        """Find out which credential holds, after an agent that may have been killed while it replaced it; keeps trying
        while the server is away. When neither does, the client is left with the old one, whose next call says so."""
        waiting = self.identity.next_credential
        self._client.credential = waiting or self.identity.credential
        if not waiting:
            return
        try:
            await self._reach_standing()
        except CredentialRevoked:
            self._client.credential = self.identity.credential
        else:
            self._take(waiting)

    async def run(self) -> None:
        """For ever: rotate when the platform finds the credential old enough, and at once on ``ASK_SIGNAL``."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(ASK_SIGNAL, self._asked.set)
        try:
            while True:
                await self._look()
        finally:
            loop.remove_signal_handler(ASK_SIGNAL)

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(LOOK_SECONDS * (1 - self._fraction() / 2)):
                await self._asked.wait()
        except TimeoutError:
            pass
        asked = self._asked.is_set()
        self._asked.clear()
        try:
            if asked or (await self._reach_standing()).rotation_due:
                await self.rotate()
        except Refused as error:
            # A server that does not know of this is older; the credential holds as it is.
            self._link.refused("a new credential", error.detail)
        else:
            self._link.taken("a new credential")

    async def rotate(self) -> None:
        """Replace the credential; keeps trying while the server is away. Raises CredentialRevoked and Refused."""
        new = self.identity.next_credential or self._ids.secret("zsc")
        self._keep(self.identity.model_copy(update={"next_credential": new}))
        await until_reached(self._link, self._backoff(), lambda: self._client.send_credential(digest(new)))
        self._client.credential = new
        await self._reach_standing()
        self._take(new)
        log.info("This site has a new credential; the one before is worth nothing now.")

    def _take(self, credential: str) -> None:
        self._on_change(credential)
        taken = {"credential": credential, "next_credential": "", "since": self._clock.now()}
        self._keep(self.identity.model_copy(update=taken))

    def _keep(self, identity: Identity) -> None:
        keep(self._data_dir, identity)
        self.identity = identity

    async def _reach_standing(self) -> SiteStanding:
        return await until_reached(self._link, self._backoff(), self._client.standing)

    def _backoff(self) -> Backoff:
        return Backoff(self._fraction)
