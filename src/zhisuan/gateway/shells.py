"""The gateway's way to shells beside running work: ``/shells/{id}/{rank}``, a WebSocket whose messages are frames of ``base.shells``.

1. The server says whether the holder of the key may, and where the work is.
2. A stream of bytes goes through the site's tunnel into the work's own sandbox; once it stands, the server writes down who came.
3. Frames are carried each way. What comes from the sandbox is the tenant's: it is cut, counted and passed on, and never obeyed.
   Now and then the server is asked whether the holder may still be there.
"""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from starlette.types import Receive, Scope, Send

from zhisuan.base.ids import Ids
from zhisuan.base.secrets import digest
from zhisuan.base.shells import (
    ENDED_WITHOUT_STATUS,
    FROM_CLIENT,
    PAYLOAD_BYTES_MAX,
    Channel,
    Frames,
    ShellFrameError,
    frame,
)
from zhisuan.base.text import Text
from zhisuan.gateway.config import GatewayConfig
from zhisuan.gateway.control import ControlClient, ServerUnavailable
from zhisuan.gateway.hub import TunnelHub
from zhisuan.gateway.tunnel import StreamFailed, TunnelStream
from zhisuan.gateway.workspace_access import Headers
from zhisuan.gateway.workspace_pages import NotServed, say, server_away
from zhisuan.wire.gateway import ShellAnswer, ShellQuestion, ShellRefusal

log = logging.getLogger(__name__)
PLACE = re.compile(r"/shells/([a-z]{2,8}_[0-9a-z]{1,40})/([0-9]{1,5})")
CONNECT_SECONDS = 10.0
NORMAL, UNACCEPTABLE, FORBIDDEN, TOO_LONG, FAILED, RESTART = 1000, 1003, 1008, 1009, 1011, 1012
GONE = (401, 403, 404)
Allowed = Callable[[], Awaitable[bool]]


