"""The gateway's way to workspaces: ``/workspaces/{id}/…``, HTTP and WebSocket, over streams of bytes to their sites.

1. A link's ticket (``_enter``) becomes a cookie of the workspace's own host name; command line and console send their key as
   Bearer instead.
2. The server says whether the holder may use the workspace, and which lease at which site it is; kept for some seconds.
3. What came is sent on without the credential and with the session's own token; what comes back is sent on as it comes.
"""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from secrets import token_urlsafe
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from zhisuan.base.ids import Ids
from zhisuan.base.secrets import digest
from zhisuan.gateway.cache import AnswerCache
from zhisuan.gateway.config import GatewayConfig
from zhisuan.gateway.control import ControlClient, ServerUnavailable
from zhisuan.gateway.hub import TunnelHub
from zhisuan.gateway.tunnel import StreamFailed, TunnelStream
from zhisuan.gateway.workspace_access import Headers, Home, from_elsewhere
from zhisuan.gateway.workspace_http import Ask, BrokenOff, relay
from zhisuan.gateway.workspace_pages import (
    NotServed,
    elsewhere,
    ended,
    no_credential,
    not_found,
    not_ready,
    say,
    server_away,
    too_many,
    unreachable,
    used_link,
)
from zhisuan.gateway.workspace_socket import Refused, SocketRelay
from zhisuan.wire.gateway import WorkspaceAnswer, WorkspaceEntry
from zhisuan.wire.workspaces import workspace_address

log = logging.getLogger(__name__)
WORKSPACES_PATH = "/workspaces/"
PLACE = re.compile(rb"/workspaces/(wsp_[0-9a-z]{26})(/.*)?", re.DOTALL)
ENTER = b"/_enter"
CONNECT_SECONDS = 10.0


