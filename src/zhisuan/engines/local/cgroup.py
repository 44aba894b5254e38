"""The control group of one run: memory, cpu and process limits, usage, and the surest way to kill all of it.

Version 2 is one folder; version 1 is one folder per controller. Sources: kernel documentation,
``admin-guide/cgroup-v2.rst`` and ``admin-guide/cgroup-v1/{memory,cpuacct,pids}.rst``; ``scheduler/sched-bwc.rst``.
"""

import os
import time

CPU_PERIOD_US = 100_000


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""


def _read_int(path: str) -> int:
    text = _read(path).strip()
    return int(text) if text.isdigit() else 0


def _read_field(path: str, name: str) -> int:
    for line in _read(path).splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


def _write(path: str, value: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(value)


def _write_if_there(path: str, value: str) -> None:
    if os.path.exists(path):
        _write(path, value)


class Cgroup:
    """``folders`` maps a controller to the run's folder in its hierarchy: for version 2 all are the same folder.

    A controller that is absent from ``folders`` is not enforced.
    """

    def __init__(self, version: int, folders: dict[str, str]) -> None:
        self.version = version
        self.folders = folders

    def create(self, memory_bytes: int, cpus_milli: int, pids_max: int) -> None:
        """Make a fresh, empty group with these limits. Raises OSError when the host refuses one of them."""
        if any(os.path.isdir(folder) for folder in self._unique()):
            self.kill_all(2.0)
            self.remove()
        for folder in self._unique():
            os.makedirs(folder)
        cpu_quota_us = max(1000, cpus_milli * CPU_PERIOD_US // 1000)
        if "pids" in self.folders:
            _write(f"{self.folders['pids']}/pids.max", str(pids_max))
        if self.version == 2:
            self._limit_v2(memory_bytes, cpu_quota_us)
        else:
            self._limit_v1(memory_bytes, cpu_quota_us)

    def _limit_v2(self, memory_bytes: int, cpu_quota_us: int) -> None:
        if memory := self.folders.get("memory"):
            _write(f"{memory}/memory.max", str(memory_bytes))
            _write_if_there(f"{memory}/memory.swap.max", "0")
            _write_if_there(f"{memory}/memory.oom.group", "1")
        if cpu := self.folders.get("cpu"):
            _write(f"{cpu}/cpu.max", f"{cpu_quota_us} {CPU_PERIOD_US}")

    def _limit_v1(self, memory_bytes: int, cpu_quota_us: int) -> None:
        if memory := self.folders.get("memory"):
            _write(f"{memory}/memory.limit_in_bytes", str(memory_bytes))
            _write_if_there(f"{memory}/memory.memsw.limit_in_bytes", str(memory_bytes))
        if cpu := self.folders.get("cpu"):
            _write(f"{cpu}/cpu.cfs_period_us", str(CPU_PERIOD_US))
            _write(f"{cpu}/cpu.cfs_quota_us", str(cpu_quota_us))

    def join(self) -> None:
        """Move the calling process, and so all its children to come, into the group."""
        for folder in self._unique():
            _write(f"{folder}/cgroup.procs", "0")

    def cpu_milliseconds(self) -> int:
        if self.version == 2:
            return _read_field(f"{self._any()}/cpu.stat", "usage_usec") // 1000
        return _read_int(f"{self.folders['cpuacct']}/cpuacct.usage") // 1_000_000 if "cpuacct" in self.folders else 0

    def memory_peak_bytes(self) -> int:
        """The highest use so far; on kernels before 5.19 with version 2, the use at this moment."""
        folder = self.folders.get("memory")
        if folder is None:
            return 0
        if self.version == 2:
            return _read_int(f"{folder}/memory.peak") or _read_int(f"{folder}/memory.current")
        return _read_int(f"{folder}/memory.max_usage_in_bytes")

    def out_of_memory_kills(self) -> int:
        folder = self.folders.get("memory")
        if folder is None:
            return 0
        return _read_field(f"{folder}/{'memory.events' if self.version == 2 else 'memory.oom_control'}", "oom_kill")

    def processes(self) -> list[int]:
        return [int(pid) for pid in _read(f"{self._any()}/cgroup.procs").split() if pid != "0"]

    def kill(self) -> None:
        """Send SIGKILL to every process in the group, once."""
        whole = f"{self._any()}/cgroup.kill"
        if os.path.exists(whole):
            _write(whole, "1")
            return
        for pid in self.processes():
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue

    def kill_all(self, seconds: float) -> bool:
        """Kill until no process is left. False when some are still there after ``seconds`` (stuck in the kernel)."""
        deadline = time.monotonic() + seconds
        while self.processes():
            self.kill()
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)
        return True

    def remove(self, seconds: float = 2.0) -> bool:
        """Delete the empty group; the kernel may hold it for a moment after its last process. True when it is gone."""
        deadline = time.monotonic() + seconds
        for folder in self._unique():
            while True:
                try:
                    os.rmdir(folder)
                except FileNotFoundError:
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        return False
                    time.sleep(0.005)
                else:
                    break
        return True

    def _unique(self) -> list[str]:
        return list(dict.fromkeys(self.folders.values()))

    def _any(self) -> str:
        return self.folders.get("memory") or self.folders.get("pids") or next(iter(self.folders.values()))

    def to_pairs(self) -> list[tuple[str, str]]:
        """For the run's records."""
        return [("cgroup_version", str(self.version))] + [
            ("cgroup_folder", f"{controller} {folder}") for controller, folder in self.folders.items()
        ]


def from_pairs(pairs: list[tuple[str, str]]) -> Cgroup | None:
    """The inverse of ``Cgroup.to_pairs``; None when the records name no group."""
    version = next((int(value) for key, value in pairs if key == "cgroup_version"), None)
    if version is None:
        return None
    folders: dict[str, str] = {}
    for key, value in pairs:
        if key == "cgroup_folder":
            controller, _, folder = value.partition(" ")
            folders[controller] = folder
    return Cgroup(version, folders)


class CgroupHost:
    """Where runs' groups live. ``parents`` maps each usable controller to the folder that holds all engines' groups;
    those of one engine begin with its ``prefix``."""

    def __init__(self, version: int, parents: dict[str, str], prefix: str) -> None:
        self.version = version
        self.parents = parents
        self.prefix = prefix

    def group(self, name: str) -> Cgroup:
        folders = {controller: f"{parent}/{self.prefix}.{name}" for controller, parent in self.parents.items()}
        return Cgroup(self.version, folders)

    def names(self) -> set[str]:
        """Every group of this engine that exists now, in any hierarchy."""
        found: set[str] = set()
        for parent in set(self.parents.values()):
            for entry in os.listdir(parent):
                prefix, _, name = entry.partition(".")
                if prefix == self.prefix and name:
                    found.add(name)
        return found
