"""Lays out a run's folder: what the nodes read, and places for what they write."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zhisuan.engines import folders
from zhisuan.engines.contract import RunSpec
from zhisuan.engines.local.sandbox.unpack import ArchiveRefused, Budget
from zhisuan.engines.local.spec_check import ARTIFACTS, CHECKPOINT, WORK, Target, target
from zhisuan.engines.node_env import node_variables
from zhisuan.engines.slurm import archives
from zhisuan.engines.slurm.config import SlurmEngineConfig
from zhisuan.engines.slurm.owner import Owner
from zhisuan.engines.slurm.paths import RunPaths
from zhisuan.engines.vendors import VENDORS, vendor_of

_ETC = (
    "alternatives", "ca-certificates", "crypto-policies", "hosts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime",
    "mime.types", "pki/ca-trust", "pki/tls/certs", "protocols", "resolv.conf", "services", "ssl/certs", "ssl/openssl.cnf",
)  # fmt: skip
"""What programs need of a node's /etc; none of it is secret."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run's folder is laid out for. ``hosts`` are the cluster's names of the nodes, rank 0 first, one empty name
    for "any node"; ``addresses`` of the nodes in the same order."""

    config: SlurmEngineConfig
    owner: Owner
    isolated: bool
    hosts: tuple[str, ...]
    addresses: tuple[str, ...]
    keepalive: Path


def search_path(readable: Sequence[Path]) -> str:
    """``PATH`` of the work: the operator's folders first."""
    return ":".join([*(f"{path}/bin" for path in readable), _PATH])


def visible_variables(spec: RunSpec) -> list[str]:
    """Which variables count the devices that the runtimes see; the numbers are those that Slurm itself gives NVIDIA's."""
    granted = {grant.vendor.partition(":") for node in spec.nodes for grant in node.accelerators}
    vendors = {vendor_of(kind) or vendor_of(name) for name, _, kind in granted}
    return sorted({VENDORS[vendor].counted_by for vendor in vendors if vendor} - {""})


