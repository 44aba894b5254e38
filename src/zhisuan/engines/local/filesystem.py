"""The sandbox's root: what a run sees, as arguments for bwrap. Everything not named here does not exist for it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zhisuan.engines.local.records import Pairs
from zhisuan.engines.local.spec_check import WORK

LIBRARY = "/run/zhisuan/lib"
JOB = "/run/zhisuan/job"
SETUP = "/run/zhisuan/setup.sh"
RUN = "/run/zhisuan/run.sh"
ON_STOP = "/run/zhisuan/on_stop.sh"
PROGRESS = "/run/zhisuan/progress"

_TOP_LEVEL = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC = (
    "alternatives", "ca-certificates", "crypto-policies", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime",
    "mime.types", "pki/ca-trust", "pki/tls/certs", "protocols", "services", "ssl/certs", "ssl/openssl.cnf",
)  # fmt: skip
"""Programs need these of /etc; none of them is secret and none names a user of the host."""
_CPU_TOPOLOGY = ("/sys/devices/system/cpu", "/sys/devices/system/node")


@dataclass
class Sources:
    """Host paths to bind. With a ``stage`` folder the supervisor mounts path ``i`` at ``<stage>/<i>`` as root first."""

    stage: str | None
    paths: list[str] = field(default_factory=list)

    def place(self, path: str) -> str:
        """Where bwrap finds ``path``."""
        if self.stage is None:
            return path
        if path not in self.paths:
            self.paths.append(path)
        return f"{self.stage}/{self.paths.index(path)}"


@dataclass(frozen=True, slots=True)
class Layout:
    """``writable``: inside path → host path; ``readable``: host folders shown at their own path; ``shown``: inside
    path → host folder, read only; ``nodes``: devices."""

    writable: dict[str, str]
    readable: Sequence[str]
    shown: dict[str, str]
    nodes: Sequence[Path]
    library: str
    uid: int
    memory_bytes: int
    host_network: bool
    has_setup: bool
    has_on_stop: bool


def etc_files(uid: int, address: str = "127.0.0.1") -> dict[str, str]:
    """The few files of /etc that must be the run's own. The user is called ``job``, and so is the machine, whose
    own ``address`` libraries look up by that name."""
    return {
        "passwd": f"root:x:0:0:root:/root:/usr/sbin/nologin\njob:x:{uid}:{uid}:job:{WORK}:/bin/bash\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        "group": f"root:x:0:\njob:x:{uid}:\nnogroup:x:65534:\n",
        "hosts": "127.0.0.1 localhost job\n::1 localhost job\n"
        if address == "127.0.0.1"
        else f"127.0.0.1 localhost\n::1 localhost\n{address} job\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n",
    }


def _namespaces(layout: Layout) -> list[str]:
    flags = ["--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session", "--as-pid-1"]
    flags += ["--clearenv", "--cap-drop", "ALL", "--hostname", "job", "--chdir", WORK]
    return [*flags, "--share-net"] if layout.host_network else flags


def _system(layout: Layout) -> list[str]:
    arguments = ["--ro-bind", "/usr", "/usr"]
    for name in _TOP_LEVEL:
        path = f"/{name}"
        if os.path.islink(path):
            arguments += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            arguments += ["--ro-bind", path, path]
    for name in (*_ETC, *(["resolv.conf"] if layout.host_network else [])):
        arguments += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    arguments += ["--proc", "/proc", "--dev", "/dev", "--dir", "/var", "--symlink", "/tmp", "/var/tmp"]  # noqa: S108
    arguments += ["--perms", "1777", "--size", str(layout.memory_bytes), "--tmpfs", "/tmp"]  # noqa: S108
    if layout.nodes:
        # Vendor libraries find devices and their interconnect in /sys; the host's control groups are covered again.
        arguments += ["--ro-bind", "/sys", "/sys", "--tmpfs", "/sys/fs"]
    else:
        for path in _CPU_TOPOLOGY:
            arguments += ["--ro-bind-try", path, path]
    for node in layout.nodes:
        arguments += ["--dev-bind", str(node), f"/dev/{node.name}"]
    return arguments


def bwrap_arguments(layout: Layout, sources: Sources) -> Pairs:
    """``bwrap`` and ``bwrap_data`` pairs: literal arguments, and names of data whose descriptor goes there.

    Outer folders come before what lies in them, since a later mount covers an earlier one.
    """
    binds = [("--bind", sources.place(host), inside) for inside, host in layout.writable.items()]
    binds += [("--ro-bind", sources.place(path), path) for path in layout.readable]
    binds += [("--ro-bind", sources.place(host), inside) for inside, host in layout.shown.items()]
    arguments = [*_namespaces(layout), *_system(layout)]
    for flag, source, inside in sorted(binds, key=lambda bind: (bind[2].count("/"), bind[2])):
        arguments += [flag, source, inside]
    arguments += ["--ro-bind", sources.place(layout.library), f"{LIBRARY}/zhisuan/engines/local"]
    pairs = [("bwrap", argument) for argument in arguments]
    data = {JOB: "job", RUN: "run", **({SETUP: "setup"} if layout.has_setup else {})}
    data |= {ON_STOP: "on_stop"} if layout.has_on_stop else {}
    data |= {f"/etc/{name}": f"etc/{name}" for name in etc_files(layout.uid)}
    for inside, name in data.items():
        pairs += [("bwrap", "--ro-bind-data"), ("bwrap_data", name), ("bwrap", inside)]
    return [*pairs, ("bwrap", "--remount-ro"), ("bwrap", "/")]
