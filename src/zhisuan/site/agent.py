"""The agent put together: who this site is, what it has, and the lanes that run until the agent is told to stop."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from zhisuan import __version__
from zhisuan.base.clock import Clock
from zhisuan.base.ids import Ids
from zhisuan.engines.contract import AcceleratorGrant, Engine, EngineReport, IsolationLevel
from zhisuan.engines.errors import EngineUnavailable
from zhisuan.engines.local.config import LocalEngineConfig
from zhisuan.site.accounts import Accounts
from zhisuan.site.artefacts import Artefacts
from zhisuan.site.backoff import Backoff, Fraction, Link, log, until_reached
from zhisuan.site.blobs import BlobCache
from zhisuan.site.book import Book
from zhisuan.site.checkpoints import Checkpoints
from zhisuan.site.client import ServerClient
from zhisuan.site.cluster_watch import ClusterWatch
from zhisuan.site.config import AgentConfig
from zhisuan.site.contact import Contact, host_boot
from zhisuan.site.control import Control
from zhisuan.site.courier import Courier
from zhisuan.site.discovery import SystemHostReader
from zhisuan.site.errors import Refused
from zhisuan.site.identity import Identity, establish
from zhisuan.site.inventory import accelerator_grants, inventory, survey
from zhisuan.site.journal import Journal
from zhisuan.site.leftovers import Leftovers
from zhisuan.site.links import Links
from zhisuan.site.outsiders import cards_in_use
from zhisuan.site.reconcile import Run
from zhisuan.site.record import Stage
from zhisuan.site.rotation import Rotation
from zhisuan.site.round_trip import measure_round_trip
from zhisuan.site.runspec import blob_ids
from zhisuan.site.services import Services
from zhisuan.site.signals import Signals
from zhisuan.site.spool import Spool
from zhisuan.site.starter import Starter
from zhisuan.site.stock import Stock
from zhisuan.site.sync import Sync
from zhisuan.site.volumes.cache import VolumeCache
from zhisuan.site.volumes.returning import Returning
from zhisuan.site.watch_devices import DeviceWatch
from zhisuan.wire.site import Inventory

KEEPALIVE_SECONDS = 30.0
JOURNAL_NAME = "journal.db"


class Agent:
    """One site. ``fraction`` gives numbers in [0, 1) for jitter."""

    def __init__(self, config: AgentConfig, engine: Engine, clock: Clock, ids: Ids, fraction: Fraction) -> None:
        self._config = config
        self._engine = engine
        self._clock = clock
        self._ids = ids
        self._fraction = fraction
        self._link = Link()
        self._signals = Signals()
        self._client = ServerClient(config.server_url, ca_file=config.ca_file)
        self._journal = Journal(config.data_dir / JOURNAL_NAME)
        self._use_credential: Callable[[str], None] = lambda _: None
        self._contact = Contact(self._journal, clock, host_boot())
        self._devices: DeviceWatch | None = None
        models = {} if isinstance(config.engine, LocalEngineConfig) else config.engine.accelerator_models
        self._cluster = ClusterWatch(
            engine, self._journal, models, self._new_backoff, allow_unisolated=config.engine.allow_unisolated
        )

    async def run(self) -> None:
        """Until cancelled. Raises an AgentStop, or a group with one in it, when the agent cannot go on."""
        try:
            identity = await self._identify()
            report = await self._preflight()
            book = Book(self._journal, self._signals)
            book.found_runs(await asyncio.to_thread(self._engine.list))
            await self._work(identity, book, await self._take_stock(report, book))
        finally:
            await self._client.close()
            self._journal.close()

    async def _preflight(self) -> EngineReport | None:
        """None while the cluster behind the engine does not answer."""
        try:
            report = await asyncio.to_thread(self._engine.preflight)
        except EngineUnavailable:
            return None
        _say_engine(report, allow_unisolated=self._config.engine.allow_unisolated)
        return report

    async def _identify(self) -> Identity:
        token = self._config.join_token
        identity = await establish(
            self._config.data_dir,
            token.get_secret_value() if token is not None else None,
            self._client,
            self._ids,
            self._new_backoff(),
            self._link,
        )
        self._rotation = Rotation(
            self._config.data_dir, identity, self._client, self._clock, self._ids, self._link, self._fraction,
            on_change=lambda credential: self._use_credential(credential),
        )  # fmt: skip
        await self._rotation.settle()
        if not self._client.protected:
            log.warning("The server is addressed by http: anyone on the way can read the site's credential; use https.")
        log.info("zhisuan agent %s for site %s (%s).", __version__, identity.site_name, identity.site_id)
        return identity

    async def _take_stock(self, report: EngineReport | None, book: Book) -> Stock:
        """What the cluster has, or this host where the engine is one of a host."""
        stock = await self._cluster.first()
        if stock is not None:
            return stock
        if report is None:
            report = await asyncio.to_thread(self._engine.preflight)
        allowed = self._config.engine.allow_unisolated
        facts, measured = await survey(
            str(self._config.data_dir),
            self._config.probe,
            self._journal,
            self._clock,
            working=any(held.run is Run.live for held in book.held.values()),
        )
        trip = await measure_round_trip(self._client, self._clock)
        if trip is not None:
            measured = measured.with_fact("round_trip", trip.to_json())
        message = inventory(
            facts, measured, report, allow_unisolated=allowed, memory_reserve_mib=self._config.memory_reserve_mib
        )
        stock = Stock(message, accelerator_grants(facts))
        self._devices = DeviceWatch(stock, facts, measured.by_device, lambda: _cards_in_use(book, facts.hostname))
        return stock

    async def _work(self, identity: Identity, book: Book, stock: Stock) -> None:
        services = Services(self._engine, book, self._client.credential or identity.credential, self._fraction)
        self._use_credential = services.use_credential
        gateway_url = self._config.gateway_url or identity.gateway_url
        if gateway_url is not None:
            services.use_gateway(gateway_url)
        leftovers = Leftovers(self._config.data_dir, self._clock)
        await leftovers.begin()
        volumes = self._volumes(book)
        async with asyncio.TaskGroup() as lanes:
            tasks: set[asyncio.Task[None]] = set()

            def spawn(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
                task = lanes.create_task(work)
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                return task

            checkpoints = Checkpoints(self._engine, self._client, self._link, self._new_backoff)
            control = Control(
                self._engine,
                book,
                self._clock,
                self._contact,
                self._signals,
                spawn,
                start=self._starter(book, stock.grants, volumes).start,
                deliver=self._courier(book, checkpoints, volumes).deliver,
                watch=services.watch,
                keep=checkpoints.watch,
                calls=services.calls,
            )
            sync = Sync(
                self._client,
                book,
                control,
                self._clock,
                self._contact,
                self._signals,
                self._link,
                self._new_backoff,
                agent_boot=self._ids.secret("boot"),
                on_gateway=lambda url: services.use_gateway(self._config.gateway_url or url),
            )
            spool = Spool(self._client, self._journal, self._signals, self._link, self._new_backoff)
            links = Links(self._client, self._clock, self._link, self._fraction, self._config.link_networks)
            accounts = Accounts(
                self._engine, self._client, book, self._journal, self._signals, self._link, self._new_backoff
            )
            for lane in (
                control.run(),
                accounts.ask(),
                accounts.send(),
                sync.poll(),
                sync.tell(),
                spool.run(),
                services.run(),
                self._rotation.run(),
                links.run(),
                leftovers.run(),
                self._tell_stock(stock),
                self._keep_alive(),
            ):
                spawn(lane)

    def _starter(
        self, book: Book, grants: Mapping[str, Mapping[str, AcceleratorGrant]], volumes: VolumeCache
    ) -> Starter:
        def in_use() -> set[str]:
            waiting = (h.record.offer for h in book.held.values() if h.record.stage is not Stage.exited)
            return {blob_id for offer in waiting for blob_id in blob_ids(offer)}

        blobs = BlobCache(
            self._config.data_dir / "blobs",
            self._client,
            bytes_max=self._config.blob_cache_bytes_max,
            in_use=in_use,
        )
        return Starter(
            self._engine, book, blobs, self._clock, self._contact, self._new_backoff, grants, self._client, volumes
        )  # fmt: skip

    def _volumes(self, book: Book) -> VolumeCache:
        def in_use() -> set[str]:
            working = (h.record.offer for h in book.held.values() if h.record.stage is not Stage.exited)
            return {mount.version_id for offer in working for mount in offer.volumes}

        return VolumeCache(
            self._config.data_dir / "volumes",
            self._client,
            bytes_max=self._config.volume_cache_bytes_max,
            in_use=in_use,
        )

    def _courier(self, book: Book, checkpoints: Checkpoints, volumes: VolumeCache) -> Courier:
        artefacts = Artefacts(self._engine, self._client, self._journal, self._link)
        returning = Returning(self._engine, self._client, volumes, self._link)
        return Courier(
            self._engine, self._client, book, artefacts, self._link, self._new_backoff, checkpoints, returning
        )  # fmt: skip

    def _new_backoff(self) -> Backoff:
        return Backoff(self._fraction)

    async def _tell_stock(self, stock: Stock) -> None:
        """The inventory, and whatever changes in it: of a cluster its nodes, of a host its accelerators."""
        await self._send_inventory(stock.message)
        if self._devices is not None:
            await self._devices.run(SystemHostReader(), self._send_inventory)
        if stock.of_a_cluster:
            await self._cluster.run(stock, self._send_inventory)

    async def _send_inventory(self, message: Inventory) -> None:
        """Until the server has taken it; a refusal is tried again too, since the server may be mended."""
        backoff = self._new_backoff()
        while True:
            try:
                await until_reached(self._link, backoff, lambda: self._client.send_inventory(message))
            except Refused as error:
                self._link.refused("the inventory", error.detail)
                await backoff.pause()
            else:
                log.info("The server has the inventory: %d devices.", sum(len(n.devices) for n in message.nodes))
                return

    async def _keep_alive(self) -> None:
        seconds = min(KEEPALIVE_SECONDS, self._config.engine.orphan_grace_seconds / 4)
        while True:
            try:
                await asyncio.to_thread(self._engine.keepalive)
            except OSError as error:
                log.error("The engine cannot be told that the agent lives: %s", error)
            await asyncio.sleep(seconds)


def _cards_in_use(book: Book, hostname: str) -> frozenset[str] | None:
    """Not known while the engine has runs that the journal does not know."""
    return None if book.strays else cards_in_use(book.held.values(), hostname)


def _say_engine(report: EngineReport, *, allow_unisolated: bool) -> None:
    log.info("Engine %s %s, isolation: %s.", report.engine, report.version, report.isolation.value)
    for problem in report.problems:
        log.warning("%s %s", problem.message_en, problem.remedy_en)
    if report.isolation is IsolationLevel.none and not allow_unisolated:
        log.warning("This machine cannot isolate work: tenants' work is refused unless the operator allows it.")
