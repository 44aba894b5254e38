"""Many simulated site agents in one process, over real HTTP, with the messages of the wire. They accept what they are offered,
say that it runs, and after its time send its windows and its end. Nothing runs.

Unlike ``zhisuan.testing.city`` this measures: real time, real sockets, no faults.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import aiohttp

from zhisuan.base.clock import whole_second
from zhisuan.site.metering import windows_due
from zhisuan.wire.common import Accepted
from zhisuan.wire.site import (
    LeaseOffer,
    LeasePhase,
    LeaseReport,
    SyncAnswer,
    SyncRequest,
    UsageBatch,
    UsageWindow,
)

WAIT_SECONDS = 20
RETRY_SECONDS = 1.0
BATCH = 500


@dataclass(slots=True)
class FleetStats:
    """Seconds of each kind of call, failures by kind, and how far the work has come."""

    calls: dict[str, list[float]] = field(default_factory=lambda: {"sync": [], "poll": [], "usage": []})
    failures: Counter[str] = field(default_factory=Counter)
    offered: int = 0
    finished: int = 0
    offer_seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SiteAccess:
    """What an agent needs to speak for its site."""

    site_id: str
    credential: str


class SimulatedAgent:
    """One site, with the lanes of a real agent (``zhisuan.site.sync``, ``spool``): a long poll, one that tells at once what has changed,
    with the latest of all leases in each message, and one for the usage there is. ``run_seconds``: how long each piece of work seems
    to run."""

    def __init__(
        self, access: SiteAccess, server_url: str, session: aiohttp.ClientSession, stats: FleetStats, run_seconds: float
    ) -> None:
        self._url = f"{server_url}/wire/v1"
        self._headers = {"authorization": f"Bearer {access.credential}", "content-type": "application/json"}
        self._boot = access.site_id
        self._session = session
        self._stats = stats
        self._run_seconds = run_seconds
        self._reports: dict[str, LeaseReport] = {}
        self._heard: set[str] = set()
        self._version: str | None = None
        self._sequence = 0
        self._changed = asyncio.Event()
        self._unsent: list[UsageWindow] = []
        self._metered = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """All lanes, for ever; each new offer is worked on beside them."""
        self._keep(asyncio.create_task(self._tell()))
        self._keep(asyncio.create_task(self._send_usage()))
        while True:
            answer = await self._sync("poll", WAIT_SECONDS if self._version is not None else 0)
            if answer is None:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self._version = answer.version
            listed = {offer.lease_id for offer in answer.leases}
            for gone in self._heard - listed:
                self._heard.discard(gone)
                del self._reports[gone]
            for offer in answer.leases:
                if offer.lease_id not in self._reports:
                    self._stats.offered += 1
                    self._say(offer, LeasePhase.accepted)
                    self._keep(asyncio.create_task(self._work(offer)))

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            while await self._sync("sync", 0, only_tells=True) is None:
                await asyncio.sleep(RETRY_SECONDS)

    async def _work(self, offer: LeaseOffer) -> None:
        started = whole_second(datetime.now(UTC)) + timedelta(seconds=1)
        self._say(offer, LeasePhase.running, started_at=started)
        await asyncio.sleep(self._run_seconds)
        ended = max(started, whole_second(datetime.now(UTC)))
        end = {"started_at": started, "ended_at": ended, "exit_code": 0, "reason": "completed"}
        self._unsent += windows_due(offer, started, ended)
        self._metered.set()
        self._say(offer, LeasePhase.exited, complete=True, **end)

    async def _send_usage(self) -> None:
        """Windows that come before their lease was heard of are sent again."""
        while True:
            await self._metered.wait()
            self._metered.clear()
            sent = self._unsent[:BATCH]
            body = await self._post("usage", "/usage", UsageBatch(windows=tuple(sent)).model_dump_json()) if sent else None
            if body is not None:
                again = set(Accepted.model_validate_json(body).retry)
                self._unsent = [w for w in sent if w.id in again] + self._unsent[len(sent) :]
            if self._unsent:
                self._metered.set()
                await asyncio.sleep(RETRY_SECONDS if len(self._unsent) < BATCH else 0)

    def _say(self, offer: LeaseOffer, phase: LeasePhase, **more: object) -> None:
        self._reports[offer.lease_id] = LeaseReport.model_validate(
            {"lease_id": offer.lease_id, "generation": offer.generation, "phase": phase, **more}
        )
        self._changed.set()

    async def _sync(self, kind: str, wait_seconds: int, *, only_tells: bool = False) -> SyncAnswer | None:
        self._sequence += 1
        reports = tuple(self._reports.values())
        request = SyncRequest(
            agent_boot=self._boot, sequence=self._sequence, at=datetime.now(UTC), known_version=self._version,
            wait_seconds=wait_seconds, leases=reports, only_tells=only_tells,
        )  # fmt: skip
        body = await self._post(kind, "/sync", request.model_dump_json())
        if body is None:
            return None
        new = {r.lease_id for r in reports if r.complete and r.lease_id in self._reports} - self._heard
        self._stats.finished += len(new)
        self._heard |= new
        return SyncAnswer.model_validate_json(body)

    async def _post(self, kind: str, path: str, body: str) -> bytes | None:
        began = time.monotonic()
        try:
            async with self._session.post(self._url + path, data=body, headers=self._headers) as answer:
                got = await answer.read()
                if answer.status != 200:
                    self._stats.failures[f"{kind} {answer.status}"] += 1
                    return None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._stats.failures[f"{kind} {type(error).__name__}"] += 1
            return None
        self._stats.calls[kind].append(time.monotonic() - began)
        return got


class Fleet:
    """All agents; use as an async context manager. They begin one after the other over ``ramp_seconds``."""

    def __init__(
        self, access: list[SiteAccess], server_url: str, *, run_seconds: float = 2.0, ramp_seconds: float = 5.0
    ) -> None:
        self.stats = FleetStats()
        self._access, self._url = access, server_url
        self._run_seconds, self._ramp_seconds = run_seconds, ramp_seconds
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Fleet":
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
        timeout = aiohttp.ClientTimeout(total=WAIT_SECONDS + 40)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        self._tasks = [asyncio.create_task(self._later(n, one)) for n, one in enumerate(self._access)]
        return self

    async def _later(self, number: int, access: SiteAccess) -> None:
        await asyncio.sleep(self._ramp_seconds * number / max(1, len(self._access)))
        agent = SimulatedAgent(access, self._url, self._session, self.stats, self._run_seconds)
        try:
            await agent.run()
        finally:
            agent.stop()

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()