class Shells:
    def __init__(self, config: GatewayConfig, control: ControlClient, hub: TunnelHub) -> None:
        self._config = config
        self._control = control
        self._hub = hub
        self._open: Counter[str] = Counter()

    async def serve(self, ids: Ids, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application of ``/shells/``."""
        socket = scope["type"] == "websocket"
        if socket:
            await receive()  # the client's wish to connect
        headers = Headers(scope["headers"])
        try:
            if not socket:
                raise _no_socket()
            await self._serve(scope, headers, receive, send)
        except NotServed as error:
            await say(send, error, headers.get("accept"), socket=socket, request_id=ids.new("req"))

    async def _serve(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        place = PLACE.fullmatch(scope["path"])
        if place is None:
            raise _not_found()
        if headers.key is None:
            raise _no_key()
        question = ShellQuestion(workload_id=place[1], rank=int(place[2]), credential_digest=digest(headers.key))
        answer = await self._asked(question)
        with self._room(place[1]):
            async with self._stream(answer, question.rank) as stream:
                await self._asked(question.model_copy(update={"opening": True}))

                async def allowed() -> bool:
                    try:
                        now = await self._control.shell(question)
                    except ServerUnavailable:
                        return True
                    return now.refusal is None or now.refusal.status not in GONE

                await _Relay(stream, receive, send, allowed, self._config.workspace_recheck_seconds).relay()

    async def _asked(self, question: ShellQuestion) -> ShellAnswer:
        try:
            answer = await self._control.shell(question)
        except ServerUnavailable as error:
            log.warning("it cannot be asked who may have a shell: %s", error)
            raise server_away() from None
        if answer.refusal is not None:
            raise _refused(answer.refusal)
        return answer

    @asynccontextmanager
    async def _stream(self, answer: ShellAnswer, rank: int) -> AsyncIterator[TunnelStream]:
        stream = None
        try:
            try:
                stream = self._hub.link(answer.site_id).open()
                async with asyncio.timeout(CONNECT_SECONDS):
                    await stream.connect(answer.lease_id, answer.generation, rank=rank)
            except (StreamFailed, TimeoutError) as error:
                raise _no_way(error) from error
            yield stream
        finally:
            if stream is not None:
                stream.close()

    @contextmanager
    def _room(self, workload_id: str) -> Iterator[None]:
        if self._open[workload_id] >= self._config.shells_max:
            raise too_many()
        self._open[workload_id] += 1
        try:
            yield
        finally:
            self._open[workload_id] -= 1
            if not self._open[workload_id]:
                del self._open[workload_id]


class _Relay:
    """One shell that stands, until either side is done."""

    def __init__(self, stream: TunnelStream, receive: Receive, send: Send, allowed: Allowed, recheck_seconds: float) -> None:
        self._stream = stream
        self._receive = receive
        self._send = send
        self._allowed = allowed
        self._recheck_seconds = recheck_seconds

    async def relay(self) -> None:
        await self._send({"type": "websocket.accept"})
        tasks = [asyncio.create_task(act()) for act in (self._from_client, self._from_shell, self._watch)]
        code: int | None = RESTART
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            code = next(iter(done)).result()
        except StreamFailed as error:
            log.info("a shell was broken off: %s", error)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if code is not None:
            await self._send({"type": "websocket.close", "code": code})

    async def _from_client(self) -> int | None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return None
            said = message.get("bytes")
            if not said or said[0] not in FROM_CLIENT:
                return UNACCEPTABLE
            if len(said) - 1 > PAYLOAD_BYTES_MAX:
                return TOO_LONG
            await self._stream.write(frame(said[0], said[1:]))

    async def _from_shell(self) -> int | None:
        frames, code = Frames(), ENDED_WITHOUT_STATUS
        while (data := await self._stream.read()) is not None:
            try:
                found = frames.take(data)
            except ShellFrameError as error:
                log.warning("a sandbox said what is no frame: %s", error)
                return FAILED
            for channel, payload in found:
                if channel not in FROM_CLIENT:
                    await self._send({"type": "websocket.send", "bytes": bytes([channel & 0xFF]) + payload})
                if channel in (Channel.EXIT, Channel.TROUBLE):
                    code = NORMAL
        return code

    async def _watch(self) -> int | None:
        while True:
            await asyncio.sleep(self._recheck_seconds)
            if not await self._allowed():
                return FORBIDDEN


def _refused(refusal: ShellRefusal) -> NotServed:
    what, remedy = Text(refusal.what_en, refusal.what_zh), Text(refusal.remedy_en, refusal.remedy_zh)
    return NotServed(refusal.status, refusal.code, what, remedy=remedy)


def _no_way(error: Exception) -> NotServed:
    """The site does not lead there: it is away, or its agent has no way into this work."""
    if isinstance(error, StreamFailed) and error.code != "tunnel_lost":
        return NotServed(
            409,
            "no_way_in",
            Text(
                "The site has no way into this work: it has just ended, or it was begun by an agent that knew no shells.",
                "站点无法进入该工作负载：它刚刚结束，或由尚不支持进入终端的代理启动。",
            ),
            remedy=Text("Look at its state; `zhisuan restart` begins it anew.", "请查看其状态；可用 zhisuan restart 重新启动。"),
        )
    return NotServed(
        503,
        "site_unreachable",
        Text("The site is not connected to this gateway now. The work goes on there.", "站点暂时未连接到网关，工作负载仍在站点运行。"),
        remedy=Text("Try again soon.", "请稍后重试。"),
    )


def too_many() -> NotServed:
    return NotServed(
        429,
        "too_many_shells",
        Text("This work has as many shells open as it may have.", "该工作负载打开的终端已达上限。"),
        remedy=Text("End one of them first.", "请先结束其中一个。"),
    )


def _no_socket() -> NotServed:
    return NotServed(
        426,
        "upgrade_required",
        Text("A shell is a WebSocket.", "终端须使用 WebSocket 连接。"),
        remedy=Text("Use `zhisuan jobs shell`.", "请使用 zhisuan jobs shell。"),
    )


def _not_found() -> NotServed:
    return NotServed(404, "not_found", Text("There is no such address.", "没有这个地址。"))


def _no_key() -> NotServed:
    return NotServed(
        401,
        "not_signed_in",
        Text("The key is missing.", "缺少密钥。"),
        remedy=Text("Send it as `Authorization: Bearer`.", "请以 Authorization: Bearer 方式发送。"),
    )
