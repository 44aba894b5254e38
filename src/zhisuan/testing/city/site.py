"""A site of the city: the real agent on a simulated engine, killed and started again at will."""

import asyncio
import json
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zhisuan.base.ids import TimeOrderedIds
from zhisuan.engines.contract import Engine, RunSpec
from zhisuan.engines.errors import EngineError
from zhisuan.engines.local.config import LocalEngineConfig
from zhisuan.site.agent import JOURNAL_NAME, Agent
from zhisuan.site.config import AgentConfig, ProbeSettings
from zhisuan.site.contact import Contact
from zhisuan.site.errors import AgentStop, CredentialRevoked
from zhisuan.site.identity import Identity, keep
from zhisuan.site.record import Stage
from zhisuan.site.services import Services
from zhisuan.testing.city.clock import SiteClock
from zhisuan.testing.city.engine import SimEngine
from zhisuan.testing.city.network import CityClient, Link
from zhisuan.testing.city.usage_watch import UsageWatch

RESTART_SECONDS = 5.0


class CityServices(Services):
    """The agent's services without a gateway: a probe asks the simulated engine at once."""

    async def _probe(self, lease_id: str, generation: int, path: str) -> bool:
        answers: bool = self._engine.answers(lease_id, generation)  # type: ignore[attr-defined]
        return answers


class AgentKilled(BaseException):
    """The agent process is gone at this very point."""