class Workspaces:
    def __init__(
        self, config: GatewayConfig, control: ControlClient, hub: TunnelHub, *, monotonic: Callable[[], float]
    ) -> None:
        self._config = config
        self._control = control
        self._hub = hub
        self._streams: Counter[str] = Counter()
        self._answers: AnswerCache[WorkspaceAnswer] = AnswerCache(
            control.workspace,
            ttl=lambda answer: float(answer.ttl_seconds) if answer.valid else config.refused_ttl_seconds,
            stale_seconds=config.stale_seconds_max,
            wait_seconds=config.authorise_wait_seconds_max,
            monotonic=monotonic,
        )

    async def close(self) -> None:
        await self._answers.close()

    async def serve(self, ids: Ids, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application of ``/workspaces/``."""
        socket = scope["type"] == "websocket"
        if socket:
            await receive()  # the client's wish to connect
        headers = Headers(scope["headers"])
        try:
            await self._serve(scope, headers, receive, send)
        except NotServed as error:
            request_id = ids.new("req")
            await say(send, error, headers.get("accept"), socket=socket, request_id=request_id)
        except Refused as refused:
            response = refused.response
            shown = [(b"content-type", (response.headers.get("content-type") or "text/plain").encode("latin-1"))]
            await send({"type": "websocket.http.response.start", "status": response.status_code, "headers": shown})
            await send({"type": "websocket.http.response.body", "body": response.body or b"", "more_body": False})
        except BrokenOff as error:
            log.info("an answer of a workspace broke off: %s", error)
            raise

    async def _serve(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        raw: bytes = scope["raw_path"].partition(b"?")[0]
        place = PLACE.fullmatch(raw)
        if place is None:
            raise not_found()
        workload_id, rest = place[1].decode(), place[2]
        if rest is None:
            await _redirect(send, raw + b"/")
            return
        query: bytes = scope["query_string"]
        address = workspace_address(self._config.workspace_url, self._config.gateway_url, workload_id)
        home = Home(address) if address else None
        if rest == ENTER and scope["type"] == "http":
            await self._enter(workload_id, home, headers, query, send)
            return
        credential = _credential(scope, headers, home)
        answer = await self._asked(workload_id, credential)
        ask = Ask(scope.get("method", "GET"), raw + (b"?" + query if query else b""), headers, answer.token)
        with self._room(workload_id):
            stream = await self._stream(answer)
            try:
                if scope["type"] == "websocket":
                    allowed = partial(self._still_allowed, workload_id, credential, answer)
                    await SocketRelay(stream, receive, send, allowed, self._config.workspace_recheck_seconds).relay(ask)
                else:
                    await relay(ask, stream, receive, send, idle_seconds=self._config.workspace_idle_seconds_max)
            finally:
                stream.close()

    async def _asked(self, workload_id: str, credential: str) -> WorkspaceAnswer:
        """What the server says; ``NotServed`` unless the workspace is there, ready and open to the holder."""
        try:
            answer = await self._answers.get(f"{workload_id} {digest(credential)}")
        except ServerUnavailable as error:
            log.warning("it cannot be asked who may use a workspace: %s", error)
            raise server_away() from None
        if not answer.valid:
            raise not_found()
        if answer.state == "ended":
            raise ended()
        if answer.state != "ready":
            raise not_ready(answer.state)
        return answer

    async def _still_allowed(self, workload_id: str, credential: str, before: WorkspaceAnswer) -> bool:
        try:
            now = await self._answers.get(f"{workload_id} {digest(credential)}")
        except ServerUnavailable:
            return True
        return now.valid and (now.lease_id, now.generation) == (before.lease_id, before.generation)

    async def _stream(self, answer: WorkspaceAnswer) -> TunnelStream:
        stream = None
        try:
            stream = self._hub.link(answer.site_id).open()
            async with asyncio.timeout(CONNECT_SECONDS):
                await stream.connect(answer.lease_id, answer.generation)
        except (StreamFailed, TimeoutError) as error:
            if stream is not None:
                stream.close()
            raise unreachable() from error
        return stream

    @contextmanager
    def _room(self, workload_id: str) -> Iterator[None]:
        if self._streams[workload_id] >= self._config.workspace_streams_max:
            raise too_many()
        self._streams[workload_id] += 1
        try:
            yield
        finally:
            self._streams[workload_id] -= 1
            if not self._streams[workload_id]:
                del self._streams[workload_id]

    async def _enter(self, workload_id: str, home: Home | None, headers: Headers, query: bytes, send: Send) -> None:
        """Change the ticket of a link for a session, and go to the workspace."""
        ticket = parse_qs(query.decode("latin-1")).get("ticket", [""])[0]
        if home is None or headers.get("host") != home.host or not ticket:
            raise not_found()
        secret = "zsb_" + token_urlsafe(32)
        entry = WorkspaceEntry(workload_id=workload_id, ticket_digest=digest(ticket), session_digest=digest(secret))
        try:
            entered = await self._control.enter(entry)
        except ServerUnavailable:
            raise server_away() from None
        if not entered.valid:
            raise used_link()
        base = f"{WORKSPACES_PATH}{workload_id}/"
        cookie = home.set_cookie(secret, entered.seconds, base).encode("latin-1")
        await _redirect(send, base.encode(), [(b"set-cookie", cookie)])


def _credential(scope: Scope, headers: Headers, home: Home | None) -> str:
    """The caller's secret. A key is sent on purpose; a cookie is sent by any page, so it is asked which."""
    if (key := headers.key) is not None:
        return key
    session = headers.session(home) if home is not None else None
    if session is None or home is None:
        raise no_credential()
    socket = scope["type"] == "websocket"
    if from_elsewhere(scope.get("method", "GET"), headers, home, socket=socket):
        raise elsewhere()
    return session


async def _redirect(send: Send, where: bytes, more: list[tuple[bytes, bytes]] | None = None) -> None:
    headers = [(b"location", where), (b"content-length", b"0"), (b"cache-control", b"no-store"), *(more or [])]
    headers.append((b"referrer-policy", b"no-referrer"))
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
