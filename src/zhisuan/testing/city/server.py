"""Server processes of the city: the real application, called in place, killed and started again at will."""

import asyncio
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from urllib.parse import quote, urlencode

from fastapi import FastAPI

from zhisuan.api import problems
from zhisuan.api.build import add_routes, new_app, work_with
from zhisuan.api.platform import Platform
from zhisuan.base.clock import Clock
from zhisuan.base.ids import Ids
from zhisuan.base.notify import Hub, Signal
from zhisuan.base.settings import Settings
from zhisuan.base.store import Store
from zhisuan.base.vault import Vault
from zhisuan.testing.city.database import CityDatabase, ServerKilled, Trouble


class Refusing(Exception):
    """Nobody listens there now."""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes


class CityHub(Hub):
    """Wakes its waiters from the notices of the city instead of a connection; in the order they came."""

    def __init__(self) -> None:
        self._in_order: dict[tuple[str, str], list[Signal]] = {}

    @contextmanager
    def listening(self, channel: str, payload: str) -> Iterator[Signal]:
        signal = Signal()
        waiting = self._in_order.setdefault((channel, payload), [])
        waiting.append(signal)
        try:
            yield signal
        finally:
            waiting.remove(signal)

    def heard(self, notices: Sequence[tuple[str, str]]) -> None:
        for channel, payload in notices:
            for signal in [*self._in_order.get((channel, payload), ()), *self._in_order.get((channel, "*"), ())]:
                signal.set()


@cache
def _application(number: int) -> FastAPI:
    """Building the routes takes longer than a whole scenario, so each server of a city keeps its application."""
    app = new_app()
    problems.install(app)
    return add_routes(app)


class CityServer:
    """One server. ``steps`` are the reconcilers it runs, each with the seconds between two runs."""

    def __init__(
        self,
        number: int,
        *,
        url: str,
        clock: Clock,
        ids: Ids,
        settings: Settings,
        steps: Sequence[tuple[str, float, Callable[[Platform], bool]]],
        tell: Callable[[list[tuple[str, str]]], None],
        say: Callable[[str], None],
        complain: Callable[[str], None],
        trouble: Set[Trouble],
        store: Store,
    ) -> None:
        self.name = f"server {number}"
        self._number = number
        self._url, self._clock, self._ids, self._settings = url, clock, ids, settings
        self._steps = steps
        self._tell = tell
        self._say = say
        self._complain = complain
        self._trouble = trouble
        self._store = store
        self._tasks: list[asyncio.Task[None]] = []
        self._calls: dict[asyncio.Task[Reply], None] = {}
        self.up = False
        self.database: CityDatabase
        self.hub = CityHub()

    def start(self) -> None:
        self.up = True
        self.hub = CityHub()
        self.database = CityDatabase(self.name, self._url, self._clock, self._ids, self._tell, self._trouble)
        self.platform = Platform(
            database=self.database, settings=self._settings, hub=self.hub, store=self._store,
            server_url="http://server.test", gateway_url="",
            vault=Vault.of_installation(self._settings.data_dir, None),
        )  # fmt: skip
        self.app = _application(self._number)
        work_with(self.app, self.platform)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._repeat(*step)) for step in self._steps]

    def kill(self) -> None:
        """Whatever it was doing ends here; what had been committed stays."""
        if not self.up:
            return
        self.up = False
        for task in (*self._tasks, *self._calls):
            task.cancel()
        self.database.close()

    async def _repeat(self, name: str, every: float, run: Callable[[Platform], bool]) -> None:
        while True:
            await asyncio.sleep(every)
            try:
                while run(self.platform):
                    await asyncio.sleep(0.01)
            except ServerKilled:
                self._say(f"{self.name} killed in step {name}")
                self.kill()
            except Exception as error:
                self._say(f"{self.name}: step {name} failed: {type(error).__name__}")

    def call(
        self, method: str, path: str, headers: dict[str, str], body: bytes, params: dict[str, str] | None = None
    ) -> "asyncio.Task[Reply]":
        """Begin one request. Raises ``Refusing`` when the server is down; the task ends with ``CancelledError`` when the
        server is killed before it has answered."""
        if not self.up:
            raise Refusing(self.name)
        task = asyncio.get_running_loop().create_task(self._answer(method, path, headers, body, params or {}))
        self._calls[task] = None
        task.add_done_callback(lambda t: self._calls.pop(t, None))
        return task

    async def _answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes, params: dict[str, str]
    ) -> Reply:
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http", "path": path,
            "raw_path": quote(path).encode(), "query_string": urlencode(params).encode(), "root_path": "",
            "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
            "client": ("127.0.0.1", 1), "server": ("server.test", 80),
        }  # fmt: skip
        sent = [{"type": "http.request", "body": body, "more_body": False}]
        status, parts = 0, bytearray()

        async def receive() -> dict[str, object]:
            if sent:
                return sent.pop()
            await asyncio.Event().wait()
            raise AssertionError("the caller never leaves before the answer")

        async def send(message: dict[str, object]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])  # type: ignore[call-overload]
            else:
                parts.extend(message.get("body", b""))  # type: ignore[arg-type]

        try:
            await self.app(scope, receive, send)  # type: ignore[arg-type]
        except ServerKilled:
            self._say(f"{self.name} killed in {method} {path}")
            asyncio.get_running_loop().call_soon(self.kill)
            raise asyncio.CancelledError from None
        except Exception as error:
            # The application's last handler answers and then raises on, for the log.
            if not status:
                raise
            self._say(f"{self.name}: {method} {path} answered {status}: {error!r:.300}")
        if status == 500:
            self._complain(f"{self.name} answered 500 to {method} {path}")
        return Reply(status, bytes(parts))