class _Cursor:
    """A cursor of the journal that lets the disk be full, and the agent die at a commit."""

    def __init__(self, cursor: sqlite3.Cursor, life: "_Life") -> None:
        self._cursor = cursor
        self._life = life

    def execute(self, statement: str, *arguments: Any) -> Any:
        if statement == "COMMIT":
            self._life.point("before a commit of the journal")
            if self._life.site.disk_full:
                raise sqlite3.OperationalError("database or disk is full")
            done = self._cursor.execute(statement, *arguments)
            self._life.point("after a commit of the journal")
            return done
        return self._cursor.execute(statement, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


class _Db:
    def __init__(self, db: sqlite3.Connection, life: "_Life") -> None:
        self._db = db
        self._life = life

    def cursor(self) -> _Cursor:
        return _Cursor(self._db.cursor(), self._life)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


class _Port:
    """The engine as this life of the agent reaches it: every change has a moment before and one after at which it may die."""

    CHANGES = ("start", "stop", "remove")

    def __init__(self, engine: SimEngine, life: "_Life") -> None:
        self._engine = engine
        self._life = life

    def __getattr__(self, name: str) -> Any:
        act = getattr(self._engine, name)
        if name not in self.CHANGES:

            def look(*arguments: Any) -> Any:
                self._life.check()
                return act(*arguments)

            return look

        def change(*arguments: Any) -> Any:
            self._life.point(f"before engine.{name}")
            if name == "start":
                self._life.site.check_noted(arguments[0])
            try:
                done = act(*arguments)
            except EngineError:
                raise
            except Exception as error:
                self._life.site.complain(f"the simulated engine broke in {name}: {error!r}")
                raise
            self._life.point(f"after engine.{name}")
            return done

        return change


class _Life:
    """One process of the agent. ``point`` counts moments at which it may be killed."""

    def __init__(self, site: "Site") -> None:
        self.site = site
        self.dead = self.killed = False
        self.die_in: int | None = None

    def check(self) -> None:
        if self.dead:
            raise AgentKilled

    def point(self, where: str) -> None:
        self.check()
        if self.die_in is not None:
            self.die_in -= 1
            if self.die_in <= 0:
                self.dead = self.killed = True
                self.site.say(f"{self.site.name}: agent killed {where}")
                self.site.killed()
                raise AgentKilled


class Site:
    """``journal`` and engine are what outlives the agent."""

    def __init__(
        self, name: str, *, folder: Path, engine: SimEngine, clock: SiteClock, link: Link, chance: random.Random,
        say: Callable[[str], None], complain: Callable[[str], None], orphan_grace: int,
    ) -> None:  # fmt: skip
        self.name = name
        self.say = say
        self.complain = complain
        self.engine, self.clock, self.link = engine, clock, link
        self.disk_full = False
        self.revoked = self.shut_out = False
        self.stays_down = False
        self.stops: list[str] = []
        self._folder = folder
        self._chance = chance
        self._orphan_grace = orphan_grace
        self._life: _Life | None = None
        self._task: asyncio.Task[None] | None = None
        self._guard: asyncio.Task[None] | None = None
        self._agent: Agent | None = None
        self._boots = 0
        self._booted_at = 0.0
        self.id = ""

    def _since_boot(self) -> float:
        return asyncio.get_running_loop().time() - self._booted_at

    def ask_for_new_credential(self) -> None:
        """What the signal of the agent does."""
        rotation = getattr(self._agent, "_rotation", None)
        if self.running and rotation is not None:
            rotation._asked.set()

    def reboot(self) -> None:
        """The host goes down and comes up: agent and work die together."""
        self._boots += 1
        self._booted_at = asyncio.get_running_loop().time()
        self.kill()
        self.engine.crash()

    def join_as(self, site_id: str, credential: str) -> None:
        self.id = site_id
        self._folder.mkdir(parents=True, exist_ok=True)
        keep(self._folder, Identity(credential=credential, site_id=site_id, site_name=self.name))

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Run the agent, and again whenever it has ended, as a service manager does."""
        self._guard = asyncio.get_running_loop().create_task(self._tend())

    async def _tend(self) -> None:
        while not self.revoked:
            if not self.stays_down:
                await self._live()
            await asyncio.sleep(RESTART_SECONDS)

    async def _live(self) -> None:
        life = self._life = _Life(self)
        config = AgentConfig(
            data_dir=self._folder, server_url="http://127.0.0.1", probe=ProbeSettings(enabled=False),
            engine=LocalEngineConfig(orphan_grace_seconds=self._orphan_grace),
        )  # fmt: skip
        ids = TimeOrderedIds(self.clock, self._chance.getrandbits)
        port: Engine = _Port(self.engine, life)
        agent = self._agent = Agent(config, port, self.clock, ids, self._chance.random)
        agent._client = CityClient(self.link, life.point, UsageWatch(self.name, self.complain))
        agent._contact = Contact(agent._journal, self.clock, f"boot {self._boots}", self._since_boot)
        # A killed process loses nothing of what it has handed to the kernel: only a power cut would need the disk.
        agent._journal._db.execute("PRAGMA synchronous=OFF")
        agent._journal._db = _Db(agent._journal._db, life)  # type: ignore[assignment]
        self._task = asyncio.get_running_loop().create_task(agent.run())
        await asyncio.wait({self._task})
        life.dead = True
        if self._task.cancelled():
            return
        error = self._task.exception()
        stops = _stops(error)
        if not stops and not life.killed:
            self.complain(f"the agent of {self.name} ended with {error!r}")
        for stop in stops:
            self.stops.append(type(stop).__name__)
            self.say(f"{self.name}: agent stopped: {type(stop).__name__}")
            self.revoked = self.revoked or isinstance(stop, CredentialRevoked)

    def killed(self) -> None:
        self.link.drop()
        if self._task is not None:
            self._task.cancel()

    def kill(self) -> None:
        """SIGKILL, now."""
        if self._life is not None and self.running:
            self._life.dead = self._life.killed = True
            self.say(f"{self.name}: agent killed")
            self.killed()

    def kill_at(self, points: int) -> None:
        """SIGKILL at one of the next moments that matter."""
        if self._life is not None:
            self._life.die_in = points

    async def end(self) -> None:
        self.stays_down = self.revoked = True
        for task in (self._guard, self._task):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})

    def unsent(self) -> int:
        """Windows that the journal still holds."""
        with sqlite3.connect(self._folder / JOURNAL_NAME) as db:
            return int(db.execute("SELECT count(*) FROM usage_window").fetchone()[0])

    def check_noted(self, spec: RunSpec) -> None:
        """Whatever the engine is asked for must be on disk before: else a restarted agent would not know of it."""
        with sqlite3.connect(self._folder / JOURNAL_NAME) as db:
            row = db.execute(
                "SELECT record FROM lease WHERE lease_id = ? AND generation = ?", (spec.lease_id, spec.generation)
            ).fetchone()
        if row is None or json.loads(row[0])["stage"] not in (Stage.starting, Stage.started):
            self.complain(f"{self.name} starts {spec.lease_id} which its journal does not have as starting")


def _stops(error: BaseException | None) -> list[AgentStop]:
    if isinstance(error, BaseExceptionGroup):
        return [found for inner in error.exceptions for found in _stops(inner)]
    return [error] if isinstance(error, AgentStop) else []
