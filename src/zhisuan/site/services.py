"""Services of running leases: their way to the gateway, and whether they answer."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from zhisuan.engines.contract import Engine
from zhisuan.engines.errors import EngineError
from zhisuan.site.backoff import log
from zhisuan.site.book import Book, Held
from zhisuan.site.readiness import watch
from zhisuan.site.record import Key
from zhisuan.site.tunnel import Tunnel

RENEW_SECONDS = 5.0


class Services:
    """One tunnel to the gateway last heard of; none until an address is known."""

    def __init__(self, engine: Engine, book: Book, credential: str, fraction: Callable[[], float]) -> None:
        self._engine = engine
        self._book = book
        self._credential = credential
        self._fraction = fraction
        self._url: str | None = None
        self._moved = asyncio.Event()
        self._tunnel: Tunnel | None = None

    def use_gateway(self, url: str) -> None:
        if url != self._url:
            self._url = url
            self._moved.set()

    def use_credential(self, credential: str) -> None:
        """The site has a new credential: the gateway closes tunnels that were opened with the one before."""
        if credential != self._credential:
            self._credential = credential
            self._moved.set()

    async def run(self) -> None:
        """Keep the tunnel to the gateway, for ever; a new address or credential replaces it."""
        while True:
            if self._url is None:
                await self._moved.wait()
            self._moved.clear()
            if self._url is not None:
                await self._serve(self._url)

    async def _serve(self, url: str) -> None:
        """Hold the tunnel until the gateway has moved, or until an error in it that is said and survived."""
        self._tunnel = Tunnel(url, self._credential, self._socket, resolve_shell=self._shell, random=self._fraction)
        running = asyncio.create_task(self._tunnel.run())
        moved = asyncio.create_task(self._moved.wait())
        try:
            done, _ = await asyncio.wait({running, moved}, return_when=asyncio.FIRST_COMPLETED)
            if running in done and (error := running.exception()) is not None:
                log.error("The tunnel to %s broke; opening a new one.", url, exc_info=error)
                await asyncio.sleep(RENEW_SECONDS)
        finally:
            for task in (running, moved):
                task.cancel()
            await asyncio.gather(running, moved, return_exceptions=True)

    async def watch(self, held: Held) -> None:
        """Keep the readiness of one service up to date until it ends."""
        await watch(held, self._probe, self._book)

    def calls(self, key: Key) -> tuple[int, int]:
        """How many calls to the lease's service have begun in this tunnel, and how many of them are open."""
        return (0, 0) if self._tunnel is None else self._tunnel.calls(*key)

    async def _probe(self, lease_id: str, generation: int, path: str) -> bool:
        return self._tunnel is not None and await self._tunnel.probe(lease_id, generation, path)

    def _socket(self, lease_id: str, generation: int) -> Path | None:
        """Only a service that runs here now can be reached."""
        held = self._book.held.get(Key(lease_id, generation))
        if held is None or held.ended.is_set():
            return None
        if held.socket is None:
            try:
                held.socket = self._engine.service_socket(lease_id, generation)
            except EngineError:
                return None
        return held.socket

    async def _shell(self, lease_id: str, generation: int, rank: int) -> Path | None:
        """Only into work that runs here now."""
        held = self._book.held.get(Key(lease_id, generation))
        if held is None or held.ended.is_set():
            return None
        try:
            return await asyncio.to_thread(self._engine.shell_socket, lease_id, generation, rank)
        except EngineError:
            return None
