"""A cluster that does not answer: what the server is told of it, and what an agent that begins meanwhile knows."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zhisuan.engines.contract import ClusterAccelerator, ClusterNode, EngineReport, IsolationLevel
from zhisuan.engines.errors import EngineUnavailable
from zhisuan.site import cluster_watch
from zhisuan.site.backoff import Backoff
from zhisuan.site.cluster_watch import ClusterWatch
from zhisuan.site.journal import Journal
from zhisuan.site.stock import Stock
from zhisuan.wire.site import Inventory

NODES = (ClusterNode("n1", 8000, 16_000, (ClusterAccelerator("gpu:0", 0, "ascend910b", "huawei"),)), ClusterNode("n2", 8000, 16_000))
REPORT = EngineReport("slurm", "slurm 22.05", IsolationLevel.user_sandbox, {"memory": False}, (), nodes_max=2)


class Cluster:
    """As far as the watch uses an engine. ``away`` is what it says instead of answering."""

    def __init__(self) -> None:
        self.away: str | None = None
        self.here = NODES

    def nodes(self) -> tuple[ClusterNode, ...]:
        if self.away is not None:
            raise EngineUnavailable(self.away)
        return self.here

    def preflight(self) -> EngineReport:
        self.nodes()
        return REPORT


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def new_watch(tmp_path: Path, cluster: Cluster) -> Callable[[], ClusterWatch]:
    journal = Journal(tmp_path / "journal.db")
    engine: Any = cluster
    return lambda: ClusterWatch(engine, journal, {}, lambda: Backoff(lambda: 0.0), allow_unisolated=False)


def codes(message: Inventory) -> list[str]:
    return [problem["code"] for problem in message.engine.problems]


def health(message: Inventory) -> set[str]:
    return {device.health for node in message.nodes for device in node.devices}


async def told(watch: ClusterWatch, stock: Stock, seconds: float = 0.3) -> list[Inventory]:
    """What the server hears within that time."""
    heard: list[Inventory] = []

    async def send(message: Inventory) -> None:
        heard.append(message)

    running = asyncio.create_task(watch.run(stock, send))
    await asyncio.sleep(seconds)
    running.cancel()
    return heard


def test_its_silence_is_told_once_its_nodes_are_off_after_a_while_and_its_return_undoes_both(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, new_watch: Callable[[], ClusterWatch]
) -> None:
    monkeypatch.setattr(cluster_watch, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(cluster_watch, "AWAY_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(cluster_watch, "PATIENCE_SECONDS", 0.15)

    async def go() -> None:
        watch = new_watch()
        stock = await watch.first()
        assert stock is not None and stock.of_a_cluster
        before = stock.message
        assert await told(watch, stock, 0.1) == []
        cluster.away = "squeue did not answer"
        first, second = await told(watch, stock)
        assert (codes(first), health(first)) == (["cluster_unavailable"], {"ok"})
        assert "squeue did not answer" in first.engine.problems[0]["message_zh"]
        assert (codes(second), health(second)) == (["cluster_unavailable"], {"failed"})
        assert {d.note for n in second.nodes for d in n.devices if d.note} and second.engine.isolation == "user_sandbox"
        cluster.away = None
        assert await told(watch, stock) == [before]
        cluster.here = NODES[:1]
        (fewer,) = await told(watch, stock)
        assert [node.hostname for node in fewer.nodes] == ["n1"] and list(stock.grants) == ["n1"]

    asyncio.run(go())


def test_an_agent_that_begins_meanwhile_knows_what_the_one_before_was_told(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, new_watch: Callable[[], ClusterWatch]
) -> None:
    monkeypatch.setattr(cluster_watch, "AWAY_LOOK_SECONDS", 0.01)

    async def go() -> None:
        stock = await new_watch().first()
        assert stock is not None
        cluster.away = "gone"
        watch = new_watch()
        again = await watch.first()
        assert again is not None and again.grants == stock.grants and again.message.nodes == stock.message.nodes
        assert codes(again.message) == ["cluster_unavailable"]
        cluster.away = None
        assert await told(watch, again) == [stock.message]

    asyncio.run(go())


def test_an_agent_that_knows_nothing_waits_for_its_first_answer(cluster: Cluster, new_watch: Callable[[], ClusterWatch]) -> None:
    async def go() -> None:
        cluster.away = "gone"
        waiting = asyncio.create_task(new_watch().first())
        await asyncio.sleep(0.1)
        assert not waiting.done()
        cluster.away = None
        stock = await waiting
        assert stock is not None and codes(stock.message) == []

    asyncio.run(go())
