"""The site's end of the tunnel: it connects outward to the gateway and serves calls to the services that run here.

1. Connect to the gateway's ``/tunnel`` with the site credential; when that ends, again, after a jittered pause.
2. OPEN: find the service's unix socket and make the HTTP request there.
3. Its answer goes back as HEAD, DATA …, END, as fast as the gateway gives credit.
   CONNECT in place of a method: the bytes of one connection, each way (``tunnel_bytes.py``).
   SHELL: the same, into the sandbox of the lease's work; ``path`` is the rank after a slash. It is no call to a service.
4. RESET, or the loss of the connection: the request to the service is cancelled.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import SystemRandom

import aiohttp
from yarl import URL

from zhisuan.site.tunnel_bytes import Lane, carry
from zhisuan.wire.flow import FlowError, Inbox, Outbox, SendWindow
from zhisuan.wire.frames import (
    CLOSE_CREDENTIAL,
    CLOSE_REPLACED,
    HOP_BY_HOP_HEADERS,
    MESSAGE_BYTES_MAX,
    TUNNEL_PATH,
    Frame,
    FrameError,
    FrameType,
    decode,
    decode_credit,
    encode,
    encode_credit,
)
from zhisuan.wire.gateway import TunnelHead, TunnelOpen, TunnelReset

log = logging.getLogger(__name__)
ResolveSocket = Callable[[str, int], Path | None]
ResolveShell = Callable[[str, int, int], Awaitable[Path | None]]

PAUSE_SECONDS_MIN = 0.25
PAUSE_SECONDS_MAX = 30.0
HEARTBEAT_SECONDS = 10.0
CONNECT_SECONDS_MAX = 10.0
SERVICE_CONNECT_SECONDS_MAX = 5.0
PROBE_SECONDS_MAX = 3.0
STREAMS_MAX = 2_048
IDLE_SERVICES_MAX = 64
# Shorter than the keep-alive of common servers (uvicorn: 5 s), so that a request is never sent on a connection that the
# service is just closing.
SERVICE_KEEP_ALIVE_SECONDS = 2.0

_NOT_TO_SERVICE = HOP_BY_HOP_HEADERS | {"host", "authorization", "cookie", "accept-encoding"}
_NOT_TO_GATEWAY = HOP_BY_HOP_HEADERS | {"set-cookie", "set-cookie2"}


async def _no_shells(_lease_id: str, _generation: int, _rank: int) -> Path | None:
    return None


@dataclass(frozen=True, slots=True)
class _Ways:
    """What leads to a lease's work here."""

    service: ResolveSocket
    shell: ResolveShell


@dataclass(slots=True)
class _Service:
    """The pooled client of one service."""

    session: aiohttp.ClientSession
    users: int = 0


class _Services:
    """HTTP clients of the unix sockets in use; those of services long unused are closed."""

    def __init__(self) -> None:
        self._open: dict[Path, _Service] = {}
        self.begun: Counter[tuple[str, int]] = Counter()
        self.ended: Counter[tuple[str, int]] = Counter()

    @asynccontextmanager
    async def client(self, socket: Path) -> AsyncIterator[aiohttp.ClientSession]:
        service = self._open.pop(socket, None) or _Service(_session(socket))
        self._open[socket] = service
        service.users += 1
        try:
            yield service.session
        finally:
            service.users -= 1
            await self._trim()

    async def _trim(self) -> None:
        idle = [socket for socket, service in self._open.items() if not service.users]
        for socket in idle[: max(0, len(idle) - IDLE_SERVICES_MAX)]:
            await self._open.pop(socket).session.close()

    async def close(self) -> None:
        while self._open:
            _, service = self._open.popitem()
            await service.session.close()


def _session(socket: Path) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.UnixConnector(str(socket), limit=0, keepalive_timeout=SERVICE_KEEP_ALIVE_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=SERVICE_CONNECT_SECONDS_MAX),
    )


