"""The daemon of one host: finds and measures what is here, holds the ranks, keeps the way to the head open.

Killing it harms nothing: ranks go on under their supervisors, and the next daemon finds them. While the head is away they go
on until the term of their lease; then they end by themselves, as the head counts on.
"""

import asyncio
from collections.abc import Callable

from zhisuan import __version__
from zhisuan.base.clock import Clock
from zhisuan.base.ids import Ids
from zhisuan.base.text import Text
from zhisuan.engines.contract import EngineReport, RunPhase
from zhisuan.engines.hosts.messages import VERSION, Introduction
from zhisuan.engines.hosts.visit import Away, Denied, Visit
from zhisuan.engines.hosts.worker import Worker
from zhisuan.engines.local.engine import LocalEngine
from zhisuan.site.backoff import Backoff, Fraction, log
from zhisuan.site.discovery import SystemHostReader
from zhisuan.site.errors import CredentialRevoked, JoinRefused
from zhisuan.site.hosting import membership
from zhisuan.site.hosting.config import HostConfig
from zhisuan.site.hosting.offer import as_node, keys_in_use
from zhisuan.site.inventory import accelerator_grants, inventory, survey
from zhisuan.site.journal import Journal
from zhisuan.site.stock import Stock
from zhisuan.site.watch_devices import DeviceWatch
from zhisuan.wire.site import Inventory

JOURNAL_NAME = "journal.db"


class HostDaemon:
    """``fraction`` gives numbers in [0, 1) for jitter."""

    def __init__(self, config: HostConfig, clock: Clock, ids: Ids, fraction: Fraction) -> None:
        self._config = config
        self._clock = clock
        self._fraction = fraction
        self._member = membership.begin(config, ids)
        self._engine = LocalEngine(config.data_dir / "engine", clock=clock, config=config.engine)
        self._visit = Visit(config.head, self._member.fingerprint, self._member.credential, self._engine.keepalive)
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled. Raises an AgentStop when the head does not take this host."""
        worker = Worker(self._engine, self._config.data_dir, self._visit.fetch, self._visit.dial)
        try:
            await self._join()
            report = await asyncio.to_thread(self._engine.preflight)
            for problem in report.problems:
                log.warning("%s %s", problem.message_en, problem.remedy_en)
            stock, watch = await self._take_stock(report, worker)
            async with asyncio.TaskGroup() as lanes:
                lanes.create_task(watch.run(SystemHostReader(), self._renew))
                lanes.create_task(self._stay(worker, lambda address: self._introduction(report, stock, address)))
        finally:
            await self._visit.close()

    async def _join(self) -> None:
        token = self._config.token
        backoff = Backoff(self._fraction)
        while not self._member.joined:
            try:
                await self._visit.join(token.get_secret_value() if token is not None else "", self._member.name)
            except Denied as error:
                raise _refused(error) from error
            except Away as error:
                log.warning("The head at %s does not answer: %s", self._config.head, error)
                await backoff.pause()
            else:
                self._member = self._member.model_copy(update={"joined": True})
                membership.keep(self._config.data_dir, self._member)
                log.info("zhisuan host daemon %s: joined the site as %s.", __version__, self._member.name)

    async def _take_stock(self, report: EngineReport, worker: Worker) -> tuple[Stock, DeviceWatch]:
        journal = Journal(self._config.data_dir / JOURNAL_NAME)
        try:
            facts, measured = await survey(
                str(self._config.data_dir),
                self._config.probe,
                journal,
                self._clock,
                working=await asyncio.to_thread(self._works),
            )
        finally:
            journal.close()
        message = inventory(
            facts,
            measured,
            report,
            allow_unisolated=self._config.engine.allow_unisolated,
            memory_reserve_mib=self._config.memory_reserve_mib,
        )
        stock = Stock(message, accelerator_grants(facts))
        hostname = message.nodes[0].hostname
        watch = DeviceWatch(
            stock, facts, measured.by_device, lambda: keys_in_use(worker.in_use(), stock.grants[hostname])
        )
        return stock, watch

    def _works(self) -> bool:
        return any(self._engine.observe(*key).phase is not RunPhase.exited for key in self._engine.list())

    async def _renew(self, message: Inventory) -> None:
        """The head is told at the next beat."""
        self._changed.set()

    def _introduction(self, report: EngineReport, stock: Stock, address: str) -> Introduction:
        [node] = stock.message.nodes
        engine = self._config.engine
        return Introduction(
            version=VERSION,
            hostname=self._member.name,
            address=self._config.address or address,
            now=self._clock.now(),
            node=as_node(node, stock.grants[node.hostname], self._member.name),
            report=report,
            allow_unisolated=engine.allow_unisolated,
            orphan_grace_seconds=engine.orphan_grace_seconds,
            timeout_grace_seconds=engine.timeout_grace_seconds,
        )

    async def _stay(self, worker: Worker, introduce: Callable[[str], Introduction]) -> None:
        backoff = Backoff(self._fraction)
        said = ""
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._visit.stay(worker.handle, introduce, self._changed)
                why = "the connection ended"
            except Denied as error:
                if error.code == "removed":
                    raise _refused(error) from error
                why = str(error)
            except Away as error:
                why = str(error)
            if asyncio.get_running_loop().time() - began > 10:
                backoff.reset()
            if why != said:
                said = why
                log.warning("Not connected to the head: %s. Work here goes on; trying again.", why)
            await backoff.pause()


def _refused(error: Denied) -> JoinRefused | CredentialRevoked:
    what = Text(f"The site does not take this host: {error}.", f"站点拒绝了本主机：{error}。")
    remedy = Text(
        "Make a new token on the site's head (zhisuan site host-token) and join with it.",
        "请在站点主节点重新生成令牌（zhisuan site host-token）后再加入。",
    )
    return (CredentialRevoked if error.code == "removed" else JoinRefused)(what, remedy)
