"""The gateway as an ASGI application, and its server."""

import logging
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from secrets import SystemRandom, randbits
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from zhisuan.base.clock import Clock, SystemClock
from zhisuan.base.errors import Unavailable
from zhisuan.base.ids import Ids, TimeOrderedIds
from zhisuan.base.shells import SHELLS_PATH
from zhisuan.base.text import Text
from zhisuan.gateway.config import GatewayConfig
from zhisuan.gateway.errors import ApiError, internal, method_not_allowed, unknown_url
from zhisuan.gateway.http import ClientGone, Exchange
from zhisuan.gateway.metrics import CONTENT_TYPE, exposition
from zhisuan.gateway.service import Gateway
from zhisuan.gateway.workspaces import WORKSPACES_PATH
from zhisuan.wire.frames import TUNNEL_PATH, WORKSPACE_MESSAGE_BYTES_MAX

log = logging.getLogger(__name__)
# Every call waits for the journal's thread, and that thread for the interpreter's lock: 5 ms, Python's default, is far
# more than the write itself takes.
SWITCH_SECONDS = 0.0005
Act = Callable[[Scope, Exchange], Awaitable[None]]
COMPLETION_PATHS = ("/v1/chat/completions", "/v1/completions")


class _Endpoint:
    """A bare ASGI endpoint: gives the call its id, and answers its errors."""

    def __init__(self, gateway: Gateway, ids: Ids, act: Act) -> None:
        self._gateway = gateway
        self._ids = ids
        self._act = act

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(
            scope,
            receive,
            send,
            request_id=self._ids.new("req"),
            write_seconds=self._gateway.config.client_write_seconds_max,
        )
        try:
            await self._answered(scope, exchange)
        except ClientGone:
            log.debug("the client of %s has gone", exchange.request_id)
        finally:
            exchange.stop_watching()

    async def _answered(self, scope: Scope, exchange: Exchange) -> None:
        try:
            await self._act(scope, exchange)
        except ApiError as error:
            self._gateway.refused(error)
            await exchange.answer_error(error)
        except ClientGone:
            raise
        except Exception:
            log.exception("call %s failed inside the gateway", exchange.request_id)
            if exchange.started:
                raise
            await exchange.answer_error(internal(exchange.request_id))


class _Application(Starlette):
    """Model calls go straight to their endpoint: what routing and middleware would cost them is a tenth of a call. So do the
    requests to workspaces, whose paths are theirs as they were sent, and those for shells."""

    def __init__(self, completions: _Endpoint, workspaces: ASGIApp, shells: ASGIApp, **parts: Any) -> None:
        super().__init__(**parts)
        self._completions = completions
        self._below = {WORKSPACES_PATH: workspaces, SHELLS_PATH: shells}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in COMPLETION_PATHS:
            await self._completions(scope, receive, send)
            return
        if scope["type"] in ("http", "websocket"):
            for path, application in self._below.items():
                if scope["path"].startswith(path):
                    await application(scope, receive, send)
                    return
        await super().__call__(scope, receive, send)


def build_gateway(config: GatewayConfig, *, clock: Clock | None = None, ids: Ids | None = None) -> Starlette:
    """The application. Its lifespan opens the journal and starts what runs beside the calls; ``app.state.gateway`` is
    the ``Gateway`` then."""
    clock = clock or SystemClock()
    # Call ids must be unique, not secret: seeded once, they cost no system call each.
    ids = ids or TimeOrderedIds(clock, Random(randbits(256)).getrandbits)  # noqa: S311
    gateway = Gateway(config, clock=clock, random=SystemRandom().random, monotonic=time.monotonic)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with gateway.running():
            app.state.gateway = gateway
            yield

    completions = _Endpoint(gateway, ids, gateway.complete)
    return _Application(
        completions,
        partial(gateway.workspaces.serve, ids),
        partial(gateway.shells.serve, ids),
        routes=[
            *(Route(path, completions, methods=["POST"]) for path in COMPLETION_PATHS),  # GET there answers 405
            Route("/v1/models", _Endpoint(gateway, ids, gateway.list_models), methods=["GET"]),
            Route("/v1/models/{model:path}", _Endpoint(gateway, ids, gateway.show_model), methods=["GET"]),
            *_plain_routes(gateway),
            WebSocketRoute(TUNNEL_PATH, gateway.hub.serve),
        ],
        exception_handlers={HTTPException: _unrouted(ids)},
        lifespan=lifespan,
    )


def _plain_routes(gateway: Gateway) -> list[Route]:
    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> Response:
        problems = gateway.problems()
        return JSONResponse({"ready": not problems, "problems": problems}, 503 if problems else 200)

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(exposition(gateway), media_type=CONTENT_TYPE)

    return [
        Route("/health", health, methods=["GET"]),
        Route("/ready", ready, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
    ]


def _unrouted(ids: Ids) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Answers where there is no such path or method, in the form of all other errors."""

    async def answer(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        make = method_not_allowed if status == 405 else unknown_url
        shown = make(request.method, request.url.path)
        headers = {"x-request-id": ids.new("req"), "openai-processing-ms": "0"}
        return Response(shown.body(), shown.status, headers, "application/json")

    return answer


def make_server(config: GatewayConfig, host: str, port: int) -> uvicorn.Server:
    """A server for the gateway; ``await server.serve()`` runs it until ``server.should_exit``."""
    return uvicorn.Server(
        uvicorn.Config(
            build_gateway(config),
            host=host,
            port=port,
            access_log=False,
            proxy_headers=False,
            log_level="warning",
            server_header=False,
            ws_max_size=WORKSPACE_MESSAGE_BYTES_MAX,
            ws_ping_interval=config.ping_seconds,
            ws_ping_timeout=config.ping_seconds,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=config.stop_seconds_max,
        )
    )


async def serve(config: GatewayConfig, host: str, port: int) -> None:
    """Run the gateway on ``host:port`` until it is told to stop (SIGINT, SIGTERM). Raises ``Unavailable`` when it cannot
    start; the log says why."""
    sys.setswitchinterval(SWITCH_SECONDS)
    server = make_server(config, host, port)
    await server.serve()
    if not server.started:
        raise Unavailable(
            Text("The gateway could not start.", "网关无法启动。"),
            Text("Its log names the cause and the remedy.", "具体原因和处理办法请查看网关日志。"),
            code="gateway_not_started",
        )
