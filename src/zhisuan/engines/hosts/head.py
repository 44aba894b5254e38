"""The head: where the hosts' daemons come to. One thread with a loop of its own, inside the site's agent."""

import asyncio
import logging
import secrets
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from zhisuan.engines.errors import EngineUnavailable
from zhisuan.engines.hosts.config import HostsEngineConfig
from zhisuan.engines.hosts.drive import Driver, Key
from zhisuan.engines.hosts.gang import ORDER_FILE, Order
from zhisuan.engines.hosts.link import HEARTBEAT_SECONDS, MESSAGE_BYTES_MAX, Link, LinkBroken
from zhisuan.engines.hosts.messages import INTRODUCTION, PATH, VERSION
from zhisuan.engines.hosts.paths import RunPaths
from zhisuan.engines.hosts.posts import Post, Posts
from zhisuan.engines.hosts.registry import JoinDenied, Member, Registry
from zhisuan.engines.hosts.streams import Streams

log = logging.getLogger("zhisuan.hosts")
T = TypeVar("T")

_CALL_SECONDS = 70.0
_SMALL_BYTES = 64 << 10


class Head:
    """Started by ``start``, ended by ``close``. ``paths_of`` gives a run's files; ``ongoing`` the runs to take up."""

    def __init__(
        self,
        registry: Registry,
        config: HostsEngineConfig,
        now: Callable[[], datetime],
        paths_of: Callable[[Key], RunPaths],
    ) -> None:
        self._registry = registry
        self._config = config
        self._now = now
        self._paths_of = paths_of
        self.posts = Posts(registry, now)
        self.driver = Driver(
            self.posts,
            now,
            lambda key: paths_of(key).is_held(),
            term_seconds=config.orphan_grace_seconds,
            margin_seconds=config.margin_seconds,
            grace_seconds=config.timeout_grace_seconds,
        )
        self.streams = Streams()
        self.port = 0
        self._boot = secrets.token_hex(8)
        self._beats = 0
        self._open: set[asyncio.Transport] = set()
        self._loop = asyncio.new_event_loop()
        self._runner: web.AppRunner | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hosts-head", daemon=True)

    # From other threads

    def start(self, ongoing: list[RunPaths]) -> None:
        """Raises OSError when the port cannot be had."""
        self._thread.start()
        try:
            self.run(self._listen(ongoing))
        except OSError:
            self._end_thread()
            raise

    def run(self, work: Coroutine[Any, Any, T], seconds: float = _CALL_SECONDS) -> T:
        """``work`` in the head's loop. Raises EngineUnavailable when it takes too long or the host is gone."""
        waiting = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return waiting.result(seconds)
        except LinkBroken as error:
            raise EngineUnavailable(f"the host does not answer: {error}") from error
        except FutureTimeout as error:
            waiting.cancel()
            raise EngineUnavailable(f"no answer within {seconds:.0f} s") from error

    def soon(self, work: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(work)

    def call(self, hostname: str, name: str, given: Any) -> Any:
        """Raises EngineUnavailable, Said."""
        post = self.posts.connected.get(hostname)
        if post is None:
            raise EngineUnavailable(f"the host {hostname} is not connected to the site")
        return self.run(post.link.call(name, given))

    def beat(self) -> None:
        """The site's agent lives."""
        self._beats += 1

    def close(self) -> None:
        """Let go of the port and of all hosts; runs go on there."""
        if self._thread.is_alive():
            with suppress(EngineUnavailable):
                self.run(self._shut(), 10)
            self._end_thread()

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    # In the loop

    async def _listen(self, ongoing: list[RunPaths]) -> None:
        for paths in ongoing:
            try:
                self.driver.adopt(paths)
            except (OSError, ValueError) as error:
                log.error("The run in %s cannot be taken up: %s", paths.folder, error)
        app = web.Application(client_max_size=_SMALL_BYTES)
        app.add_routes(
            [
                web.post(f"{PATH}/join", self._join),
                web.get(f"{PATH}/link", self._link),
                web.get(f"{PATH}/archives/{{lease_id}}/{{generation}}/{{number}}", self._archive),
                web.get(f"{PATH}/streams/{{stream}}", self._stream),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(
            self._runner, self._config.listen, self._config.port, ssl_context=self._registry.certificate.context()
        )
        try:
            await site.start()
        except OSError:
            await self._runner.cleanup()
            raise
        self.port = self._runner.addresses[0][1]
        log.info("Hosts come to %s:%d.", self._config.listen, self.port)

    async def _shut(self) -> None:
        for transport in list(self._open):
            transport.abort()
        if self._runner is not None:
            await self._runner.cleanup()
        mine = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not mine]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._loop.shutdown_default_executor()

    @contextmanager
    def _noted(self, request: web.Request) -> Iterator[None]:
        """Connections that last are cut when the head ends: a TLS connection would wait for the other side's farewell."""
        transport = request.transport
        if transport is None:
            raise web.HTTPBadRequest
        self._open.add(transport)
        try:
            yield
        finally:
            self._open.discard(transport)

    async def _join(self, request: web.Request) -> web.Response:
        try:
            said = await request.json()
            self._registry.join(str(said["token"]), str(said["hostname"]), str(said["credential_digest"]), self._now())
        except JoinDenied as error:
            log.warning("A host was refused: %s", error)
            return web.json_response({"code": error.code, "message": str(error)}, status=403)
        except (ValueError, KeyError, TypeError):
            return web.json_response({"code": "bad_request", "message": "not a request to join"}, status=400)
        log.info("The host %s has joined.", said["hostname"])
        return web.json_response({"hostname": said["hostname"]})

    def _member(self, request: web.Request) -> Member:
        scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
        member = self._registry.by_credential(credential) if scheme == "Bearer" else None
        if member is None:
            raise web.HTTPUnauthorized(text="this head knows no such host (any more); join again with a new token")
        return member

    async def _link(self, request: web.Request) -> web.StreamResponse:
        member = self._member(request)
        with self._noted(request):
            return await self._hold(request, member)

    async def _hold(self, request: web.Request, member: Member) -> web.StreamResponse:
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, max_msg_size=MESSAGE_BYTES_MAX, timeout=2.0)
        await socket.prepare(request)
        introduced: asyncio.Future[Post] = asyncio.get_running_loop().create_future()

        async def handle(name: str, given: Any) -> Any:
            return self._answer(member, link, introduced, name, given)

        link = Link(socket, handle)
        listening = asyncio.create_task(link.run())
        watching = asyncio.create_task(self._watch(introduced))
        try:
            await asyncio.wait((listening, watching), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (listening, watching):
                task.cancel()
            await asyncio.gather(listening, watching, return_exceptions=True)
            if introduced.done() and not introduced.cancelled():
                self.posts.left(introduced.result())
            await socket.close()
        return socket

    async def _watch(self, introduced: asyncio.Future[Post]) -> None:
        post = await introduced
        log.info("The host %s is connected.", post.hostname)
        try:
            await self.driver.watch(post)
        except LinkBroken as error:
            log.warning("The host %s is not connected any more: %s; its work goes on.", post.hostname, error)

    def _answer(self, member: Member, link: Link, introduced: asyncio.Future[Post], name: str, given: Any) -> Any:
        """Calls of a host."""
        if member.hostname not in self._registry.members():
            self.soon(lambda: self.streams.later(link.close()))
            raise ValueError("this host was removed from the site")
        if name == "introduce":
            told = INTRODUCTION.validate_python(given)
            if told.version != VERSION:
                raise ValueError(
                    f"this host speaks version {told.version}, the head version {VERSION}; update the older"
                )
            if introduced.done():
                introduced.result().told = told
                self.posts.introduce(member.hostname, link, told)
            else:
                before = self.posts.connected.get(member.hostname)
                if before is not None:
                    self.streams.later(before.link.close())
                introduced.set_result(self.posts.introduce(member.hostname, link, told))
            return {"version": VERSION}
        if name == "beat":
            if introduced.done() and self.posts.connected.get(member.hostname) is introduced.result():
                self.posts.hear(member.hostname)
            return f"{self._boot}.{self._beats}"
        raise ValueError(f"no such call: {name}")

    async def _archive(self, request: web.Request) -> web.StreamResponse:
        """To a host of the run alone."""
        member = self._member(request)
        where = request.match_info
        if not where["generation"].isdigit() or not where["number"].isdigit():
            raise web.HTTPNotFound
        gang = self.driver.gangs.get((where["lease_id"], int(where["generation"])))
        if gang is None or member.hostname not in gang.order.hosts:
            raise web.HTTPNotFound
        for archive in gang.order.archives:
            if archive.number == int(where["number"]):
                return web.FileResponse(archive.path)
        raise web.HTTPNotFound

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        member = self._member(request)
        socket = web.WebSocketResponse(max_msg_size=MESSAGE_BYTES_MAX, timeout=2.0)
        await socket.prepare(request)
        with self._noted(request):
            await self.streams.arrived(request.match_info["stream"], member.hostname, socket)
        return socket


def read_order(path: Path) -> Order | None:
    """Of a run that was ordered; None of one that was cancelled before."""
    try:
        order: Order = ORDER_FILE.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    return order
