"""Starting one lease: archives first, then the journal, then the engine."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from zhisuan.base.clock import Clock
from zhisuan.engines.contract import AcceleratorGrant, Engine, ExitReason
from zhisuan.engines.errors import EngineError, InvalidSpec, UnknownRun
from zhisuan.site.backoff import Backoff, log
from zhisuan.site.blobs import BlobCache, BlobMissing
from zhisuan.site.book import Book, Held
from zhisuan.site.contact import Contact
from zhisuan.site.errors import AgentStop, Unreachable
from zhisuan.site.reconcile import Run
from zhisuan.site.record import Stage, Step, ended_without_run
from zhisuan.site.runspec import DeviceGone, blob_ids, run_spec


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
    ) -> None:
        self._engine = engine
        self._book = book
        self._blobs = blobs
        self._clock = clock
        self._contact = contact
        self._new_backoff = new_backoff
        self._accelerators = accelerators

    async def start(self, held: Held) -> None:
        """Start it, or settle its end with the reason why it could not start. May be cancelled while it fetches."""
        try:
            archives = await self._fetch(held)
            spec = run_spec(held.record.offer, archives, self._accelerators)
            if not self._contact.may_start:
                self._book.tell(held, activity="Waiting for the server: the offer is too old to begin by.")
                return
            # From here on a restarted agent must ask the engine whether there is a run.
            self._book.apply(held, Step(held.record.with_stage(Stage.starting)))
            await asyncio.to_thread(self._engine.start, spec)
        except (BlobMissing, InvalidSpec) as error:
            self._end(held, "invalid_spec", str(error))
        except (DeviceGone, EngineError) as error:
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
