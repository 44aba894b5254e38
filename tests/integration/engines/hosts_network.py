"""Hosts with a network of their own: each daemon in a network namespace, joined by a bridge to the head, links to be cut."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hosts_site import Host, Site, end, free_port

from zhisuan.engines.hosts.config import HostsEngineConfig


def _ip(*words: str, check: bool = True) -> int:
    return subprocess.run(["ip", *words], capture_output=True, check=check).returncode


def can_make_namespaces() -> bool:
    """Whether this machine lets us make namespaces and bridges."""
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("nsenter") is None:
        return False
    name = f"zht{os.getpid() % 100000}"
    made = _ip("link", "add", name, "type", "bridge", check=False) == 0
    if made:
        _ip("link", "del", name, check=False)
    return made


needs_namespaces = pytest.mark.skipif(
    not can_make_namespaces(), reason="needs root, iproute2 and a kernel with bridges and veth"
)


class Network:
    """One bridge, which is the head's, and one namespace for each host."""

    def __init__(self, names: Sequence[str]) -> None:
        tag = os.getpid() % 100000
        self.names = tuple(names)
        self.bridge = f"zhb{tag}"
        self.subnet = f"10.77.{os.getpid() % 250}"
        self.head = f"{self.subnet}.1"
        self._spaces = {name: f"zh{tag}{name}" for name in names}

    def make(self) -> None:
        _ip("link", "add", self.bridge, "type", "bridge")
        _ip("addr", "add", f"{self.head}/24", "dev", self.bridge)
        _ip("link", "set", self.bridge, "up")
        for number, name in enumerate(self.names):
            space = self._spaces[name]
            _ip("netns", "add", space)
            _ip("link", "add", self.link(name), "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("link", "set", self.link(name), "master", self.bridge)
            _ip("link", "set", self.link(name), "up")
            _ip("-n", space, "addr", "add", f"{self.address(number)}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _ip("-n", space, "link", "set", device, "up")

    def address(self, number: int) -> str:
        return f"{self.subnet}.{number + 2}"

    def link(self, name: str) -> str:
        return f"zhv{os.getpid() % 100000}{name}"

    def inside(self, name: str) -> list[str]:
        """Words before a command: ``ip netns exec`` would hide the control groups."""
        return ["nsenter", f"--net=/run/netns/{self._spaces[name]}", "--"]

    def cut(self, name: str) -> None:
        _ip("link", "set", self.link(name), "down")

    def mend(self, name: str) -> None:
        _ip("link", "set", self.link(name), "up")

    def clear(self) -> None:
        for space in self._spaces.values():
            _ip("netns", "del", space, check=False)
        _ip("link", "del", self.bridge, check=False)


@contextmanager
def networked_site(names: Sequence[str] = ("n1", "n2"), **changes: Any) -> Iterator[tuple[Site, Network]]:
    network = Network(names)
    root = Path(tempfile.mkdtemp(prefix="zhisuan-hosts-"))
    root.chmod(0o755)
    options: dict[str, Any] = dict(changes.pop("engine", {}))
    chosen: dict[str, Any] = {"listen": network.head, "port": free_port(), "gang_network": "host", **changes}
    config = HostsEngineConfig(**chosen)
    where = f"{network.head}:{config.port}"
    hosts = {name: Host(name, root / name, where, network.inside(name), engine=options) for name in names}
    site = Site(root, config, hosts)
    try:
        network.make()
        site.open().port  # noqa: B018 - begins the head
        for host in hosts.values():
            host.start(site.token())
        site.await_hosts()
        yield site, network
    finally:
        try:
            end(site)
        finally:
            network.clear()
