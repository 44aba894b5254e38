"""One platform on one machine: PostgreSQL, server, gateway and the site agent, as one process tree."""

import contextlib
import os
import secrets as system_secrets
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
from sqlalchemy.exc import OperationalError

import zhisuan
from zhisuan.app.bootstrap import embedded_site, open_embedded_site, prepare
from zhisuan.app.children import Child, Recipe, wait_until
from zhisuan.app.installation import Installation, Secrets, write_private
from zhisuan.app.migrate import migrate
from zhisuan.base.clock import SystemClock
from zhisuan.base.db import Database
from zhisuan.base.errors import Unavailable
from zhisuan.base.ids import TimeOrderedIds
from zhisuan.base.postgres import EmbeddedPostgres
from zhisuan.base.settings import Settings
from zhisuan.base.text import Text
from zhisuan.site.errors import ConfigUnusable
from zhisuan.site.identity import load as load_identity

START_SECONDS = 60.0
PORTS_FROM, PORTS, PORT_TRIES = 10_000, 10_000, 100
STOP_SECONDS = 8.0
SITE_SECONDS = 180.0
DATABASE_SECONDS = 60.0

Say = Callable[[Text], None]


@dataclass(frozen=True, slots=True)
class Addresses:
    server_url: str
    gateway_url: str


class Supervisor:
    """Starts and tends the processes of an installation. Use as a context manager: leaving it stops them all."""

    def __init__(self, settings: Settings, *, with_site: bool = True, say: Say = lambda _: None) -> None:
        self.settings = settings
        self.installation = Installation(settings.data_dir)
        self.with_site = with_site
        self._say = say
        self._postgres: EmbeddedPostgres | None = None
        self._children: list[Child] = []
        self._database: Database | None = None
        self.secrets: Secrets
        self.addresses: Addresses
        self.site_id: str | None = None
        self._site_open = False
        self._database_down_since: float | None = None

    def __enter__(self) -> "Supervisor":
        self.installation.lock()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def database(self) -> Database:
        if self._database is None:
            raise RuntimeError("the platform is not running")
        return self._database

    def _start(self) -> None:
        self._say(Text("starting the database", "正在启动数据库"))
        self.secrets = self.installation.secrets()
        url = self._database_url()
        migrate(url)
        clock = SystemClock()
        self._database = Database(url, clock, TimeOrderedIds(clock), pool_size=2)
        prepare(self._database, self.secrets)
        self._choose_ports()
        self._say(Text("starting server and gateway", "正在启动服务器和网关"))
        server = self._child("server", "zhisuan.app.run_server", self._server_told(url))
        health = f"{self.addresses.server_url}/api/v1/health"
        wait_until(lambda: _answers(health), server, START_SECONDS, Text("server", "服务器"))
        gateway = self._child("gateway", "zhisuan.app.run_gateway", self._gateway_told())
        health = f"{self.addresses.gateway_url}/health"
        wait_until(lambda: _answers(health), gateway, START_SECONDS, Text("gateway", "网关"))
        if self.with_site:
            self._say(Text("starting the site agent of this machine", "正在启动本机站点代理"))
            self._start_site()
        self._write_runtime()

    def _database_url(self) -> str:
        if self.settings.database_url is not None:
            return self.settings.database_url.get_secret_value()
        self._postgres = EmbeddedPostgres(self.installation.postgres)
        return self._postgres.start()

    def _choose_ports(self) -> None:
        host = self.settings.host
        server = self.settings.server_port or _free_port(host)
        gateway = self.settings.gateway_port or _free_port(host, but=server)
        for port, setting in ((server, "--port"), (gateway, "--gateway-port")):
            _check_free(host, port, setting)
        self.settings = self.settings.model_copy(update={"server_port": server, "gateway_port": gateway})
        shown = f"[{host}]" if ":" in host else host
        self.addresses = Addresses(f"http://{shown}:{server}", f"http://{shown}:{gateway}")

    def _server_told(self, url: str) -> dict[str, object]:
        kept_apart = {"database_url", "artefact_access_key", "artefact_secret_key", "seal_keys"}
        settings = self.settings.model_dump(mode="json", exclude=kept_apart)
        return {
            "settings": settings, "database_url": url, "server_url": self.addresses.server_url,
            "gateway_url": self.addresses.gateway_url, "storage_secret": self.secrets.storage_secret,
            "seal_keys": keys.get_secret_value() if (keys := self.settings.seal_keys) is not None else None,
        }  # fmt: skip

    def _gateway_told(self) -> dict[str, object]:
        config = {
            "server_url": self.addresses.server_url, "credential": self.secrets.gateway_credential,
            "gateway_name": "embedded", "journal_path": str(self.installation.gateway_journal), "workspace_url": self.settings.workspace_url,
            "gateway_url": self.addresses.gateway_url,
        }  # fmt: skip
        return {"config": config, "host": self.settings.host, "port": self.settings.gateway_port}

    def _start_site(self) -> None:
        folder = self.installation.agent
        site = embedded_site(
            self.database, self.secrets, region=self.settings.region, pue_milli=self.settings.pue_milli,
            has_credential=_has_joined(folder),
        )  # fmt: skip
        self.site_id = site.site_id
        told = {
            "data_dir": str(folder), "server_url": self.addresses.server_url, "join_token": site.join_token,
            "gateway_url": self.addresses.gateway_url, "exit_with_parent": True,
            "engine": {"runtime_prefixes": runtime_prefixes(), "allow_unisolated": self.settings.allow_unisolated},
        }  # fmt: skip
        self._child("site agent", "zhisuan.app.run_site", told)

    def _child(self, name: str, module: str, told: Mapping[str, object]) -> Child:
        log = self.installation.logs / f"{name.replace(' ', '-')}.log"
        child = Child(Recipe(name, module, dict(told), log))
        child.start()
        self._children.append(child)
        return child

    def _write_runtime(self) -> None:
        data = {
            "pid": os.getpid(), "server_url": self.addresses.server_url, "gateway_url": self.addresses.gateway_url,
            "site_id": self.site_id,
        }  # fmt: skip
        write_private(self.installation.runtime, orjson.dumps(data))

    def tend(self) -> None:
        """One look after the processes; call it a few times a second."""
        self._tend_database()
        for child in self._children:
            child.tend()
        if self.site_id is not None and not self._site_open:
            with contextlib.suppress(OperationalError):
                self._site_open = open_embedded_site(self.database, self.site_id)

    def _tend_database(self) -> None:
        """Start a database that was killed; it refuses for a moment, until the last of its old processes has gone."""
        if self._postgres is None or self._postgres.is_running():
            self._database_down_since = None
            return
        if self._database_down_since is None:
            self._database_down_since = time.monotonic()
            self._say(Text("the database had stopped; starting it again", "数据库已停止，正在重新启动"))
        try:
            self._postgres.start()
        except Unavailable:
            if time.monotonic() - self._database_down_since > DATABASE_SECONDS:
                raise

    def wait_for_site(self) -> None:
        """Tend until this machine's site is open for work. Raises ``Unavailable`` when it does not come."""
        agent = self._children[-1]
        until = time.monotonic() + SITE_SECONDS
        while not self._site_open:
            if time.monotonic() > until:
                raise Unavailable(
                    Text(
                        f"This machine did not join as a site. The agent's last words: {agent.last_words()}",
                        f"本机未能加入为站点。代理最后的日志：{agent.last_words()}",
                    ),
                    Text(
                        f"Look into {agent.recipe.log}; `zhisuan doctor` says what is missing.",
                        f"请查看 {agent.recipe.log}；zhisuan doctor 会说明缺少什么。",
                    ),
                    code="did_not_start",
                )
            self.tend()
            time.sleep(0.1)

    def pids(self) -> dict[str, int]:
        """The running processes by name."""
        return {c.recipe.name: c.pid for c in self._children if c.pid is not None}

    def stop(self) -> None:
        """Stop everything in the order that loses nothing: the agent first, the database last. Work in its sandboxes
        goes on; the next start takes it up."""
        for child in reversed(self._children):
            child.stop(STOP_SECONDS)
        self._children.clear()
        if self._database is not None:
            self._database.close()
            self._database = None
        if self._postgres is not None:
            with contextlib.suppress(Exception):
                self._postgres.stop()
            self._postgres = None
        self.installation.runtime.unlink(missing_ok=True)
        self.installation.unlock()


