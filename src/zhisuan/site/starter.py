"""Starting one lease: archives first, then the journal, then the engine."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from zhisuan.base.clock import Clock
from zhisuan.engines.contract import AcceleratorGrant, Engine, ExitReason
from zhisuan.engines.errors import EngineError, EngineUnavailable, InvalidSpec, UnknownRun
from zhisuan.site.backoff import Backoff, log
from zhisuan.site.blobs import BlobCache, BlobMissing
from zhisuan.site.book import Book, Held
from zhisuan.site.client import ServerClient
from zhisuan.site.contact import Contact
from zhisuan.site.errors import AgentStop, Refused, Unreachable
from zhisuan.site.reconcile import Run
from zhisuan.site.record import Stage, Step, ended_without_run
from zhisuan.site.runspec import DeviceGone, blob_ids, run_spec
from zhisuan.site.volumes.cache import VolumeCache, VolumeUnusable

UNAVAILABLE_SECONDS = 2.0


def fetching_text(name: str, here: int, total: int) -> str:
    """``Fetching volume 老数据: 1.2 of 8.0 GB.``, in the unit that fits the whole; it changes with each tenth of it."""
    size, unit = next((s, u) for s, u in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"), (1, "B")) if total >= s or s == 1)
    shown = [f"{n * 10 // size // 10}.{n * 10 // size % 10}" if size > 1 else str(n) for n in (here, total)]
    return f"Fetching volume {name}: {shown[0]} of {shown[1]} {unit}."


class Starter:
    """``accelerators`` gives the engine's view of each accelerator by host name and device key."""

    def __init__(
        self,
        engine: Engine,
        book: Book,
        blobs: BlobCache,
        clock: Clock,
        contact: Contact,
        new_backoff: Callable[[], Backoff],
        accelerators: Mapping[str, Mapping[str, AcceleratorGrant]],
        client: ServerClient,
        volumes: VolumeCache,
    ) -> None:
        self._engine = engine
        self._book = book
        self._blobs = blobs
        self._clock = clock
        self._contact = contact
        self._new_backoff = new_backoff
        self._accelerators = accelerators
        self._client = client
        self._volumes = volumes

    async def start(self, held: Held) -> None:
        """Start it, or settle its end with the reason why it could not start. May be cancelled while it fetches."""
        try:
            archives = await self._fetch(held)
            folders = await self._fetch_volumes(held)
            spec = run_spec(held.record.offer, archives, self._accelerators, await self._secrets(held), folders)
            if not self._contact.may_start:
                self._book.tell(held, activity="Waiting for the server: the offer is too old to begin by.")
                return
            # From here on a restarted agent must ask the engine whether there is a run.
            self._book.apply(held, Step(held.record.with_stage(Stage.starting)))
            await asyncio.to_thread(self._engine.start, spec)
        except EngineUnavailable as error:
            # Whether it has the order is found out by the next try, which the engine takes for the same run.
            self._book.tell(held, activity=f"Waiting for the site's cluster: {error}.")
            await asyncio.sleep(UNAVAILABLE_SECONDS)
        except Refused as error:
            self._end(held, ExitReason.start_failed, f"The server did not give its secrets: {error.detail}")
        except (BlobMissing, InvalidSpec) as error:
            self._end(held, "invalid_spec", str(error))
        except (DeviceGone, EngineError, VolumeUnusable) as error:
            self._end(held, ExitReason.start_failed, str(error))
        except AgentStop:
            raise
        except Exception as error:
            log.exception("%s met an error while it was started.", held.key)
            if not await self._has_run(held):
                self._end(held, ExitReason.start_failed, f"The site could not start the work: {error}")
        else:
            held.run = Run.live
            held.asked_at = asyncio.get_running_loop().time()
            self._book.apply(held, Step(held.record.with_stage(Stage.started)))

    async def _fetch(self, held: Held) -> dict[str, Path]:
        archives: dict[str, Path] = {}
        backoff = self._new_backoff()
        for blob_id in blob_ids(held.record.offer):
            self._book.tell(held, activity=f"Fetching archive {blob_id}.")
            while blob_id not in archives:
                try:
                    archives[blob_id] = await self._blobs.get(blob_id)
                except Unreachable as error:
                    self._book.tell(held, activity=f"Waiting for archive {blob_id}: {error.why}.")
                    await backoff.pause()
        return archives

    async def _secrets(self, held: Held) -> dict[str, str]:
        """Asked for at each start and kept nowhere here; the engine hands them to the work."""
        if not held.record.offer.secrets:
            return {}
        backoff = self._new_backoff()
        while True:
            try:
                return await self._client.secrets(*held.key)
            except Unreachable as error:
                self._book.tell(held, activity=f"Waiting for its secrets: {error.why}.")
                await backoff.pause()

    async def _fetch_volumes(self, held: Held) -> dict[str, Path]:
        folders: dict[str, Path] = {}
        backoff = self._new_backoff()
        for mount in held.record.offer.volumes:

            def tell(here: int, total: int, name: str = mount.name) -> None:
                self._book.tell(held, activity=fetching_text(name, here, total))

            while mount.target not in folders:
                try:
                    folders[mount.target] = await self._volumes.get(mount, tell)
                except Unreachable as error:
                    self._book.tell(held, activity=f"Waiting for volume {mount.name}: {error.why}.")
                    await backoff.pause()
        return folders

    async def _has_run(self, held: Held) -> bool:
        try:
            await asyncio.to_thread(self._engine.observe, *held.key)
        except UnknownRun:
            return False
        held.run = Run.live
        return True

    def _end(self, held: Held, reason: str, message: str) -> None:
        log.warning("%s could not start: %s", held.key, message)
        self._book.apply(held, ended_without_run(held.record, self._clock.now(), str(reason), message))
