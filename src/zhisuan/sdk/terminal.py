"""A terminal of a workspace, kept while connections come and go.

The shell runs at the site and does not notice: after a break the same terminal is opened again and shows its last output. Both kinds
of workspace speak the protocol of Jupyter's terminals.
"""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from zhisuan.base.errors import Conflict, NotAuthenticated, NotFound
from zhisuan.base.text import Text

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
PAUSE_SECONDS_MIN = 0.2
PAUSE_SECONDS_MAX = 5.0
OPEN_SECONDS = 20.0
PING_SECONDS = 20.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")
CLEAR = "\x1b[H\x1b[2J\x1b[3J"


class _Later(Exception):
    """Not now: the gateway, the site or the session is away for a while."""


class Terminal:
    """Terminal ``name`` of the workspace whose address at the gateway is ``url``. ``show`` gets text as it comes, and the next once it is
    done, so that it sets the pace; ``tell`` gets True
    when the connection stands and False when it is lost and sought again."""

    def __init__(
        self,
        url: str,
        key: str,
        name: str,
        show: Callable[[str], Awaitable[None]],
        tell: Callable[[bool], object] = lambda _: None,
    ) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"}
        self._name = name
        self._show = show
        self._tell = tell
        self._size = (24, 80)
        self._typed: deque[str] = deque()
        self._wake = asyncio.Event()
        self._status: int | None = None
        self._near = urlsplit(url).hostname in LOOPBACK

    def type(self, text: str) -> None:
        """Send what was typed; while there is no connection it is kept."""
        self._typed.append(text)
        self._wake.set()

    def resize(self, rows: int, columns: int) -> None:
        self._size = (rows, columns)
        self._typed.append("")
        self._wake.set()

    async def run(self) -> int:
        """Until the shell ends; its exit status (0 where the session does not say it). Raises ``NotFound``, ``NotAuthenticated``,
        ``Conflict`` for a workspace that has ended."""
        pause, attached = PAUSE_SECONDS_MIN, False
        async with httpx.AsyncClient(headers=self._headers, timeout=OPEN_SECONDS, trust_env=not self._near) as http:
            while True:
                try:
                    if not await self._there(http, may_make=not attached):
                        return self._status or 0
                    async with await self._connection() as socket:
                        pause = PAUSE_SECONDS_MIN
                        self._tell(True)
                        if attached:
                            await self._show(CLEAR)
                        attached = True
                        if await self._talk(socket):
                            return self._status or 0
                    self._tell(False)
                except (_Later, httpx.TransportError, OSError, TimeoutError, WebSocketException):
                    self._tell(False)
                    await asyncio.sleep(pause)
                    pause = min(PAUSE_SECONDS_MAX, pause * 2)

    async def _there(self, http: httpx.AsyncClient, *, may_make: bool) -> bool:
        """Whether the terminal is there; it is made where there has been none yet."""
        found = await http.get(f"{self._url}/api/terminals/{self._name}")
        if found.status_code == 404 and may_make and not _of_gateway(found):
            found = await http.post(f"{self._url}/api/terminals", json={"name": self._name})
        if found.status_code == 404 and not _of_gateway(found):
            return False
        _check(found)
        return True

    async def _connection(self) -> ClientConnection:
        address = self._url.replace("http", "ws", 1) + f"/terminals/websocket/{self._name}"
        try:
            return await connect(
                address, additional_headers=self._headers, max_size=MESSAGE_BYTES_MAX, open_timeout=OPEN_SECONDS,
                ping_interval=PING_SECONDS, ping_timeout=PING_SECONDS, proxy=None if self._near else True,
            )  # fmt: skip
        except InvalidStatus as error:
            raise _Later from error

    async def _talk(self, socket: ClientConnection) -> bool:
        """Carry both ways until the connection ends; whether the shell has ended."""
        await socket.send(json.dumps(["set_size", *self._size]))
        sending = asyncio.create_task(self._send(socket))
        try:
            async for message in socket:
                if await self._take(json.loads(message)):
                    return True
        except WebSocketException:
            return False
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        return False

    async def _send(self, socket: ClientConnection) -> None:
        """Each piece leaves the queue only once it is on its way."""
        while True:
            while self._typed:
                text = self._typed[0]
                await socket.send(json.dumps(["stdin", text] if text else ["set_size", *self._size]))
                self._typed.popleft()
            self._wake.clear()
            await self._wake.wait()

    async def _take(self, said: Any) -> bool:
        if not isinstance(said, list) or len(said) < 2:
            return False
        if said[0] == "stdout":
            await self._show(str(said[1]))
        elif said[0] == "exit":
            self._status = int(said[1])
        return bool(said[0] == "disconnect")


def _of_gateway(answer: httpx.Response) -> bool:
    """Whether it is the gateway that does not know the workspace, and not the session that does not know the terminal."""
    try:
        return "error" in answer.json()
    except (ValueError, TypeError):
        return False


def _check(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    if answer.status_code == 401:
        raise NotAuthenticated(
            Text("The gateway does not take this key.", "网关不接受该密钥。"), Text("Sign in again: `zhisuan login`.", "请重新登录：zhisuan login。")
        )  # fmt: skip
    if answer.status_code == 404:
        raise NotFound(
            Text("There is no such workspace, or it is not yours.", "没有这个工作空间，或您无权使用。"),
            Text("`zhisuan workspace list` shows yours.", "可用 zhisuan workspace list 查看。"),
        )
    if answer.status_code == 410:
        raise Conflict(
            Text("The workspace has ended.", "该工作空间已结束。"),
            Text("`zhisuan workspace start` starts another.", "可用 zhisuan workspace start 新建。"),
            code="workspace_ended",
        )
    if answer.status_code == 400:
        raise Conflict(
            Text(f"The session refused the terminal: {answer.text[:200]}", f"会话拒绝了该终端：{answer.text[:200]}"),
            Text("Choose a name of letters and digits.", "请使用由字母和数字组成的名称。"),
            code="terminal_refused",
        )
    raise _Later
