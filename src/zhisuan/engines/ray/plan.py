"""Lays out a run's folder on the shared file system and says what Ray is asked for.

Each node's part is a run of the local engine without a sandbox: ``plan`` for its supervisor, ``private/job`` for the
first process, as ``local/plan.py`` documents them. The parts of a gang lie below ``nodes/<rank>``, and the run's own
``plan`` is then for the gang's driver: ``bundle`` and ``hostname`` per rank, ``part_code``, ``timeout_grace_seconds``.
"""

import json
import os
import secrets
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zhisuan.engines import folders
from zhisuan.engines.contract import RunSpec
from zhisuan.engines.local import records
from zhisuan.engines.local.paths import RunPaths
from zhisuan.engines.local.spec_check import CHECKPOINT, Target, target
from zhisuan.engines.node_env import node_variables
from zhisuan.engines.ray.client import JobOrder
from zhisuan.engines.ray.cluster import Share
from zhisuan.engines.ray.config import RayEngineConfig
from zhisuan.engines.ray.library import Library
from zhisuan.engines.ray.node.gang_parts import part_paths

_NO_DEVICES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ASCEND_RT_VISIBLE_DEVICES")
"""Drivers take an empty list for "none" and a missing one for "all"."""


@dataclass(frozen=True, slots=True)
class RunLayout:
    spec: RunSpec
    shares: Sequence[Share]
    paths: RunPaths
    keepalive: Path
    config: RayEngineConfig
    library: Library

    def build(self) -> None:
        """Write everything the nodes need; the run's ``plan`` comes last. Raises InvalidSpec or OSError."""
        archives = self._take_archives()
        if len(self.spec.nodes) == 1:
            self._build_part(self.paths, 0, archives)
            return
        for rank in range(len(self.spec.nodes)):
            self._build_part(part_paths(self.paths, rank), rank, archives)
        pairs = [("timeout_grace_seconds", str(self._own_grace))]
        pairs.append(("part_code", self.library.code("gang_node")))
        for share in self.shares:
            pairs.append(("bundle", json.dumps({"take": share.bundle(), "ask": share.options()})))
            pairs.append(("hostname", share.hostname))
        records.write_atomic(self.paths.plan, pairs)

    @property
    def _own_grace(self) -> int:
        return self.config.timeout_grace_seconds if self.spec.grace_seconds is None else self.spec.grace_seconds

    def order(self, submission_id: str) -> JobOrder:
        """The Ray job that carries the run out. A gang's own driver takes nothing: its nodes are in the placement group."""
        metadata = {"zhisuan_lease": self.spec.lease_id, "zhisuan_generation": str(self.spec.generation)}
        python = f"exec {shlex.quote(self.config.python)}"
        folder = f"{shlex.quote(self.paths.folder)} {submission_id}"
        if len(self.spec.nodes) > 1:
            entrypoint = f"{python} -c {shlex.quote(self.library.code('gang'))} {folder}"
            return JobOrder(submission_id=submission_id, entrypoint=entrypoint, metadata=metadata)
        share = self.shares[0]
        code = shlex.quote(self.library.code("alone"))
        return JobOrder(
            submission_id=submission_id,
            entrypoint=f"{python} -I -S -c {code} {folder} {share.address or '-'}",
            metadata=metadata,
            entrypoint_num_cpus=share.cpus,
            entrypoint_num_gpus=share.gpus or None,
            entrypoint_memory=share.memory_bytes,
            entrypoint_resources=share.resources or None,
        )

    def _take_archives(self) -> list[tuple[str, str, Target]]:
        """(path on the shared file system, what it is called, where it goes): the work folder first, then the mounts."""
        wanted = [
            (mount.archive, f"mount {mount.target}", target(mount.target, (), isolated=False))
            for mount in self.spec.mounts
        ]
        if self.spec.workdir_archive is not None:
            wanted.insert(0, (self.spec.workdir_archive, "workdir", target(".", (), isolated=False)))
        if self.spec.checkpoint_archive is not None:
            wanted.append((self.spec.checkpoint_archive, "checkpoint", Target(CHECKPOINT, "")))
        folder = Path(self.paths.folder) / "archives"
        folder.mkdir(mode=0o700, exist_ok=True)
        copies = {}
        for index, given in enumerate(self.spec.folders):
            place = target(given.target, (), isolated=False)
            packed = folder / f"folder.{index}"
            folders.pack(given.path, packed)
            wanted.append((packed, f"folder {given.target}", place))
            if not given.read_only:
                rank_0 = self.paths if len(self.spec.nodes) == 1 else part_paths(self.paths, 0)
                copies[given.target] = str(Path(rank_0.work) / place.below)
        folders.remember(Path(self.paths.folder), copies)
        return [
            (_bring(archive, folder / str(index)), name, place) for index, (archive, name, place) in enumerate(wanted)
        ]

    def _build_part(self, paths: RunPaths, rank: int, archives: Sequence[tuple[str, str, Target]]) -> None:
        private = Path(paths.folder) / "private"
        for folder in (Path(paths.work), Path(paths.artifacts), Path(paths.checkpoint), private):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(paths.progress, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        (private / "run.sh").write_bytes(self.spec.run.encode("utf-8", "surrogateescape"))
        (private / "setup.sh").write_bytes((self.spec.setup or "").encode("utf-8", "surrogateescape"))
        (private / "on_stop.sh").write_bytes((self.spec.on_stop or "").encode("utf-8", "surrogateescape"))
        job = self._job(paths, private, rank)
        bases = {CHECKPOINT: paths.checkpoint}
        job += [("archive", f"{name}\t{bases.get(at.base, paths.work)}\t{at.below}") for _, name, at in archives]
        job += [("env", f"{name}={value}") for name, value in self._environment(paths, rank).items()]
        records.write_atomic(str(private / "job"), job)
        pairs = self._supervision(paths, str(private / "job"))
        pairs += [("open_archive", path) for path, _, _ in archives]
        if rank == 0 and self.spec.service is not None:
            pairs.append(("token", secrets.token_hex(32)))
        records.write_atomic(paths.plan, pairs)

    def _job(self, paths: RunPaths, private: Path, rank: int) -> records.Pairs:
        pairs = [
            ("work", paths.work),
            ("bash", "/bin/bash"),
            ("run", str(private / "run.sh")),
            ("pid1", "0"),
            ("archive_bytes_max", str(self.config.archive_bytes_max)),
            ("archive_entries_max", str(self.config.archive_entries_max)),
        ]
        if self.spec.on_stop is not None:
            pairs.append(("on_stop", str(private / "on_stop.sh")))
        if self.spec.setup is not None:
            pairs.append(("setup", str(private / "setup.sh")))
        if rank == 0 and self.spec.service is not None:
            pairs.append(("port", str(self.spec.service.port)))
        return pairs

    def _supervision(self, paths: RunPaths, job: str) -> records.Pairs:
        """``program`` is the first process; the node puts its own Python in place of ``python``."""
        code = (
            f"import sys; sys.path.insert(0, {str(self.library.folder)!r}); "
            f"from zhisuan.engines.local.sandbox.init import main; main({job!r})"
        )
        values = {
            "folder": paths.folder,
            "keepalive": str(self.keepalive),
            "isolated": "0",
            "memory_bytes": str(self.spec.memory_mib << 20),
            "cpus_milli": str(self.spec.cpus_milli),
            "processes_max": "0",
            "open_files_max": str(self.config.open_files_max),
            "log_bytes_max": str(self.config.log_bytes_max // len(self.spec.nodes)),
            "timeout_grace_seconds": str(self._own_grace),
            "orphan_grace_seconds": str(self.config.orphan_grace_seconds),
            "job": job,
        }
        if self.spec.max_seconds is not None:
            values["max_seconds"] = str(self.spec.max_seconds)
        return [*values.items(), *(("program", word) for word in ("python", "-I", "-S", "-c", code))]

    def _environment(self, paths: RunPaths, rank: int) -> dict[str, str]:
        """Defaults, then the tenant's, then what only the engine knows. The node adds its ``PATH`` and the addresses."""
        spec = self.spec
        defaults = {
            "HOME": paths.work,
            "USER": "job",
            "LOGNAME": "job",
            "SHELL": "/bin/bash",
            "TMPDIR": "/tmp",  # noqa: S108
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": str(-(-spec.cpus_milli // 1000)),
        }
        known = {
            "ZHISUAN_LEASE_ID": spec.lease_id,
            "ZHISUAN_GENERATION": str(spec.generation),
            "ZHISUAN_CPUS_MILLI": str(spec.cpus_milli),
            "ZHISUAN_MEMORY_MIB": str(spec.memory_mib),
            "ZHISUAN_ARTIFACTS": paths.artifacts,
            "ZHISUAN_CHECKPOINT": paths.checkpoint,
            "ZHISUAN_PROGRESS": paths.progress,
            **node_variables(spec, rank, []),
        }
        if rank == 0 and spec.service is not None:
            known |= {"ZHISUAN_SERVICE_PORT": str(spec.service.port), "ZHISUAN_SERVICE_HOST": "127.0.0.1"}
        return {**defaults, **spec.env, **dict.fromkeys(_NO_DEVICES, ""), **known}


def _bring(archive: Path, place: Path) -> str:
    """The archive under a name that the nodes can reach: a link where it lies on the same file system, else a copy."""
    place.unlink(missing_ok=True)
    try:
        place.hardlink_to(archive.resolve())
    except OSError:
        shutil.copyfile(archive, place)
    return str(place)