def runtime_prefixes() -> list[str]:
    """What a sandbox sees of this installation: its environment, and the package where that lies elsewhere (a checkout)."""
    package = Path(zhisuan.__file__).resolve().parents[1]
    inside = package.is_relative_to(Path(sys.prefix).resolve())
    return [sys.prefix] if inside else [sys.prefix, str(package)]


def _has_joined(folder: Path) -> bool:
    """Whether the agent of this machine knows its site; a damaged file is the agent's to complain about."""
    try:
        identity = load_identity(folder)
    except ConfigUnusable:
        return True
    return identity is not None and bool(identity.site_id)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - an address of our own making
            return bool(answer.status == 200)
    except OSError:
        return False


def _free_port(host: str, but: int = 0) -> int:
    """One that nobody has now. The system gives out none of these by itself, so that no connection takes it before it is used."""
    for _ in range(PORT_TRIES):
        port = PORTS_FROM + system_secrets.randbelow(PORTS)
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.bind((host, port))
            if port != but:
                return port
    raise Unavailable(
        Text(f"No port of {host} from {PORTS_FROM} to {PORTS_FROM + PORTS - 1} is free.", f"{host} 的 {PORTS_FROM} 至 {PORTS_FROM + PORTS - 1} 端口均被占用。"),
        Text("Choose ports with --port and --gateway-port.", "请用 --port 和 --gateway-port 指定端口。"),
        code="no_free_port",
    )


def _check_free(host: str, port: int, setting: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Unavailable(
                Text(
                    f"Port {port} on {host} cannot be used: {error.strerror}.",
                    f"{host} 上的端口 {port} 无法使用：{error.strerror}。",
                ),
                Text(
                    f"Stop what uses it, or choose another with {setting} (0 picks a free one).",
                    f"请停止占用它的程序，或用 {setting} 另选端口（0 表示自动选择）。",
                ),
                code="port_in_use",
            ) from error


def read_runtime(folder: Path) -> dict[str, object] | None:
    """Where the platform of a data directory is running, or None."""
    try:
        data: dict[str, object] = orjson.loads((folder / "runtime.json").read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    return data
