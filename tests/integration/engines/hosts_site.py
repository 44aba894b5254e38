"""A site of several hosts on this machine: the head in the test's own process, each host's daemon a process of its own."""

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from engine_conformance import Harness, wait_for
from local_engine import CGROUP_PARENT

from zhisuan.base.clock import SystemClock
from zhisuan.base.ids import TimeOrderedIds
from zhisuan.engines.hosts.config import HostsEngineConfig
from zhisuan.engines.hosts.engine import HostsEngine
from zhisuan.engines.hosts.registry import Registry
from zhisuan.engines.local.config import LocalEngineConfig
from zhisuan.engines.local.engine import LocalEngine

IDS = TimeOrderedIds(SystemClock())


@dataclass
class Host:
    """One daemon. ``before`` are words before its command, such as ``ip netns exec NAME``."""

    name: str
    folder: Path
    head: str
    before: Sequence[str] = ()
    address: str | None = None
    engine: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self, token: str | None = None) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        config = {
            "data_dir": str(self.folder), "head": self.head, "token": token, "name": self.name, "address": self.address,
            "engine": {"cgroup_parent": CGROUP_PARENT, **self.engine}, "probe": {"enabled": False},
        }  # fmt: skip
        path = self.folder.parent / f"{self.name}.json"
        path.write_bytes(orjson.dumps(config))
        with (self.folder.parent / f"{self.name}.log").open("ab") as log:
            words = [*self.before, sys.executable, "-m", "zhisuan.site.hosting", str(path)]
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def said(self) -> str:
        return (self.folder.parent / f"{self.name}.log").read_text()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)

    def local(self) -> LocalEngine:
        """The host's own engine, to look at what is really there."""
        options = {**self.engine, "runtime_prefixes": tuple(map(Path, self.engine.get("runtime_prefixes", ())))}
        config = LocalEngineConfig(cgroup_parent=CGROUP_PARENT, **options)
        return LocalEngine(self.folder / "engine", clock=SystemClock(), config=config)

    def clear(self) -> None:
        engine = self.local()
        for key in engine.list():
            engine.stop(*key, 0)
        for key in engine.list():
            wait_for(lambda key=key: engine.observe(*key), lambda seen: seen.reason is not None)  # type: ignore[misc]
            engine.remove(*key)


@dataclass
class HostsHarness(Harness):
    """A reopened engine is a head that begins anew: the hosts come back to it."""

    def reopen(self) -> None:
        assert isinstance(self.engine, HostsEngine)
        self.engine.close()
        super().reopen()


@dataclass
class Site:
    root: Path
    config: HostsEngineConfig
    hosts: dict[str, Host]

    def open(self) -> HostsEngine:
        return HostsEngine(self.root / "head", clock=SystemClock(), config=self.config)

    def token(self) -> str:
        return Registry(self.root / "head").invite(IDS.secret("zsh"), SystemClock().now())

    def usable(self, *names: str) -> bool:
        return {node.hostname for node in self.open().nodes() if node.usable} >= set(names)

    def await_hosts(self, *names: str) -> None:
        wait_for(lambda: bool(self.root) and _quiet(lambda: self.usable(*(names or self.hosts))), bool)


def _quiet(ask: Any) -> Any:
    from zhisuan.engines.errors import EngineUnavailable

    with suppress(EngineUnavailable):
        return ask()
    return False


def free_port() -> int:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def hosts_site(names: Sequence[str] = ("n1", "n2"), **changes: Any) -> Iterator[Site]:
    """Hosts that reach each other by loopback; ``changes`` are of the head's configuration, ``engine`` of the
    hosts'."""
    root = Path(tempfile.mkdtemp(prefix="zhisuan-hosts-"))
    root.chmod(0o755)
    chosen: dict[str, Any] = {"listen": "127.0.0.1", "port": free_port(), "gang_network": "host", **changes}
    options = chosen.pop("engine", {})
    config = HostsEngineConfig(**chosen)
    site = Site(root, config, {n: Host(n, root / n, f"127.0.0.1:{config.port}", engine=options) for n in names})
    try:
        site.open().port  # noqa: B018 - begins the head
        for host in site.hosts.values():
            host.start(site.token())
        site.await_hosts()
        yield site
    finally:
        end(site)


def end(site: Site) -> None:
    for host in site.hosts.values():
        host.stop()
    site.open().close()
    for host in site.hosts.values():
        host.clear()
    shutil.rmtree(site.root, ignore_errors=True)


@contextmanager
def hosts_harness(site: Site) -> Iterator[HostsHarness]:
    harness = HostsHarness(site.open)
    try:
        yield harness
    finally:
        harness.clear()
        for host in site.hosts.values():
            if host.process is not None and host.process.poll() is None:
                wait_for(lambda host=host: host.local().list(), lambda held: held == [])  # type: ignore[misc]
