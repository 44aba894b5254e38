"""A session as it could run in a workspace, on a unix socket, and a city with one."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

from gateway_servers import City, Site, quiet, running
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from zhisuan.base.secrets import digest
from zhisuan.wire.gateway import WorkspaceAnswer

WORKSPACE = "wsp_" + "0" * 25 + "1"
OTHER = "wsp_" + "0" * 25 + "2"
TOKEN = "zsw_inside"
OWNER, STRANGER = "zsk_" + "o" * 40, "zsk_" + "s" * 40
BASE = f"/workspaces/{WORKSPACE}"


class Session:
    """Remembers what it saw."""

    def __init__(self) -> None:
        self.closed: list[int] = []
        self.sent = 0
        self.sockets: list[WebSocket] = []

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route(BASE + "/upload", self._upload, methods=["POST", "PUT"]),
                Route(BASE + "/big/{size:int}", self._big),
                Route(BASE + "/endless", self._endless),
                Route(BASE + "/cookies", self._cookies),
                Route(BASE + "/broken", self._broken),
                Route(BASE + "/nothing", self._nothing),
                WebSocketRoute(BASE + "/ws", self._socket),
                Route("/{path:path}", self._echo, methods=["GET", "POST", "DELETE", "HEAD", "OPTIONS"]),
            ]
        )

    async def _echo(self, request: Request) -> Response:
        seen = {"path": request.scope["raw_path"].decode(), "query": request.url.query, "method": request.method}
        return JSONResponse({**seen, "headers": dict(request.headers)})

    async def _upload(self, request: Request) -> Response:
        found, size = hashlib.sha256(), 0
        async for data in request.stream():
            found.update(data)
            size += len(data)
        return JSONResponse({"size": size, "sha256": found.hexdigest()})

    async def _big(self, request: Request) -> Response:
        return Response(bytes(range(256)) * (request.path_params["size"] // 256))

    async def _endless(self, request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            while not await request.is_disconnected():  # to one that has gone, sending never waits
                yield b"x" * 65536
                self.sent += 65536

        return StreamingResponse(pieces())

    async def _cookies(self, _: Request) -> Response:
        answer = Response("ok", headers={"alt-svc": "h3"})
        for cookie in ("a=1; Domain=example.com; Path=/; HttpOnly", "zhisuan_workspace=stolen; Path=/", "b=2"):
            answer.headers.append("set-cookie", cookie)
        return answer

    async def _broken(self, _: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"begun"
            await asyncio.sleep(0.05)
            raise ConnectionAbortedError("told to break off")

        return StreamingResponse(pieces())

    async def _nothing(self, _: Request) -> Response:
        await asyncio.sleep(3600)
        raise AssertionError("nobody waits so long")

    async def _socket(self, websocket: WebSocket) -> None:
        if websocket.headers.get("x-refuse"):
            await websocket.send_denial_response(Response("no room", 418))
            return
        await websocket.accept(websocket.headers.get("sec-websocket-protocol"))
        self.sockets.append(websocket)
        try:
            while True:
                said = await websocket.receive()
                if said["type"] == "websocket.disconnect":
                    self.closed.append(said["code"])
                    return
                if said.get("text") == "headers":
                    await websocket.send_text(json.dumps(dict(websocket.headers)))
                elif said.get("text") == "close":
                    await websocket.close(4321, "as told")
                    return
                elif said.get("text") is not None:
                    await websocket.send_text(said["text"])
                else:
                    await websocket.send_bytes(said["bytes"])
        except WebSocketDisconnect:
            self.closed.append(-1)


async def with_workspace(city: City, **limits: Any) -> tuple[Site, Session]:
    """Start the city with one ready workspace that ``OWNER`` may use."""
    await city.start(**limits)
    site = await city.add_site()
    session = Session()
    path = city.folder / "workspace.sock"
    await city._stack.enter_async_context(running(quiet(session.app, uds=str(path), ws_max_size=64 << 20)))
    site.sockets["lea_w", 1] = path
    city.control.workspaces[WORKSPACE] = WorkspaceAnswer(
        valid=True, state="ready", org_id="org_a", lease_id="lea_w", generation=1, site_id=site.site_id, token=TOKEN,
        ttl_seconds=1,
    )  # fmt: skip
    city.control.holders[WORKSPACE] = {digest(OWNER)}
    return site, session
