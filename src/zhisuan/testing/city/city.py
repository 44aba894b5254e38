"""The city put together: servers on one database, sites, tenants, and what happens to them; run to its end and then judged."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import orjson
from sqlalchemy import select

from zhisuan.api.platform import Platform
from zhisuan.base.ids import TimeOrderedIds
from zhisuan.base.secrets import digest
from zhisuan.base.settings import Settings
from zhisuan.base.store import Store
from zhisuan.execution.tables import Lease
from zhisuan.site import agent as agent_module
from zhisuan.site import cluster_watch, control, courier, readiness, sync
from zhisuan.supply import service as supply
from zhisuan.supply.inventory import DeviceRecord, EngineRecord, NodeRecord
from zhisuan.supply.tables import Site as SiteRow
from zhisuan.testing.city.clock import CityClock, SiteClock
from zhisuan.testing.city.database import CityDatabase, CityStore, Trouble
from zhisuan.testing.city.engine import SimEngine, TrueRun
from zhisuan.testing.city.faults import KINDS
from zhisuan.testing.city.loop import VirtualLoop
from zhisuan.testing.city.network import Link, Lost, Proxy
from zhisuan.testing.city.scenario import Event, Job, Plot, Scenario
from zhisuan.testing.city.server import CityServer
from zhisuan.testing.city.site import CityServices, Site

MEMORY_MIB_PER_CPU = 2048
SAMPLE_SECONDS = 45.0
SETTLE_SECONDS = 1500.0
CALM_SECONDS = 30.0
SUPERVISE_SECONDS = 7.0
PACES = (
    (control, "LIVE_SECONDS", 4.0), (control, "BEGINNING_SECONDS", 1.0), (courier, "LOG_SECONDS", 9.0),
    (sync, "WAIT_SECONDS", 30), (cluster_watch, "LOOK_SECONDS", 7200.0),
    (readiness, "UNREADY_SECONDS", 5.0), (readiness, "READY_SECONDS", 40.0), (readiness, "DOUBT_SECONDS", 5.0),
)  # fmt: skip

Step = tuple[str, float, Callable[[Platform], bool]]


@dataclass(frozen=True, slots=True)
class People:
    """Who is in the database that every scenario begins with."""

    rich_key: str
    poor_key: str
    rich_org: str
    poor_org: str
    provider_org: str


@dataclass(slots=True)
class Ordered:
    """A workload as its tenant knows it. ``answers`` are all that the same order was answered with."""

    number: int
    job: Job
    key: str
    answers: list[tuple[int, str | None]] = field(default_factory=list)

    @property
    def workload_id(self) -> str | None:
        return next((ident for _, ident in self.answers if ident), None)


@dataclass(slots=True)
class Outcome:
    """What a scenario left: the truth, for the checks to compare the database with."""

    scenario: Scenario
    story: list[str]
    broken: list[str]
    runs: dict[tuple[str, int], TrueRun]
    sites: dict[str, Site]
    ordered: list[Ordered]
    seconds: float
    closed_hours: list[tuple[str, datetime, datetime]]
    store: Store


@contextmanager
def paced() -> Iterator[None]:
    """Loops of the agent that look ten times a second look every few seconds: virtual hours must not take real minutes."""
    patches: list[Any] = [mock.patch.object(module, name, value) for module, name, value in PACES]
    patches.append(mock.patch.object(agent_module, "Services", CityServices))
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()


class City:
    """One scenario on one fresh database that holds ``people``. ``steps`` are the reconcilers of each server."""

    def __init__(
        self, scenario: Scenario, *, url: str, people: People, folder: Path, start: datetime, loop: VirtualLoop,
        steps: Sequence[Step], inspect: Callable[["City"], list[str]],
    ) -> None:  # fmt: skip
        self.scenario = scenario
        self.people = people
        self.loop = loop
        self.clock = CityClock(start, loop)
        self.chance = random.Random(scenario.seed * 7919 + 1)
        self.story: list[str] = []
        self.broken: list[str] = []
        self.runs: dict[tuple[str, int], TrueRun] = {}
        self.ordered: list[Ordered] = []
        self.closed_hours: list[tuple[str, datetime, datetime]] = []
        self.trouble: set[Trouble] = set()
        self.url = url
        self._inspect = inspect
        self._folder = folder
        self._ids = TimeOrderedIds(self.clock, random.Random(scenario.seed + 1_000_003).getrandbits)
        self.database = CityDatabase("city", url, self.clock, self._ids)
        settings = Settings(data_dir=folder, console=False)
        self.store = CityStore(settings.artefact_address, self.trouble)
        self.servers = [
            CityServer(
                n, url=url, clock=SiteClock(self.clock, self.loop, timedelta(seconds=skew)), ids=self._ids, settings=settings,
                steps=steps, tell=self._notices, say=self.say, complain=self.complain, trouble=self.trouble, store=self.store,
            )
            for n, skew in enumerate(scenario.skews)
        ]  # fmt: skip
        self.proxy = Proxy(self.servers)
        self.sites = [self._make_site(n, plot) for n, plot in enumerate(scenario.sites)]
        self.tenant = self._link("tenant", 0)
        self._work: list[asyncio.Task[None]] = []
        self._always: list[asyncio.Task[None]] = []
        self._back_at: dict[str, float] = {}

    def say(self, what: str) -> None:
        self.story.append(f"{self.loop.time():8.2f} {what}")

    def complain(self, what: str) -> None:
        self.say(f"BROKEN: {what}")
        self.broken.append(what)

    def _notices(self, notices: list[tuple[str, str]]) -> None:
        for server in self.servers:
            if server.up:
                server.hub.heard(notices)

    def _link(self, name: str, preferred: int) -> Link:
        link = Link(name, self.proxy, self.chance, self.say, preferred)
        link.lose_answers, link.lose_requests = self.scenario.lose_answers, self.scenario.lose_requests
        link.repeat = self.scenario.repeat
        return link

    def _make_site(self, number: int, plot: Plot) -> Site:
        clock = SiteClock(self.clock, self.loop)
        name = f"site {number}"
        engine = SimEngine(
            [f"host{number}-{n}" for n in range(plot.nodes)], cpus_milli=plot.cpus * 1000,
            memory_mib=plot.cpus * MEMORY_MIB_PER_CPU, claims_milli=plot.claims * 1000, clock=clock, loop=self.loop,
            orphan_grace=float(self.scenario.orphan_grace), artifacts=self._folder / "none", watch=self._began,
            complain=self.complain,
        )  # fmt: skip
        return Site(
            name, folder=self._folder / f"site{number}", engine=engine, clock=clock, link=self._link(name, number),
            chance=self.chance, say=self.say, complain=self.complain, orphan_grace=self.scenario.orphan_grace,
        )  # fmt: skip

    def _began(self, run: TrueRun) -> None:
        """The truth of one workload: two live runs only where a person closed the first one's site over its head."""
        self.say(f"run {run.lease_id[-6:]} generation {run.generation} of {run.workload_id[-6:]} begins")
        if (run.lease_id, run.generation) in self.runs:
            self.complain(f"{run.lease_id} generation {run.generation} began twice")
        self.runs[run.lease_id, run.generation] = run
        for site in self.sites:
            for other in site.engine.live():
                if other.workload_id == run.workload_id and other is not run and not site.shut_out:
                    self.complain(f"{run.workload_id} runs twice at once: {other.lease_id} and {run.lease_id}")

    async def run(self) -> Outcome:
        """From the opening of the sites to the end of all work, everything mended before."""
        with paced():
            for server in self.servers:
                server.start()
            for site in self.sites:
                self._open(site)
                site.start()
            try:
                await self._happen()
                self._mend()
                await self._settle()
            finally:
                await self._close()
        sites = {site.id: site for site in self.sites}
        return Outcome(
            self.scenario,
            self.story,
            self.broken,
            self.runs,
            sites,
            self.ordered,
            self.loop.time(),
            self.closed_hours,
            self.store,
        )

    def _open(self, site: Site) -> None:
        credential = f"zsc_{site.name.replace(' ', '_')}_{self.scenario.seed}"
        records = [
            NodeRecord(
                node.hostname, "cluster", {},
                (
                    DeviceRecord("cpu", "cpu", "cpu-core", "cluster cores", node.cpus_milli, None, "ok", None),
                    DeviceRecord("memory", "memory", None, "cluster memory", node.memory_mib, None, "ok", None),
                ),
            )
            for node in site.engine.nodes()
        ]  # fmt: skip
        facts = EngineRecord("local", "simulated", "sandbox", False, {}, (), nodes_max=len(records), jupyterlab=True)
        with self.database.begin("set-up") as tx:
            made = supply.create_site(
                tx, provider_id=self.people.provider_org, name=site.name, region="CN-AH", pue_milli=1400
            )
            row = supply.join(tx, made.token, digest(credential))
            supply.take_inventory(tx, row, facts, records)
            supply.change_state(tx, row, "verify")
            supply.change_state(tx, row, "open")
            site.join_as(row.id, credential)

    def _later(self, at: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def when_due() -> None:
            await asyncio.sleep(max(0.0, at - self.loop.time()))
            await work()

        self._work.append(self.loop.create_task(when_due()))

    async def _happen(self) -> None:
        for number, job in enumerate(self.scenario.jobs):
            ordered = Ordered(number, job, f"order-{self.scenario.seed}-{number}")
            self.ordered.append(ordered)
            self._later(job.at, lambda o=ordered: self._order(o))  # type: ignore[misc]
        for event in self.scenario.events:
            self._later(event.at, lambda e=event: self._befall(e))  # type: ignore[misc]
        self._always = [self.loop.create_task(self._sample()), self.loop.create_task(self._supervise())]
        await asyncio.gather(*self._work)
        await asyncio.sleep(CALM_SECONDS)

    async def _sample(self) -> None:
        """Rules of every instant, looked at again and again."""
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            for problem in self._inspect(self):
                self.complain(problem)

    async def _order(self, ordered: Ordered) -> None:
        body = orjson.dumps({"file": ordered.job.file(ordered.number)})
        status, answer = await self._ask("POST", "/workloads", ordered.key, body, ordered)
        ordered.answers.append((status, answer.get("workload", {}).get("id")))
        self.say(f"order {ordered.number} answered {status}: {ordered.workload_id}")
        if ordered.job.cancel_at is not None and ordered.workload_id is not None:
            await asyncio.sleep(max(0.0, ordered.job.cancel_at - self.loop.time()))
            self.say(f"order {ordered.number} is cancelled")
            await self._ask("POST", f"/workloads/{ordered.workload_id}/cancel", f"cancel-{ordered.key}", b"{}", ordered)

    async def _ask(self, method: str, path: str, key: str, body: bytes, ordered: Ordered) -> tuple[int, dict[str, Any]]:
        """A tenant's call, repeated with its key until it is answered."""
        headers = {"idempotency-key": key, "content-type": "application/json"}
        headers["authorization"] = f"Bearer {self.people.poor_key if ordered.job.poor else self.people.rich_key}"
        while True:
            try:
                reply = await self.tenant.call(method, f"/api/v1{path}", headers, body)
            except Lost:
                reply = None
            if reply is not None and reply.status < 500:
                return reply.status, orjson.loads(reply.body)
            if reply is not None and reply.status == 500:
                self.complain(f"{method} {path} was answered 500")
                return reply.status, {}
            await asyncio.sleep(self.chance.uniform(0.5, 4.0))

    async def _befall(self, event: Event) -> None:
        self.say(f"*** {event.what}: of {event.whom}, {event.value:g}")
        await KINDS[event.what].befall(self, event.whom, event.value)

    def site(self, whom: int) -> Site:
        return self.sites[whom % len(self.sites)]

    def server(self, whom: int) -> CityServer:
        return self.servers[whom % len(self.servers)]

    def keep_down(self, server: CityServer, seconds: float) -> None:
        server.kill()
        self._back_at[server.name] = max(self._back_at.get(server.name, 0.0), self.loop.time() + seconds)

    async def _supervise(self) -> None:
        """A server that died is started again a little later."""
        while True:
            await asyncio.sleep(SUPERVISE_SECONDS)
            for server in self.servers:
                if not server.up and self.loop.time() >= self._back_at.get(server.name, 0.0):
                    self.say(f"{server.name} is back")
                    server.start()

    def meddling_placer(self, server: CityServer) -> Callable[[], None]:
        """The step ``place`` as another server runs it."""
        other = CityDatabase("meddler", self.url, self.clock, self._ids, self._notices)
        here = Platform(
            database=other, settings=server.platform.settings, hub=server.hub, store=server.platform.store,
            server_url="", gateway_url="", vault=server.platform.vault,
        )  # fmt: skip
        place = next(run for name, _, run in server._steps if name == "place")

        def meddle() -> None:
            self.say(f"{server.name}: another placer comes in between")
            try:
                place(here)
            finally:
                other.close()

        return meddle

    def _mend(self) -> None:
        self.say("*** everything is mended")
        self.trouble.clear()
        for site in self.sites:
            site.link.restore()
            site.link.lose_answers = site.link.lose_requests = site.link.repeat = 0
            site.engine.refuse_starts = 0
            site.disk_full = site.stays_down = False
            if site.clock.was_set:
                site.clock.set_off_by(timedelta(0))
        self.tenant.lose_answers = self.tenant.lose_requests = self.tenant.repeat = 0
        for server in self.servers:
            if server.up:
                server.database.before_taking = None
        self._back_at.clear()

    async def _settle(self) -> None:
        """Until nothing moves any more. What waits then waits because no site takes it, and is cancelled by its tenant."""
        until = self.loop.time() + SETTLE_SECONDS
        while not self._quiet():
            if self.loop.time() > until:
                self.complain(f"not all came to an end although everything had been mended: {self._left()}")
                return
            await asyncio.sleep(15.0)
            for ordered in self.ordered:
                if ordered.workload_id is not None and self._stranded(ordered.workload_id, ordered.job.nodes):
                    self.say(f"order {ordered.number} waits without a place and is cancelled")
                    path = f"/workloads/{ordered.workload_id}/cancel"
                    await self._ask("POST", path, f"give-up-{ordered.key}", b"{}", ordered)
        await asyncio.sleep(40.0)

    def _stranded(self, workload_id: str, nodes: int) -> bool:
        from zhisuan.workload.tables import Workload

        with self.database.begin() as tx:
            open_sites = set(tx.session.scalars(select(SiteRow.id).where(SiteRow.state == "open")))
            roomy = {s.id for s in self.sites if len(s.engine.hostnames) >= nodes}
            return not open_sites & roomy and tx.session.get_one(Workload, workload_id).state == "pending"

    def _quiet(self) -> bool:
        from zhisuan.workload.service import OPEN_STATES
        from zhisuan.workload.tables import Workload

        with self.database.begin() as tx:
            open_work = tx.session.scalar(select(Workload.id).where(Workload.state.in_(OPEN_STATES)).limit(1))
            open_lease = tx.session.scalar(select(Lease.id).where(Lease.state != "closed").limit(1))
        return open_work is None and open_lease is None and not any(s.unsent() for s in self.sites if not s.shut_out)

    def _left(self) -> str:
        from zhisuan.workload.service import OPEN_STATES
        from zhisuan.workload.tables import Workload

        with self.database.begin() as tx:
            work = tx.session.execute(select(Workload.id, Workload.state).where(Workload.state.in_(OPEN_STATES))).all()
            leases = tx.session.execute(
                select(Lease.id, Lease.state, Lease.desired, Lease.reason).where(Lease.state != "closed")
            ).all()
        journals = [(s.name, s.unsent(), s.running) for s in self.sites]
        return f"{[tuple(w) for w in work]} {[tuple(x) for x in leases]} {journals}"

    async def _close(self) -> None:
        tasks = [*self._work, *self._always, *self.tenant.late]
        for site in self.sites:
            tasks += site.link.late
        for task in tasks:
            task.cancel()
        for site in self.sites:
            await site.end()
        for server in self.servers:
            server.kill()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
