"""The sites that are connected: who may open a tunnel, and which tunnel leads to a site."""

import asyncio
import logging
from collections.abc import Callable

from starlette.responses import JSONResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from zhisuan.base.secrets import digest
from zhisuan.gateway.cache import AnswerCache
from zhisuan.gateway.control import ServerUnavailable
from zhisuan.gateway.tunnel import SiteLink, StreamFailed
from zhisuan.wire.frames import CLOSE_CREDENTIAL, CLOSE_PROTOCOL, CLOSE_REPLACED, MESSAGE_BYTES_MAX, FrameError
from zhisuan.wire.gateway import SiteAnswer

log = logging.getLogger(__name__)
CREDENTIAL_LENGTH_MAX = 512


class _Tunnel:
    """A link with the WebSocket under it."""

    def __init__(self, site_id: str, websocket: WebSocket) -> None:
        self.websocket = websocket
        self.link = SiteLink(site_id, websocket.send_bytes)

    async def close(self, code: int, reason: str) -> None:
        self.link.lose(reason)
        try:
            await self.websocket.close(code, reason)
        except (WebSocketDisconnect, RuntimeError, OSError):
            log.debug("the tunnel of site %s had already gone", self.link.site_id)

    async def run(self) -> None:
        """Take frames until the site goes."""
        while True:
            message = await self.websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            data = message.get("bytes") or b""
            if len(data) > MESSAGE_BYTES_MAX:
                raise FrameError(f"a message has at most {MESSAGE_BYTES_MAX} bytes, this one {len(data)}")
            self.link.receive(data)


class TunnelHub:
    """At most one live tunnel per site: the newest."""

    def __init__(self, sites: AnswerCache[SiteAnswer], *, recheck_seconds: float) -> None:
        self._sites = sites
        self._recheck_seconds = recheck_seconds
        self._tunnels: dict[str, _Tunnel] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> int:
        return len(self._tunnels)

    def reachable(self, site_id: str) -> bool:
        tunnel = self._tunnels.get(site_id)
        return tunnel is not None and not tunnel.link.lost

    def link(self, site_id: str) -> SiteLink:
        """The link to ``site_id``; ``StreamFailed`` when it is not connected."""
        tunnel = self._tunnels.get(site_id)
        if tunnel is None or tunnel.link.lost:
            raise StreamFailed("tunnel_lost", "the site is not connected")
        return tunnel.link

    async def serve(self, websocket: WebSocket) -> None:
        """The endpoint of ``/tunnel``: check the credential, then carry frames until either side goes."""
        credential = bearer(websocket.headers.get("authorization"))
        if credential is None:
            await _deny(websocket, 401, "the site credential is missing")
            return
        hashed = digest(credential)
        try:
            answer = await self._sites.get(hashed)
        except ServerUnavailable:
            await _deny(websocket, 503, "the server does not answer the gateway")
            return
        if not answer.valid:
            await _deny(websocket, 401, "the site credential is not valid")
            return
        await websocket.accept()
        await self._carry(_Tunnel(answer.site_id, websocket), hashed)

    async def close(self) -> None:
        for tunnel in list(self._tunnels.values()):
            self._close_aside(tunnel, 1001, "the gateway is stopping")
        if self._closing:
            await asyncio.wait(self._closing, timeout=1.0)

    async def _carry(self, tunnel: _Tunnel, hashed: str) -> None:
        site_id = tunnel.link.site_id
        older = self._tunnels.get(site_id)
        self._tunnels[site_id] = tunnel
        log.info("site %s is connected", site_id)
        recheck = asyncio.create_task(self._recheck(tunnel, hashed))
        try:
            if older is not None:
                self._close_aside(older, CLOSE_REPLACED, "the site has opened a newer tunnel")
            await tunnel.run()
        except FrameError as error:
            log.warning("site %s sent a frame that cannot be read: %s", site_id, error)
            await tunnel.close(CLOSE_PROTOCOL, "a frame cannot be read")
        finally:
            recheck.cancel()
            if self._tunnels.get(site_id) is tunnel:
                del self._tunnels[site_id]
            tunnel.link.lose("the site's connection is gone")
            log.info("site %s is no longer connected here", site_id)

    def _close_aside(self, tunnel: _Tunnel, code: int, reason: str) -> None:
        """A dead connection never takes its close frame, so nobody waits for that."""
        tunnel.link.lose(reason)
        task = asyncio.create_task(tunnel.close(code, reason))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _recheck(self, tunnel: _Tunnel, hashed: str) -> None:
        """A credential that is taken back ends the tunnel it opened."""
        while True:
            await asyncio.sleep(self._recheck_seconds)
            try:
                answer = await self._sites.fresh(hashed)
            except ServerUnavailable:
                continue
            if not answer.valid or answer.site_id != tunnel.link.site_id:
                await tunnel.close(CLOSE_CREDENTIAL, "the site credential is no longer valid")
                return


def bearer(header: str | None, *, accepts: Callable[[str], bool] = lambda _: True) -> str | None:
    """The secret in an ``Authorization: Bearer …`` header; None where there is none of an acceptable form."""
    scheme, _, secret = (header or "").partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not secret or len(secret) > CREDENTIAL_LENGTH_MAX or not accepts(secret):
        return None
    return secret


async def _deny(websocket: WebSocket, status: int, message: str) -> None:
    await websocket.send_denial_response(JSONResponse({"error": {"message": message}}, status_code=status))