class Tunnel:
    """``resolve_socket`` gives the unix socket of a lease's service, or None where this site does not run it; ``resolve_shell``
    that of shells beside the work of a rank.

    ``random`` gives numbers in [0, 1) for the pauses between attempts to connect.
    """

    def __init__(
        self,
        gateway_url: str,
        credential: str,
        resolve_socket: ResolveSocket,
        *,
        resolve_shell: ResolveShell = _no_shells,
        random: Callable[[], float] = SystemRandom().random,
    ) -> None:
        self._url = URL(gateway_url.rstrip("/") + TUNNEL_PATH)
        self._credential = credential
        self._ways = _Ways(resolve_socket, resolve_shell)
        self._random = random
        self._services = _Services()
        self.connected = False

    async def run(self) -> None:
        """Stay connected until cancelled."""
        failures = 0
        try:
            async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
                while True:
                    refused = False
                    try:
                        close_code = await self._connect(session)
                        failures = 0
                        refused = close_code in (CLOSE_REPLACED, CLOSE_CREDENTIAL)
                        log.info("the tunnel to %s was closed (%s)", self._url, close_code)
                    except aiohttp.WSServerHandshakeError as error:
                        refused = error.status in (401, 403)
                        log.warning("the gateway %s does not take this site's tunnel: %s", self._url, error.status)
                    except (aiohttp.ClientError, TimeoutError, OSError) as error:
                        log.warning("no tunnel to %s: %s: %s", self._url, type(error).__name__, error)
                    pause = PAUSE_SECONDS_MAX if refused else min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN * 2**failures)
                    failures = min(failures + 1, 16)
                    await asyncio.sleep(pause * (0.5 + self._random() / 2))
        finally:
            await self._services.close()

    def calls(self, lease_id: str, generation: int) -> tuple[int, int]:
        """How many calls to a lease's service have begun, and how many of them are open; probes are none."""
        begun = self._services.begun[lease_id, generation]
        return begun, begun - self._services.ended[lease_id, generation]

    async def probe(self, lease_id: str, generation: int, path: str) -> bool:
        """Whether GET ``path`` at the lease's service answers 2xx within three seconds."""
        socket = self._ways.service(lease_id, generation)
        if socket is None:
            return False
        try:
            async with (
                asyncio.timeout(PROBE_SECONDS_MAX),
                self._services.client(socket) as session,
                session.get(_service_url(path), allow_redirects=False) as answer,
            ):
                return 200 <= answer.status < 300
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return False

    async def _connect(self, session: aiohttp.ClientSession) -> int | None:
        """One connection from handshake to close; the close code."""
        async with asyncio.timeout(CONNECT_SECONDS_MAX):
            websocket = await session.ws_connect(
                self._url,
                headers={"Authorization": f"Bearer {self._credential}"},
                heartbeat=HEARTBEAT_SECONDS,
                max_msg_size=MESSAGE_BYTES_MAX,
                timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
            )
        self.connected = True
        log.info("the tunnel to %s is open", self._url)
        connection = _Connection(websocket, self._ways, self._services)
        try:
            return await connection.run()
        finally:
            self.connected = False
            await connection.close()


