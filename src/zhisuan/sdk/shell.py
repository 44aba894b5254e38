"""A shell in the sandbox of running work: it lasts as long as this connection, and has the rights and limits of the work itself."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import quote, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from zhisuan.base.errors import Conflict, Forbidden, NotAuthenticated, NotFound, Unavailable, ZhisuanError
from zhisuan.base.shells import ENDED_WITHOUT_STATUS, PAYLOAD_BYTES_MAX, SHELLS_PATH, Channel, size_payload
from zhisuan.base.text import Text

MESSAGE_BYTES_MAX = PAYLOAD_BYTES_MAX + 16
OPEN_SECONDS = 20.0
PING_SECONDS = 10.0
FORBIDDEN = 1008
LOOPBACK = ("localhost", "127.0.0.1", "::1")
ERRORS: dict[int, type[ZhisuanError]] = {401: NotAuthenticated, 403: Forbidden, 404: NotFound, 409: Conflict}
TROUBLES = {
    "no_process": Text("The work has no room for another process.", "该工作负载的进程数已达上限。"),
    "too_many": Text("The work has as many shells open as it may have.", "该工作负载打开的终端已达上限。"),
}
Show = Callable[[bytes], Awaitable[None]]


def shell_url(gateway_url: str, workload_id: str, rank: int) -> str:
    return f"{gateway_url.rstrip('/')}{SHELLS_PATH}{quote(workload_id, safe='')}/{rank}"


class Shell:
    """``url`` is that of ``shell_url``. With a ``command`` that runs in place of an interactive shell. ``on_terminal``: beside a
    pseudo-terminal of its own, of which all output comes to ``show``; else what is written to standard error comes to
    ``show_error``. The next piece is asked for once one is shown, so that who shows sets the pace."""

    def __init__(
        self, url: str, key: str, show: Show, show_error: Show | None = None, *, command: Sequence[str] | None = None,
        on_terminal: bool = True, term: str = "xterm-256color",
    ) -> None:  # fmt: skip
        self._address = url.replace("http", "ws", 1)
        self._near = urlsplit(url).hostname in LOOPBACK
        self._headers = {"Authorization": f"Bearer {key}"}
        self._show = show
        self._show_error = show_error or show
        self._command = list(command) if command else None
        self._on_terminal = on_terminal
        self._term = term
        self._size = (24, 80)
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue()
        self._status: int | None = None

    def type(self, text: str) -> None:
        self._put(text.encode("utf-8", "replace"))

    async def feed(self, data: bytes) -> None:
        """As ``type``, for bytes; returns once they are on their way."""
        self._put(data)
        await self._waiting.join()

    def _put(self, data: bytes) -> None:
        for start in range(0, len(data), PAYLOAD_BYTES_MAX):
            self._waiting.put_nowait(bytes([Channel.STDIN]) + data[start : start + PAYLOAD_BYTES_MAX])

    def resize(self, rows: int, columns: int) -> None:
        self._size = (rows, columns)
        self._waiting.put_nowait(bytes([Channel.SIZE]) + size_payload(rows, columns))

    def end(self) -> None:
        """Nothing more will be typed."""
        self._waiting.put_nowait(bytes([Channel.END]))

    async def run(self) -> int:
        """Until the shell ends; its exit status. Raises a ``ZhisuanError`` where there is none to be had, or where it was broken off."""
        try:
            socket = await self._connection()
        except InvalidStatus as error:
            raise _refusal(error.response.status_code, bytes(error.response.body or b"")) from error
        except (OSError, TimeoutError, WebSocketException) as error:
            raise _broken(str(error) or type(error).__name__) from error
        async with socket:
            await self._talk(socket)
            code = socket.close_code
        if self._status is None:
            raise _ended(code)
        return self._status

    async def _connection(self) -> ClientConnection:
        return await connect(
            self._address, additional_headers=self._headers, max_size=MESSAGE_BYTES_MAX, open_timeout=OPEN_SECONDS,
            ping_interval=PING_SECONDS, ping_timeout=PING_SECONDS, proxy=None if self._near else True, compression=None,
        )  # fmt: skip

    async def _talk(self, socket: ClientConnection) -> None:
        asked = {"command": self._command, "terminal": list(self._size) if self._on_terminal else None, "term": self._term}
        sending = asyncio.create_task(self._send(socket, bytes([Channel.START]) + json.dumps(asked).encode()))
        try:
            async for message in socket:
                if isinstance(message, bytes) and message:
                    await self._take(message[0], message[1:])
        except ConnectionClosed:
            return
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _send(self, socket: ClientConnection, first: bytes) -> None:
        await socket.send(first)
        while True:
            message = await self._waiting.get()
            await socket.send(message)
            self._waiting.task_done()

    async def _take(self, channel: int, payload: bytes) -> None:
        if channel == Channel.STDOUT:
            await self._show(payload)
        elif channel == Channel.STDERR:
            await self._show_error(payload)
        elif channel == Channel.EXIT:
            self._status = int(payload) & 0xFF if payload.isdigit() and len(payload) < 4 else 255
        elif channel == Channel.TROUBLE:
            word = payload.decode("utf-8", "replace")
            told = TROUBLES.get(word, Text("The work refuses a shell.", "该工作负载拒绝打开终端。"))
            raise Conflict(told, Text("End something in it first.", "请先结束其中的部分进程。"), code="shell_refused")


def _refusal(status: int, body: bytes) -> ZhisuanError:
    """What the gateway said instead of a shell."""
    try:
        said = json.loads(body)["error"]
        what = Text(str(said["message"]), str(said["message_zh"]))
        remedy = Text(str(said.get("remedy", "")), str(said.get("remedy_zh", "")))
        code = str(said["code"])
    except (ValueError, KeyError, TypeError):
        return NotFound(
            Text("This platform has no shells beside running work.", "该平台不支持进入运行中的工作负载。"),
            Text("Its operator can upgrade it.", "请联系运营方升级平台。"),
            code="no_shells",
        )
    return ERRORS.get(status, Unavailable)(what, remedy, code=code)


def _broken(why: str) -> ZhisuanError:
    return Unavailable(
        Text(f"The connection to the shell is lost ({why}), and the shell with it.", f"与终端的连接已断开（{why}），终端随之结束。"),
        Text("The work goes on; open another shell.", "工作负载不受影响，请重新打开终端。"),
        code="shell_lost",
    )


def _ended(code: int | None) -> ZhisuanError:
    if code == ENDED_WITHOUT_STATUS:
        return Conflict(
            Text("The shell is gone: its work has ended, or something in it killed the shell.", "终端已结束：工作负载已结束，或其中的进程终止了终端。"),
            Text("Look at the state of the work.", "请查看工作负载的状态。"),
            code="shell_gone",
        )
    if code == FORBIDDEN:
        return Forbidden(
            Text("The shell was ended: it is no longer open to you.", "终端已结束：您不再拥有访问权限。"),
            Text("Ask an owner of the organisation.", "请联系组织的所有者。"),
            code="shell_forbidden",
        )
    return _broken(str(code))
