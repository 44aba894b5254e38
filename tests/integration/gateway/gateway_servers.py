"""Test servers on real sockets: a control server, model servers on unix sockets, sites with tunnels, and the gateway.

``City`` holds one of each and stops them in the right order.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openai
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route as HttpRoute

from zhisuan.base.secrets import digest
from zhisuan.gateway.app import make_server
from zhisuan.gateway.config import GatewayConfig
from zhisuan.gateway.service import Gateway
from zhisuan.site.tunnel import Tunnel
from zhisuan.wire.common import Accepted
from zhisuan.wire.gateway import (
    KeyAnswer,
    KeyQuestion,
    Replica,
    Route,
    RoutesAnswer,
    RoutesQuestion,
    ShellAnswer,
    ShellQuestion,
    ShellRefusal,
    SiteAnswer,
    SiteQuestion,
    TokenUsage,
    TokenUsageBatch,
    WorkspaceAnswer,
    WorkspaceEntered,
    WorkspaceEntry,
    WorkspaceQuestion,
)

GATEWAY_CREDENTIAL = "zsg_test-gateway"
KEY = "zsk_" + "a" * 40
OTHER_KEY = "zsk_" + "b" * 40
POOR_KEY = "zsk_" + "c" * 40
MADE = datetime(2026, 11, 1, tzinfo=UTC)


@contextlib.asynccontextmanager
async def running(server: uvicorn.Server) -> AsyncIterator[uvicorn.Server]:
    """Run a uvicorn server inside this event loop, without touching the signals of the test process."""
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
    task = asyncio.create_task(server.serve())
    while not server.started:
        if task.done():
            task.result()
            raise RuntimeError("the server ended before it had started")
        await asyncio.sleep(0.005)
    try:
        yield server
    finally:
        server.should_exit = True
        await task


def port_of(server: uvicorn.Server) -> int:
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port


def quiet(app: Starlette, **where: Any) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app, log_level="critical", access_log=False, lifespan="off", timeout_graceful_shutdown=1, **where
        )
    )


class ControlServer:
    """Answers what the platform's server answers a gateway, from plain dictionaries."""

    def __init__(self) -> None:
        self.keys: dict[str, KeyAnswer] = {}
        self.sites: dict[str, SiteAnswer] = {}
        self.usage: dict[str, TokenUsage] = {}
        self.workspaces: dict[str, WorkspaceAnswer] = {}
        """What is said of a workspace to whom ``holders`` has, by workspace, with the digest of their credential."""
        self.holders: dict[str, set[str]] = {}
        self.shells: dict[tuple[str, int], ShellAnswer] = {}
        """What is said of a shell beside a rank to whom ``holders`` has."""
        self.openings: list[tuple[str, int]] = []
        self.tickets: dict[str, str] = {}
        """Workspace by digest of a ticket that was not used yet."""
        self.deliveries: list[str] = []
        self.questions: list[str] = []
        self.down = False
        self.silent = asyncio.Event()
        """Clear it, and questions get no answer until it is set."""
        self.silent.set()
        self.refused: set[str] = set()
        self.drop_usage_answers = 0
        self._routes: tuple[Route, ...] = ()
        self._version = 0
        self._changed = asyncio.Event()
        prefix = "/wire/v1/gateway/"
        self.app = Starlette(
            routes=[
                HttpRoute(prefix + "authorise", self._authorise, methods=["POST"]),
                HttpRoute(prefix + "routes", self._follow, methods=["POST"]),
                HttpRoute(prefix + "site", self._site, methods=["POST"]),
                HttpRoute(prefix + "usage", self._usage, methods=["POST"]),
                HttpRoute(prefix + "workspace", self._workspace, methods=["POST"]),
                HttpRoute(prefix + "enter", self._enter, methods=["POST"]),
                HttpRoute(prefix + "shell", self._shell, methods=["POST"]),
            ]
        )

    def set_routes(self, *routes: Route) -> None:
        self._routes = routes
        self._version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def version(self) -> str:
        return str(self._version)

    async def _barred(self, request: Request, name: str) -> Response | None:
        self.questions.append(name)
        if self.down:
            return JSONResponse({"detail": "down"}, 503)
        await self.silent.wait()
        if request.headers.get("authorization") != f"Bearer {GATEWAY_CREDENTIAL}":
            return JSONResponse({"detail": "credential"}, 401)
        return None

    async def _authorise(self, request: Request) -> Response:
        question = KeyQuestion.model_validate_json(await request.body())
        return await self._barred(request, "authorise") or _json(
            self.keys.get(question.key_digest, KeyAnswer(valid=False, ttl_seconds=60))
        )

    async def _site(self, request: Request) -> Response:
        question = SiteQuestion.model_validate_json(await request.body())
        return await self._barred(request, "site") or _json(
            self.sites.get(question.credential_digest, SiteAnswer(valid=False))
        )

    async def _workspace(self, request: Request) -> Response:
        question = WorkspaceQuestion.model_validate_json(await request.body())
        allowed = question.credential_digest in self.holders.get(question.workload_id, ())
        answer = self.workspaces[question.workload_id] if allowed else WorkspaceAnswer(valid=False)
        return await self._barred(request, "workspace") or _json(answer)

    async def _shell(self, request: Request) -> Response:
        question = ShellQuestion.model_validate_json(await request.body())
        barred = await self._barred(request, "shell")
        if barred is not None:
            return barred
        place = question.workload_id, question.rank
        if question.credential_digest not in self.holders.get(question.workload_id, ()):
            nothing = ShellRefusal(status=404, code="not_found", what_en="no", what_zh="无", remedy_en="look", remedy_zh="看")
            return _json(ShellAnswer(refusal=nothing))
        if question.opening:
            self.openings.append(place)
        return _json(self.shells[place])

    async def _enter(self, request: Request) -> Response:
        entry = WorkspaceEntry.model_validate_json(await request.body())
        good = self.tickets.get(entry.ticket_digest) == entry.workload_id
        if good:
            del self.tickets[entry.ticket_digest]
            self.holders[entry.workload_id].add(entry.session_digest)
        return await self._barred(request, "enter") or _json(WorkspaceEntered(valid=good, seconds=3600 if good else 0))

    async def _usage(self, request: Request) -> Response:
        barred = await self._barred(request, "usage")
        if barred is not None:
            return barred
        batch = TokenUsageBatch.model_validate_json(await request.body())
        duplicate, refused = 0, []
        for event in batch.events:
            self.deliveries.append(event.id)
            if event.id in self.refused:
                refused.append(event.id)
            elif event.id in self.usage:
                assert self.usage[event.id] == event, "a replay must be the same event"
                duplicate += 1
            else:
                self.usage[event.id] = event
        if self.drop_usage_answers:
            self.drop_usage_answers -= 1
            return JSONResponse({"detail": "kept, but the answer is lost"}, 502)
        accepted = len(batch.events) - duplicate - len(refused)
        return _json(Accepted(accepted=accepted, duplicate=duplicate, refused=tuple(refused)))

    async def _follow(self, request: Request) -> Response:
        barred = await self._barred(request, "routes")
        if barred is not None:
            return barred
        question = RoutesQuestion.model_validate_json(await request.body())
        if question.known_version == self.version and question.wait_seconds:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), question.wait_seconds)
        return _json(RoutesAnswer(version=self.version, routes=self._routes))