class Layout:
    """``build()`` makes everything below the run's folder. Raises ArchiveRefused, InvalidSpec, OSError."""

    def __init__(self, spec: RunSpec, around: Surroundings, paths: RunPaths) -> None:
        self.spec = spec
        self.around = around
        self.paths = paths
        self.places = {WORK: "work", ARTIFACTS: "artifacts", CHECKPOINT: "checkpoint"}
        self.archives: list[tuple[str, Path, Target]] = []
        if spec.workdir_archive is not None:
            self.archives.append(("workdir", spec.workdir_archive, Target(WORK, "")))
        readable = [str(path) for path in around.config.readable]
        for mount in spec.mounts:
            place = target(mount.target, readable, isolated=around.isolated)
            self.archives.append((f"mount {mount.target}", mount.archive, place))
            self.places.setdefault(place.base, f"mount.{len(self.places)}")
        if spec.checkpoint_archive is not None:
            self.archives.append(("checkpoint", spec.checkpoint_archive, Target(CHECKPOINT, "")))
        self.packed = [(mount, target(mount.target, readable, isolated=around.isolated)) for mount in spec.folders]
        for _, place in self.packed:
            self.places.setdefault(place.base, f"mount.{len(self.places)}")

    def _take_folders(self) -> None:
        """Nodes unpack their own copies: a folder of the agent's host is none of theirs."""
        copies = {}
        for index, (mount, place) in enumerate(self.packed):
            archive = self.paths.folder / f"folder.{index}"
            folders.pack(mount.path, archive)
            self.archives.append((f"folder {mount.target}", archive, place))
            if not mount.read_only:
                copies[mount.target] = str(self.paths.node(0) / self.places[place.base] / place.below)
        folders.remember(self.paths.folder, copies)

    def build(self) -> None:
        owner = self.around.owner
        self._take_folders()
        self._hand_over("run.sh", self.spec.run)
        if self.spec.setup is not None:
            self._hand_over("setup.sh", self.spec.setup)
        if self.spec.on_stop is not None:
            self._hand_over("on_stop.sh", self.spec.on_stop)
        for rank in range(len(self.spec.nodes)):
            self._hand_over(f"env.{rank}", "".join(f"{k}={v}\0" for k, v in self._environment(rank).items()))
            self._node_folder(rank)
        self._archives()
        self.paths.flags.mkdir(exist_ok=True)
        owner.give(self.paths.flags, 0o700)
        self._writable(self.paths.errors)
        self.paths.plan.write_text(self._plan(), "utf-8")
        self.paths.plan.chmod(0o644)
        if not self.paths.stop.exists():
            self.paths.stop.touch()
            self.paths.stop.chmod(0o644)

    def _hand_over(self, name: str, text: str) -> None:
        """A file that the job's user alone may read: closed before anything is in it."""
        path = self.paths.folder / name
        path.unlink(missing_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
        self.around.owner.give(path, 0o400)

    def _writable(self, path: Path) -> None:
        path.touch(0o600)
        self.around.owner.give(path, 0o600)

    def _node_folder(self, rank: int) -> None:
        """Open to pass through, so that the job's user reaches its own in it and can replace none of it."""
        folder = self.paths.node(rank)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o711)
        for name in self.places.values():
            (folder / name).mkdir(exist_ok=True)
            self.around.owner.give(folder / name, 0o700)
        for name in ("events", "started", "use", "out", "progress", "grace"):
            self._writable(folder / name)

    def _archives(self) -> None:
        config = self.around.config
        budget = Budget(config.archive_bytes_max, config.archive_entries_max)
        for index, (name, source, _) in enumerate(self.archives):
            copy = self.paths.folder / f"archive.{index}"
            copy.unlink(missing_ok=True)
            try:
                archives.bring(source, copy, budget)
            except ArchiveRefused as error:
                raise ArchiveRefused(f"{name}: {error}") from error
            self.around.owner.give(copy, 0o400)
        for index in range(len(self.packed)):
            (self.paths.folder / f"folder.{index}").unlink()

    def _environment(self, rank: int) -> dict[str, str]:
        """The node's whole environment: defaults, then the tenant's, then what only the engine knows. Slurm's own
        variables for devices come on top of it on the node."""
        spec, isolated = self.spec, self.around.isolated
        own = self.paths.node(rank)
        defaults = {
            "PATH": search_path(self.around.config.readable),
            "HOME": WORK if isolated else f"{own}/work",
            "USER": "job",
            "LOGNAME": "job",
            "SHELL": "/bin/bash",
            "LANG": "C.UTF-8",
            "TMPDIR": "/tmp",  # noqa: S108
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": str(-(-spec.cpus_milli // 1000)),
        }
        known = {
            "ZHISUAN_LEASE_ID": spec.lease_id,
            "ZHISUAN_GENERATION": str(spec.generation),
            "ZHISUAN_CPUS_MILLI": str(spec.cpus_milli),
            "ZHISUAN_MEMORY_MIB": str(spec.memory_mib),
            "ZHISUAN_ARTIFACTS": ARTIFACTS if isolated else f"{own}/artifacts",
            "ZHISUAN_CHECKPOINT": CHECKPOINT if isolated else f"{own}/checkpoint",
            "ZHISUAN_PROGRESS": "/run/zhisuan/progress" if isolated else f"{own}/progress",
            "CUDA_VISIBLE_DEVICES": "",
            **dict.fromkeys(visible_variables(spec), ""),
            **node_variables(spec, rank, self.around.addresses),
        }
        if spec.service is not None:
            # The agent reaches the node from outside: at loopback it would find nothing.
            known |= {"ZHISUAN_SERVICE_PORT": str(spec.service.port), "ZHISUAN_SERVICE_HOST": self.around.addresses[0]}
        return {**defaults, **spec.env, **known}

    def _plan(self) -> str:
        """Assignments that bash reads; the names are those that the scripts use."""
        spec, config = self.spec, self.around.config
        accelerated = any(node.accelerators for node in spec.nodes)
        numbers = {
            "isolated": int(self.around.isolated),
            "cpus": -(-spec.cpus_milli // 1000),
            "memory_bytes": spec.memory_mib << 20,
            "max_seconds": spec.max_seconds or 0,
            "grace_seconds": config.timeout_grace_seconds if spec.grace_seconds is None else spec.grace_seconds,
            "orphan_seconds": config.orphan_grace_seconds,
            "log_bytes_max": config.log_bytes_max,
            "processes_max": config.pids_max,
        }
        lists: dict[str, Sequence[str]] = {
            "nodes": self.around.hosts,
            "step_options": gres_words(spec),
            "etc": _ETC,
            "readable": [str(path) for path in config.readable],
            "device_globs": config.device_globs if accelerated else (),
            "visible": visible_variables(spec) if accelerated else (),
            "inside": list(self.places),
            "outside": list(self.places.values()),
            "archive_names": [name for name, _, _ in self.archives],
            "archive_targets": [self._target(place) for _, _, place in self.archives],
        }
        words = {"folder": str(self.paths.folder), "keepalive": str(self.around.keepalive), "network": config.network}
        lines = [f"{name}={value}" for name, value in numbers.items()]
        lines += [f"{name}={shlex.quote(value)}" for name, value in words.items()]
        lines += [f"{name}=({' '.join(shlex.quote(value) for value in values)})" for name, values in lists.items()]
        return "\n".join(lines) + "\n"

    def _target(self, place: Target) -> str:
        """``@`` stands for the node's own folder, which only the node can name."""
        base = place.base if self.around.isolated else f"@{self.places[place.base]}"
        return f"{base}/{place.below}" if place.below else base


def gres_words(spec: RunSpec) -> list[str]:
    """The accelerators of one node, for sbatch and srun: ``vendor`` holds the GRES (see ``cluster.granted``)."""
    first = spec.nodes[0].accelerators
    return [f"--gres={first[0].vendor}:{len(first)}"] if first else []
