"""Turns a run specification into the plan the supervisor carries out, and lays out the run's folder for it.

The plan is a record (``records.py``). The supervisor's part is read by ``shim/plan.py``; the key ``data`` (name, line
end, content) holds what the sandbox is handed as files, among them ``job``, the record that ``sandbox/init.py`` reads.
"""

import os
import posixpath
from dataclasses import dataclass
from pathlib import Path

from zhisuan.engines import folders
from zhisuan.engines.contract import RunSpec
from zhisuan.engines.local import accelerators, filesystem, records, runtime
from zhisuan.engines.local.cgroup import Cgroup
from zhisuan.engines.local.config import LocalEngineConfig
from zhisuan.engines.local.filesystem import JOB, LIBRARY, ON_STOP, PROGRESS, RUN, SETUP, Layout, Sources
from zhisuan.engines.local.host import Host, become
from zhisuan.engines.local.paths import RunPaths
from zhisuan.engines.local.records import Pairs
from zhisuan.engines.local.seat import Seat
from zhisuan.engines.local.spec_check import ARTIFACTS, CHECKPOINT, WORK, Target, target
from zhisuan.engines.node_env import node_variables

_INIT_PROCESSES = 4
"""bwrap twice, init and the relay; they count against the run's group but are not the tenant's."""
_PACKAGE = Path(__file__).parent
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where this run's things are on the host. ``uid`` is None when the run keeps the agent's own."""

    paths: RunPaths
    uid: int | None
    stage: Path
    socket: Path | None
    shell: Path | None
    keepalive: Path
    cgroup: Cgroup | None


@dataclass(frozen=True, slots=True)
class _Archive:
    file: Path
    name: str
    target: Target


class PlanBuilder:
    """One use each: ``build()`` makes the run's folders and returns the plan. Raises InvalidSpec from the start."""

    def __init__(
        self, spec: RunSpec, config: LocalEngineConfig, host: Host, placement: Placement, seat: Seat | None = None
    ) -> None:
        self.spec = spec
        self.seat = seat
        self.config = config
        self.host = host
        self.placement = placement
        self.paths = placement.paths
        self.folders = runtime.runtime_folders(config.runtime_prefixes)
        self.view = accelerators.view(spec.nodes[0].accelerators, isolated=host.isolated)
        self.archives = self._archives()
        self.shown: dict[str, str] = {}

    def _archives(self) -> list[_Archive]:
        """The work folder first, then the mounts in the order given: a later one may add to an earlier one."""
        found = []
        if self.spec.workdir_archive is not None:
            found.append(_Archive(self.spec.workdir_archive, "workdir", Target(WORK, "")))
        for mount in self.spec.mounts:
            place = target(mount.target, self.folders, isolated=self.host.isolated)
            found.append(_Archive(mount.archive, f"mount {mount.target}", place))
        if self.spec.checkpoint_archive is not None:
            found.append(_Archive(self.spec.checkpoint_archive, "checkpoint", Target(CHECKPOINT, "")))
        return found

    def _take_folders(self) -> None:
        """Show read-only folders in place where there is a sandbox; all else becomes an archive that the run unpacks itself."""
        for index, mount in enumerate(self.spec.folders):
            place = target(mount.target, self.folders, isolated=self.host.isolated)
            if mount.read_only and self.host.isolated:
                self.shown[posixpath.join(place.base, place.below).rstrip("/")] = str(mount.path)
                continue
            archive = Path(self.paths.folder) / f"folder.{index}"
            folders.pack(mount.path, archive)
            self.archives.append(_Archive(archive, f"folder {mount.target}", place))

    def _remember_folders(self, places: dict[str, str]) -> None:
        found = {}
        for mount in self.spec.folders:
            if not mount.read_only:
                place = target(mount.target, self.folders, isolated=self.host.isolated)
                found[mount.target] = posixpath.join(places[place.base], place.below).rstrip("/")
        folders.remember(Path(self.paths.folder), found)

    def build(self) -> Pairs:
        self._take_folders()
        writable = self._lay_out()
        self._remember_folders(writable)
        pairs = self._supervision()
        pairs += [("open_archive", str(archive.file)) for archive in self.archives]
        if self.host.isolated:
            return pairs + self._sandboxed(writable)
        return pairs + self._unisolated(writable)

    def _lay_out(self) -> dict[str, str]:
        """Make the run's own folders, owned by its user. Returns inside path → host path of all that is writable."""
        places = {WORK: self.paths.work, ARTIFACTS: self.paths.artifacts, CHECKPOINT: self.paths.checkpoint}
        for archive in self.archives:
            places.setdefault(archive.target.base, f"{self.paths.mounts}/{len(places)}")
        for folder in places.values():
            os.makedirs(folder, mode=0o700, exist_ok=True)
        os.close(os.open(self.paths.progress, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        places[PROGRESS] = self.paths.progress
        uid = self.placement.uid
        if uid is not None:
            for path in places.values():
                os.chown(path, uid, uid, follow_symlinks=False)
        return places

    def _environment(self, seen: dict[str, str]) -> dict[str, str]:
        """The run's whole environment: defaults, then the tenant's, then what only the engine knows."""
        spec = self.spec
        defaults = {
            "PATH": runtime.search_path(self.config.runtime_prefixes),
            "HOME": seen[WORK],
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
            "ZHISUAN_ARTIFACTS": seen[ARTIFACTS],
            "ZHISUAN_CHECKPOINT": seen[CHECKPOINT],
            "ZHISUAN_PROGRESS": seen[PROGRESS],
            **(node_variables(spec, 0, [_LOOPBACK]) if self.seat is None else self.seat.variables),
        }
        if spec.service is not None:
            known |= {"ZHISUAN_SERVICE_PORT": str(spec.service.port), "ZHISUAN_SERVICE_HOST": _LOOPBACK}
        return {**defaults, **spec.env, **self.view.env, **known}

    def _job(self, seen: dict[str, str], run: str, setup: str, on_stop: str) -> Pairs:
        """The record for init. ``seen`` maps the inside path of each writable place to where init finds it."""
        pairs = [
            ("work", seen[WORK]),
            ("bash", self.host.bash),
            ("run", run),
            ("pid1", "1" if self.host.isolated else "0"),
            ("archive_bytes_max", str(self.config.archive_bytes_max)),
            ("archive_entries_max", str(self.config.archive_entries_max)),
        ]
        if self.spec.on_stop is not None:
            pairs.append(("on_stop", on_stop))
        if self.spec.setup is not None:
            pairs.append(("setup", setup))
        if self.spec.service is not None:
            pairs.append(("port", str(self.spec.service.port)))
        if self.placement.shell is not None:
            pairs.append(("shells", "1"))
        if self.seat is not None and self.seat.waits:
            pairs.append(("waits", "1"))
        if self.host.isolated and not self.host.cgroups.enforces("pids"):
            pairs.append(("processes_max", str(self.config.pids_max)))
        pairs += [("archive", f"{one.name}\t{seen[one.target.base]}\t{one.target.below}") for one in self.archives]
        return pairs + [("env", f"{name}={value}") for name, value in self._environment(seen).items()]

    def _supervision(self) -> Pairs:
        """What the supervisor must know and enforce."""
        config, placement = self.config, self.placement
        pairs = [
            ("folder", self.paths.folder),
            ("keepalive", str(placement.keepalive)),
            ("isolated", "1" if self.host.isolated else "0"),
            ("memory_bytes", str(self.spec.memory_mib << 20)),
            ("cpus_milli", str(self.spec.cpus_milli)),
            ("processes_max", str(config.pids_max + _INIT_PROCESSES)),
            ("open_files_max", str(config.open_files_max)),
            ("log_bytes_max", str(config.log_bytes_max)),
            ("timeout_grace_seconds", str(_own_grace(self.spec, config.timeout_grace_seconds))),
            ("orphan_grace_seconds", str(min(config.orphan_grace_seconds, self.spec.orphan_seconds or 1 << 31))),
        ]
        optional = {
            "max_seconds": self.spec.max_seconds,
            "uid": placement.uid,
            "socket": placement.socket,
            "shell": placement.shell,
            "supervisors": self.host.cgroups.supervisors,
        }
        pairs += [(key, str(value)) for key, value in optional.items() if value is not None]
        return pairs + (placement.cgroup.to_pairs() if placement.cgroup is not None else [])

    def _sandboxed(self, writable: dict[str, str]) -> Pairs:
        own_uid = self.placement.uid
        uid = own_uid if own_uid is not None else os.geteuid()
        sources = Sources(str(self.placement.stage) if own_uid is not None else None)
        layout = Layout(
            writable=writable,
            readable=self.folders,
            shown=self.shown,
            nodes=self.view.nodes,
            library=str(_PACKAGE),
            uid=uid,
            memory_bytes=self.spec.memory_mib << 20,
            host_network=(self.seat.network if self.seat is not None else self.config.network) == "host",
            has_setup=self.spec.setup is not None,
            has_on_stop=self.spec.on_stop is not None,
        )
        pairs = filesystem.bwrap_arguments(layout, sources)
        if sources.stage is not None:
            pairs += [("stage_folder", sources.stage), *(("stage", path) for path in sources.paths)]
        job = self._job({place: place for place in writable}, RUN, SETUP, ON_STOP)
        data = {"job": records.encode(job).decode("utf-8", "surrogateescape"), "run": self.spec.run}
        if self.spec.setup is not None:
            data["setup"] = self.spec.setup
        if self.spec.on_stop is not None:
            data["on_stop"] = self.spec.on_stop
        data |= {f"etc/{name}": content for name, content in filesystem.etc_files(uid, self._address()).items()}
        pairs += [("data", f"{name}\n{content}") for name, content in data.items()]
        drop_root = become(self.host.setpriv or "", uid, self.view.groups) if own_uid is not None else []
        before = [*drop_root, str(self.host.bwrap), "--args"]
        after = ["--", *_init_command(LIBRARY, JOB)]
        pairs += [("program", word) for word in before]
        return [*pairs, ("program_data", "bwrap"), *(("program", word) for word in after)]

    def _address(self) -> str:
        """What the machine's name means inside."""
        return _LOOPBACK if self.seat is None or self.seat.network == "none" else self.seat.address

    def _unisolated(self, writable: dict[str, str]) -> Pairs:
        """Without a sandbox the same files lie in the run's folder, readable to the agent's user only."""
        folder = Path(self.paths.folder) / "private"
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / "run.sh").write_bytes(self.spec.run.encode("utf-8", "surrogateescape"))
        (folder / "setup.sh").write_bytes((self.spec.setup or "").encode("utf-8", "surrogateescape"))
        (folder / "on_stop.sh").write_bytes((self.spec.on_stop or "").encode("utf-8", "surrogateescape"))
        job = self._job(writable, *(str(folder / name) for name in ("run.sh", "setup.sh", "on_stop.sh")))
        (folder / "job").write_bytes(records.encode(job))
        return [("program", word) for word in _init_command(str(_PACKAGE.parents[2]), str(folder / "job"))]


def _own_grace(spec: RunSpec, of_the_engine: int) -> int:
    return of_the_engine if spec.grace_seconds is None else spec.grace_seconds


def _init_command(library: str, job: str) -> list[str]:
    code = (
        f"import sys; sys.path.insert(0, {library!r}); "
        f"from zhisuan.engines.local.sandbox.init import main; main({job!r})"
    )
    return [runtime.interpreter(), "-I", "-S", "-c", code]