def _json(message: Any) -> Response:
    return Response(message.model_dump_json(), media_type="application/json")


@dataclass
class ModelServer:
    """Speaks the OpenAI protocol. What a call does is told by its ``metadata``:

    ``pieces`` how many chunks; ``pause`` seconds between them; ``size`` characters of each; ``status`` answer that
    status; ``fail_at`` break the connection at that chunk; ``error_at`` send an error event there; ``hang_at`` stop
    there; ``no_usage``, ``no_done``; ``hang`` never answer.
    """

    name: str = "m"
    calls: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    sent: int = 0
    cancelled: int = 0
    behaviour: dict[str, Any] = field(default_factory=dict)

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                HttpRoute("/v1/chat/completions", self._complete, methods=["POST"]),
                HttpRoute("/v1/completions", self._complete, methods=["POST"]),
                HttpRoute("/healthy", self._healthy, methods=["GET"]),
                HttpRoute("/unhealthy", self._unhealthy, methods=["GET"]),
            ]
        )

    async def _healthy(self, _: Request) -> Response:
        return Response("ok")

    async def _unhealthy(self, _: Request) -> Response:
        return Response("no", 503)

    async def _complete(self, request: Request) -> Response:
        body = json.loads(await request.body())
        self.calls.append(body)
        self.headers.append(dict(request.headers))
        wish = {**(body.get("metadata") or {}), **self.behaviour}
        status = int(wish.get("status", 200))
        if status != 200:
            return JSONResponse({"error": {"message": f"told to answer {status}", "code": status}}, status)
        if wish.get("hang"):
            await self._hang(request)
        chat = request.url.path.endswith("chat/completions")
        count = int(wish.get("pieces", 3))
        usage = {
            "prompt_tokens": 11,
            "completion_tokens": count,
            "total_tokens": 11 + count,
            "prompt_tokens_details": {"cached_tokens": 4},
        }
        if body.get("stream"):
            with_usage = body.get("stream_options", {}).get("include_usage") and not wish.get("no_usage")
            events = self._events(body, wish, chat, count, usage if with_usage else None)
            return StreamingResponse(events, media_type="text/event-stream", headers={"set-cookie": "upstream=1"})
        if pause := float(wish.get("pause", 0)):
            await self._sleep_or_disconnect(request, pause)
        text = "".join(self._word(wish, n) for n in range(count))
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
        choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text, "logprobs": None}
        answer = {
            "id": "cmpl-1",
            "object": "chat.completion" if chat else "text_completion",
            "created": 1,
            "model": body["model"],
            "choices": [choice],
        }
        if not wish.get("no_usage"):
            answer["usage"] = usage
        return JSONResponse(answer, headers={"set-cookie": "upstream=1", "x-upstream": "1"})

    async def _hang(self, request: Request) -> None:
        try:
            while (await request.receive())["type"] != "http.disconnect":
                pass
        finally:
            self.cancelled += 1
        raise ClientDisconnect

    async def _sleep_or_disconnect(self, request: Request, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hang(request), seconds)

    @staticmethod
    def _word(wish: dict[str, Any], n: int) -> str:
        return f"w{n} ".ljust(int(wish.get("size", 0)), "x")

    async def _events(
        self, body: dict[str, Any], wish: dict[str, Any], chat: bool, count: int, usage: dict[str, Any] | None
    ) -> AsyncIterator[bytes]:
        def event(choices: list[Any], **more: Any) -> bytes:
            kind = "chat.completion.chunk" if chat else "text_completion"
            shown = {"id": "c1", "object": kind, "created": 1, "model": body["model"], "choices": choices, **more}
            return b"data: " + json.dumps(shown).encode() + b"\n\n"

        finished = False
        try:
            for n in range(count):
                if int(wish.get("fail_at", -1)) == n:
                    raise ConnectionAbortedError("told to break off")
                if int(wish.get("error_at", -1)) == n:
                    yield b'data: {"error": {"message": "told to fail", "code": 500}}\n\n'
                    finished = True
                    return
                if int(wish.get("hang_at", -1)) == n:
                    await asyncio.sleep(3600)
                if chat and n == 0:
                    yield event([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
                word = self._word(wish, n)
                content = {"delta": {"content": word}} if chat else {"text": word}
                yield event([{"index": 0, **content, "finish_reason": None}])
                self.sent += 1
                if pause := float(wish.get("pause", 0)):
                    await asyncio.sleep(pause)
            yield event([{"index": 0, **({"delta": {}} if chat else {"text": ""}), "finish_reason": "stop"}])
            if usage:
                yield event([], usage=usage)
            if not wish.get("no_done"):
                yield b"data: [DONE]\n\n"
            finished = True
        finally:
            if not finished:
                self.cancelled += 1


class Line:
    """A TCP line to ``port`` that can be cut, or frozen: open at both ends while nothing passes."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._pairs: list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._open.set()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            self.cut()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        for pair in self._pairs:
            for writer in pair:
                writer.transport.abort()
        self._pairs.clear()
        self._open.set()

    def freeze(self) -> None:
        self._open.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._pairs.append((writer, far_writer))
        for source, target in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pass(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                await self._open.wait()
                if target.is_closing():
                    return
                target.write(data)
                await target.drain()
        target.close()


@dataclass
class Site:
    site_id: str
    credential: str
    sockets: dict[tuple[str, int], Path]
    tunnel: Tunnel
    task: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        self.task = asyncio.create_task(self.tunnel.run())
        await eventually(lambda: self.tunnel.connected)

    async def disconnect(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
            self.task = None


async def eventually(condition: Any, seconds: float = 10.0) -> None:
    """Wait until ``condition()`` holds; fails after ``seconds``."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


class City:
    """One control server, one gateway, and what a test adds to them."""

    def __init__(self, folder: Path, stack: contextlib.AsyncExitStack) -> None:
        self.folder = folder
        self.control = ControlServer()
        self.gateway: uvicorn.Server
        self.control_url = ""
        self.gateway_url = ""
        self.sites: dict[str, Site] = {}
        self._stack = stack
        self._services = 0

    async def start(self, **limits: Any) -> None:
        control = await self._stack.enter_async_context(running(quiet(self.control.app, host="127.0.0.1", port=0)))
        self.control_url = f"http://127.0.0.1:{port_of(control)}"
        self._stack.callback(self.control.set_routes)  # wakes the last question about routes, so that stopping is quick
        for key, org in ((KEY, "org_a"), (OTHER_KEY, "org_b")):
            self.control.keys[digest(key)] = KeyAnswer(valid=True, key_id=f"key_{org}", org_id=org, project_id="prj_1")
        self.control.keys[digest(POOR_KEY)] = KeyAnswer(valid=True, key_id="key_p", org_id="org_a", funded=False)
        self.gateway = await self._stack.enter_async_context(
            running(make_server(self.config(**limits), "127.0.0.1", 0))
        )
        self.gateway_url = f"http://127.0.0.1:{port_of(self.gateway)}"

    def config(self, **limits: Any) -> GatewayConfig:
        return GatewayConfig(
            **{
                "server_url": self.control_url,
                "credential": GATEWAY_CREDENTIAL,
                "gateway_name": "gw-1",
                "journal_path": self.folder / "gateway" / "usage.db",
                "ship_interval_seconds": 0.02,
                "checkpoint_seconds": 0.05,
                "stop_seconds_max": 1,
                **limits,
            }
        )

    async def add_site(self, site_id: str = "site_1", gateway_url: str | None = None) -> Site:
        credential = f"zss_{site_id}"
        self.control.sites[digest(credential)] = SiteAnswer(valid=True, site_id=site_id)
        sockets: dict[tuple[str, int], Path] = {}

        async def shell(lease: str, generation: int, rank: int) -> Path | None:
            return sockets.get((f"{lease}/{rank}", generation))

        tunnel = Tunnel(
            gateway_url or self.gateway_url,
            credential,
            lambda lease, generation: sockets.get((lease, generation)),
            resolve_shell=shell,
            random=lambda: 0.0,
        )
        site = Site(site_id, credential, sockets, tunnel)
        self.sites[site_id] = site
        self._stack.push_async_callback(site.disconnect)
        await site.connect()
        return site

    async def add_service(self, site: Site, lease_id: str, model: ModelServer | None = None) -> ModelServer:
        model = model or ModelServer(lease_id)
        self._services += 1
        path = self.folder / f"s{self._services}.sock"
        await self._stack.enter_async_context(running(quiet(model.app, uds=str(path))))
        site.sockets[lease_id, 1] = path
        return model

    async def route(
        self, *leases: tuple[str, str], model: str = "guide", org: str = "org_a", more: tuple[Route, ...] = ()
    ) -> None:
        """Serve ``model`` by ``(site, lease)`` pairs, and wait until the gateway knows."""
        replicas = tuple(Replica(lease_id=lease, generation=1, site_id=site, ready=True) for site, lease in leases)
        self.control.set_routes(make_route(model, org, replicas), *more)
        await eventually(lambda: self.inner.table.version == self.control.version)

    @property
    def inner(self) -> Gateway:
        """The running gateway itself, for what only it can tell."""
        gateway: Gateway = self.gateway.config.app.state.gateway  # type: ignore[union-attr]
        return gateway

    @property
    def calls_running(self) -> int:
        return self.inner.limits.running

    async def serve_model(self, *lease_ids: str) -> list[ModelServer]:
        """One site with a replica of ``guide`` for each lease."""
        site = await self.add_site()
        models = [await self.add_service(site, lease_id) for lease_id in lease_ids]
        await self.route(*((site.site_id, lease_id) for lease_id in lease_ids))
        return models

    def client(self, key: str = KEY, **options: Any) -> openai.AsyncOpenAI:
        options.setdefault("max_retries", 0)
        return openai.AsyncOpenAI(base_url=self.gateway_url + "/v1", api_key=key, timeout=30, **options)

    async def usage(self, count: int = 1) -> list[TokenUsage]:
        """The usage that has reached the control server, once there are ``count`` of them."""
        await eventually(lambda: len(self.control.usage) >= count)
        return sorted(self.control.usage.values(), key=lambda event: event.id)


def make_route(model: str, org: str, replicas: tuple[Replica, ...], deployment: str = "dep_1") -> Route:
    return Route(
        deployment_id=deployment,
        org_id=org,
        model=model,
        upstream_model=f"upstream/{model}",
        version="1",
        created=MADE,
        replicas=replicas,
    )
