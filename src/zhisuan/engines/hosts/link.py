"""Calls in both directions over one WebSocket."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from zhisuan.engines.errors import EngineError

log = logging.getLogger("zhisuan.hosts")

MESSAGE_BYTES_MAX = 16 << 20
HEARTBEAT_SECONDS = 5.0
CALL_SECONDS = 60.0

Handle = Callable[[str, Any], Awaitable[Any]]


class LinkBroken(Exception):
    """The other side is not there (any more): whether it did what was asked is not known."""


class Said(EngineError):
    """The other side refuses; ``said_code`` is the code of its error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.said_code = code


class Link:
    """``handle`` answers the other side's calls; each is a task of its own."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse | web.WebSocketResponse, handle: Handle) -> None:
        self._socket = socket
        self._handle = handle
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until the connection ends."""
        try:
            async for message in self._socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._take(orjson.loads(message.data))
        finally:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(LinkBroken("the connection ended"))
            for task in self._tasks:
                task.cancel()

    def _take(self, said: dict[str, Any]) -> None:
        if "call" in said:
            task = asyncio.create_task(self._answer(said["id"], said["call"], said["with"]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        waiting = self._waiting.pop(said["id"], None)
        if waiting is None or waiting.done():
            return
        if "error" in said:
            waiting.set_exception(Said(said["error"]["code"], said["error"]["message"]))
        else:
            waiting.set_result(said["ok"])

    async def _answer(self, number: int, name: str, given: Any) -> None:
        try:
            answer = {"id": number, "ok": await self._handle(name, given)}
        except EngineError as error:
            answer = {"id": number, "error": {"code": error.code, "message": str(error)}}
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.exception("The call %s met an error.", name)
            answer = {"id": number, "error": {"code": "host_error", "message": f"{type(error).__name__}: {error}"}}
        await self._send(answer)

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            await self._socket.send_str(orjson.dumps(message).decode())
        except (ConnectionError, RuntimeError, aiohttp.ClientError) as error:
            raise LinkBroken(str(error)) from error

    async def call(self, name: str, given: Any = None, *, seconds: float = CALL_SECONDS) -> Any:
        """Raises LinkBroken, also when there is no answer within ``seconds``, and Said."""
        self._number += 1
        number = self._number
        waiting: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        try:
            await self._send({"id": number, "call": name, "with": given})
            async with asyncio.timeout(seconds):
                return await waiting
        except TimeoutError as error:
            raise LinkBroken(f"no answer to {name} within {seconds:.0f} s") from error
        finally:
            self._waiting.pop(number, None)

    async def close(self) -> None:
        await self._socket.close()
