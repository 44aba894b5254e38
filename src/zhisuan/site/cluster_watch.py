"""Looks at the cluster behind the engine: what it has, and since when it does not answer.

A controller that is away ends nothing: work goes on, and the server hears of it as ever. What the site offers is told as it was
last known, with the problem beside it; after ``PATIENCE_SECONDS`` no node takes new work until the cluster answers again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict

from zhisuan.engines.contract import Engine, EngineReport, Problem
from zhisuan.engines.errors import EngineUnavailable
from zhisuan.engines.models import AcceleratorModel
from zhisuan.site.backoff import Backoff, log
from zhisuan.site.inventory import engine_facts
from zhisuan.site.journal import Journal
from zhisuan.site.stock import Stock
from zhisuan.wire.site import EngineFacts, Inventory

LOOK_SECONDS = 20.0
AWAY_LOOK_SECONDS = 5.0
PATIENCE_SECONDS = 60.0
_FACT = "cluster"


class ClusterWatch:
    """What was last known is kept in the journal: an agent that begins while the cluster is away begins with it."""

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        models: Mapping[str, AcceleratorModel],
        new_backoff: Callable[[], Backoff],
        *,
        allow_unisolated: bool,
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._models = models
        self._new_backoff = new_backoff
        self._allow_unisolated = allow_unisolated
        self._away_since: float | None = None

    async def first(self) -> Stock | None:
        """None where the engine is one of the agent's own host. Without an answer, and nothing known from before, it is asked
        until it answers: there is nothing to offer."""
        backoff = self._new_backoff()
        while True:
            try:
                nodes = await asyncio.to_thread(self._engine.nodes)
                if not nodes:
                    return None
                report = await asyncio.to_thread(self._engine.preflight)
            except EngineUnavailable as error:
                self._failed(error)
                kept = Stock.restored(self._journal.fact(_FACT), self._models)
                if kept is not None:
                    kept.away(_problem(error), None)
                    return kept
                await backoff.pause()
            else:
                stock = Stock.of_cluster(self._facts(report), nodes, self._models)
                self._answered(stock)
                return stock

    async def run(self, stock: Stock, send: Callable[[Inventory], Awaitable[None]]) -> None:
        """For ever: look, and tell what has changed."""
        while True:
            await asyncio.sleep(LOOK_SECONDS if self._away_since is None else AWAY_LOOK_SECONDS)
            if await self._look(stock):
                await send(stock.message)

    async def _look(self, stock: Stock) -> bool:
        """Whether there is something new to tell."""
        try:
            nodes = await asyncio.to_thread(self._engine.nodes)
            if self._away_since is None and not stock.differs(nodes):
                return False
            # With other nodes a cluster can do other things.
            report = await asyncio.to_thread(self._engine.preflight)
        except EngineUnavailable as error:
            away = self._failed(error)
            return stock.away(_problem(error), _NOTE if away >= PATIENCE_SECONDS else None)
        changed = stock.renew(self._facts(report), nodes)
        self._answered(stock)
        return changed

    def _facts(self, report: EngineReport) -> EngineFacts:
        return engine_facts(report, allow_unisolated=self._allow_unisolated)

    def _failed(self, error: EngineUnavailable) -> float:
        """How long it has not answered."""
        now = asyncio.get_running_loop().time()
        if self._away_since is None:
            self._away_since = now
            log.warning("The cluster does not answer: %s. Work there goes on; new work waits until it answers.", error)
        return now - self._away_since

    def _answered(self, stock: Stock) -> None:
        if self._away_since is not None:
            log.info("The cluster answers again.")
            self._away_since = None
        self._journal.keep_fact(_FACT, stock.plain())


_NOTE = "The site's cluster does not answer, so nothing new is started here. 站点的集群没有应答，暂不启动新作业。"


def _problem(error: EngineUnavailable) -> dict[str, str]:
    return asdict(
        Problem(
            "cluster_unavailable",
            f"The site's cluster does not answer: {error}. Work that runs there goes on; new work waits until it answers.",
            f"站点的集群没有应答：{error}。已在运行的作业不受影响，新作业会等待集群恢复。",
            "Look at the cluster's controller (Slurm: `scontrol ping` on the agent's host; Ray: its dashboard) and start it again; "
            "the agent goes on by itself.",
            "请检查集群的控制节点（Slurm：在代理所在主机执行 scontrol ping；Ray：查看其 Dashboard）并重新启动，代理会自行恢复。",
        )
    )