class _Connection:
    """One WebSocket and the streams on it."""

    def __init__(
        self,
        websocket: aiohttp.ClientWebSocketResponse,
        ways: _Ways,
        services: _Services,
    ) -> None:
        self._websocket = websocket
        self._ways = ways
        self._services = services
        self._outbox = Outbox(websocket.send_bytes, self._unwritable)
        self._streams: dict[int, _Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> int | None:
        async for message in self._websocket:
            if message.type != aiohttp.WSMsgType.BINARY:
                continue
            try:
                for frame in decode(message.data):
                    self._take(frame)
            except FrameError as error:
                log.warning("the gateway sent a frame that cannot be read: %s", error)
                break
        return self._websocket.close_code

    async def close(self) -> None:
        self._outbox.fail(ConnectionResetError("the tunnel is closed"))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._websocket.close()

    async def send(self, frame: bytes) -> None:
        await self._outbox.send(frame)

    def _unwritable(self, error: Exception) -> None:
        log.info("the tunnel cannot be written: %s", error)

    def _take(self, frame: Frame) -> None:
        if frame.type == FrameType.OPEN:
            self._open(frame)
            return
        stream = self._streams.get(frame.stream)
        if stream is None:
            return
        try:
            stream.take(frame)
        except FlowError as error:
            log.warning("the gateway broke the flow control of stream %d: %s", frame.stream, error)
            stream.fail("flow_control", str(error))

    def _open(self, frame: Frame) -> None:
        if frame.stream in self._streams:
            raise FrameError(f"stream {frame.stream} is opened twice")
        stream = _Stream(self, frame.stream)
        self._streams[frame.stream] = stream
        stream.task = asyncio.create_task(self._serve(stream, frame.payload))
        self._tasks.add(stream.task)
        stream.task.add_done_callback(lambda task: self._over(stream, task))

    def _over(self, stream: "_Stream", task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        del self._streams[stream.number]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("stream %d ended with an error of the tunnel itself", stream.number, exc_info=error)

    async def _serve(self, stream: "_Stream", payload: bytes) -> None:
        if len(self._streams) > STREAMS_MAX:
            await stream.reset("too_many_streams", f"more than {STREAMS_MAX} at once")
        else:
            await stream.serve(payload, self._ways, self._services)


class _Stream:
    """One call of the gateway to one service of this site."""

    def __init__(self, connection: _Connection, number: int) -> None:
        self.number = number
        self.task: asyncio.Task[None] | None = None
        self._connection = connection
        self._window = SendWindow()
        self._inbox = Inbox()
        self._failure: tuple[str, str] | None = None

    def take(self, frame: Frame) -> None:
        if frame.type == FrameType.DATA:
            self._inbox.push(frame.payload)
        elif frame.type == FrameType.END:
            self._inbox.end()
        elif frame.type == FrameType.CREDIT:
            self._window.grant(decode_credit(frame.payload))
        elif frame.type == FrameType.RESET and self.task is not None:
            self.task.cancel()

    def fail(self, code: str, message: str) -> None:
        """Give the call up and say so to the gateway."""
        if self.task is not None and self._failure is None:
            self._failure = code, message
            self.task.cancel()

    async def serve(self, payload: bytes, ways: _Ways, services: _Services) -> None:
        try:
            opening = TunnelOpen.model_validate_json(payload)
            if opening.method == "SHELL":
                await self._shell(opening, ways.shell)
                return
            socket = ways.service(opening.lease_id, opening.generation)
            if socket is None:
                await self.reset("no_such_service", "this site does not run that lease")
                return
            lease = opening.lease_id, opening.generation
            services.begun[lease] += 1
            try:
                if opening.method == "CONNECT":
                    await self._connect(socket)
                else:
                    async with services.client(socket) as session:
                        await self._relay(opening, session)
            finally:
                services.ended[lease] += 1
        except asyncio.CancelledError:
            if self._failure is None:
                raise
            await self.reset(*self._failure)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            await self.reset("connect_failed", type(error).__name__)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            await self.reset("upstream_failed", type(error).__name__)
        except ValueError as error:
            await self.reset("bad_request", type(error).__name__)

    async def reset(self, code: str, message: str) -> None:
        reset = TunnelReset(code=code, message=message).model_dump_json().encode()
        try:
            await self._send(FrameType.RESET, reset)
        except (aiohttp.ClientError, OSError):
            log.debug("stream %d was not reset: the tunnel is gone", self.number)

    async def _shell(self, opening: TunnelOpen, resolve: ResolveShell) -> None:
        socket = await resolve(opening.lease_id, opening.generation, int(opening.path.removeprefix("/")))
        if socket is None:
            await self.reset("no_shell", "this site has no way into that work")
        else:
            await self._connect(socket)

    async def _connect(self, socket: Path) -> None:
        async def begin() -> None:
            await self._send(FrameType.HEAD, TunnelHead(status=200).model_dump_json().encode())

        lane = Lane(begin, self._receive, self._send_data, lambda: self._send(FrameType.END))
        await carry(socket, lane, connect_seconds=SERVICE_CONNECT_SECONDS_MAX)

    async def _relay(self, opening: TunnelOpen, session: aiohttp.ClientSession) -> None:
        async with session.request(
            opening.method,
            _service_url(opening.path),
            headers=[(name, value) for name, value in opening.headers if name.lower() not in _NOT_TO_SERVICE],
            data=None if opening.method in ("GET", "HEAD") else self._body(),
            allow_redirects=False,
        ) as answer:
            head = TunnelHead(status=answer.status, headers=tuple(_shown(answer.headers.items())))
            await self._send(FrameType.HEAD, head.model_dump_json().encode())
            async for data in answer.content.iter_any():
                await self._send_data(data)
        await self._send(FrameType.END)

    async def _body(self) -> AsyncIterator[bytes]:
        while (data := await self._receive()) is not None:
            yield data

    async def _receive(self) -> bytes | None:
        data = await self._inbox.read()
        if data is not None and (due := self._inbox.credit_due()):
            await self._connection.send(encode_credit(self.number, due))
        return data

    async def _send_data(self, data: bytes) -> None:
        sent = 0
        while sent < len(data):
            taken = await self._window.take(len(data) - sent)
            await self._send(FrameType.DATA, data[sent : sent + taken])
            sent += taken

    async def _send(self, kind: FrameType, payload: bytes = b"") -> None:
        await self._connection.send(encode(kind, self.number, payload))


def _service_url(path: str) -> URL:
    """``path`` at the service; ``ValueError`` where it is not absolute."""
    if not path.startswith("/"):
        raise ValueError(f"a service path begins with a slash, {path!r} does not")
    return URL("http://service" + path, encoded=True)


def _shown(headers: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """Headers for the gateway: lower case, without those that end at this hop; bytes that are no UTF-8 are replaced."""
    for name, value in headers:
        if name.lower() not in _NOT_TO_GATEWAY:
            yield name.lower(), value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
