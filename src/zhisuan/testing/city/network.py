"""The way between a site and the servers: slow, cut, losing answers, saying things twice."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from zhisuan.site.client import ServerClient
from zhisuan.testing.city.server import CityServer, Refusing, Reply
from zhisuan.testing.city.usage_watch import UsageWatch


class Lost(Exception):
    """No answer will come: the request or its answer was lost, or the server died."""


class Proxy:
    """What stands before the servers: a caller gets the one it had before while that one lives, else another."""

    def __init__(self, servers: list[CityServer]) -> None:
        self._servers = servers

    def pick(self, preferred: int) -> CityServer:
        ordered = self._servers[preferred % len(self._servers) :] + self._servers[: preferred % len(self._servers)]
        for server in ordered:
            if server.up:
                return server
        raise Lost("no server answers")


class Link:
    """One caller's connections. Chances are in a thousand, drawn for each call."""

    def __init__(
        self, name: str, proxy: Proxy, chance: random.Random, say: Callable[[str], None], preferred: int
    ) -> None:
        self.name = name
        self._proxy = proxy
        self._chance = chance
        self._say = say
        self._preferred = preferred
        self._waiting: dict[asyncio.Future[Reply], None] = {}
        self.cut = False
        self.lose_answers = self.lose_requests = self.repeat = 0
        self.latency_max = 0.2
        self.late: list[asyncio.Task[None]] = []

    def cut_off(self) -> None:
        self.cut = True
        self.drop()

    def drop(self) -> None:
        """Every call under way ends without an answer; what it asked for may well happen."""
        for reply in list(self._waiting):
            if not reply.done():
                reply.set_exception(Lost("the connection broke"))

    def restore(self) -> None:
        self.cut = False

    async def call(
        self, method: str, path: str, headers: dict[str, str], body: bytes, params: dict[str, str] | None = None
    ) -> Reply:
        """One request. Raises ``Lost`` when no answer came, whatever became of it."""
        await asyncio.sleep(self._chance.uniform(0.001, self.latency_max))
        if self.cut:
            await asyncio.sleep(self._chance.uniform(0.5, 5.0))
            raise Lost("the network is cut")
        if self._chance.randrange(1000) < self.lose_requests:
            raise Lost("the request was lost")
        answer = await self._once(method, path, headers, body, params)
        if self._chance.randrange(1000) < self.repeat:
            self._repeat_later(method, path, headers, body, params)
        if self._chance.randrange(1000) < self.lose_answers:
            self._say(f"{self.name}: answer of {method} {path} lost after it was done")
            raise Lost("the answer was lost")
        return answer

    async def _once(
        self, method: str, path: str, headers: dict[str, str], body: bytes, params: dict[str, str] | None
    ) -> Reply:
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Reply] = loop.create_future()
        server = self._proxy.pick(self._preferred)
        try:
            task = server.call(method, path, headers, body, params)
        except Refusing as error:
            raise Lost("no server answers") from error

        def done(ended: "asyncio.Task[Reply]") -> None:
            if reply.done():
                if not ended.cancelled():
                    ended.exception()
            elif ended.cancelled():
                reply.set_exception(Lost("the server died"))
            elif (error := ended.exception()) is not None:
                reply.set_exception(error)
            else:
                reply.set_result(ended.result())

        task.add_done_callback(done)
        self._waiting[reply] = None
        try:
            return await reply
        finally:
            del self._waiting[reply]

    def _repeat_later(
        self, method: str, path: str, headers: dict[str, str], body: bytes, params: dict[str, str] | None
    ) -> None:
        delay = self._chance.choice((0.01, 1.0, 30.0, 300.0))

        async def again() -> None:
            await asyncio.sleep(delay)
            try:
                await self._once(method, path, headers, body, params)
            except Lost:
                return
            self._say(f"{self.name}: {method} {path} arrived once more, {delay} s later")

        self.late.append(asyncio.get_running_loop().create_task(again()))


class _Response:
    """As much of an aiohttp response as the agent's client looks at."""

    def __init__(self, reply: Reply) -> None:
        self.status = reply.status
        self.reason = "status"
        self._body = reply.body
        self.content = self

    async def read(self, limit: int = -1) -> bytes:
        return self._body


class _Session:
    """What the agent's client takes for its aiohttp session. ``alive`` raises when the agent has been killed."""

    def __init__(self, link: Link, alive: Callable[[str], None], usage: UsageWatch) -> None:
        self._link = link
        self._alive = alive
        self._usage = usage

    @asynccontextmanager
    async def request(
        self, method: str, url: str, *, headers: dict[str, str], params: dict[str, str] | None = None,
        data: bytes | AsyncIterator[bytes] | None = None, **_options: object,
    ) -> AsyncIterator[_Response]:  # fmt: skip
        body = data if isinstance(data, bytes) else b"".join([part async for part in data]) if data is not None else b""
        where = urlsplit(url).path
        self._alive(f"before {where}")
        if where.endswith("/usage"):
            self._usage.sends(body)
        try:
            reply = await self._link.call(method, where, headers, body, params)
        except Lost as error:
            self._alive(f"after {where} failed")
            raise aiohttp.ClientConnectionError(str(error)) from error
        self._alive(f"after {where}")
        if where.endswith("/usage") and reply.status == 200:
            self._usage.heard(body, reply.body)
        yield _Response(reply)

    async def close(self) -> None:
        """Nothing is held open."""


class CityClient(ServerClient):
    """The agent's own client with the city's network below it."""

    def __init__(self, link: Link, alive: Callable[[str], None], usage: UsageWatch) -> None:
        super().__init__("http://127.0.0.1")
        self._city_session = _Session(link, alive, usage)

    def _open(self) -> Any:
        return self._city_session
