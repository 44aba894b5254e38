"""What this host can do for isolation and limits, found out by trying."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from zhisuan.engines.contract import IsolationLevel, Problem
from zhisuan.engines.local import cgroup_detect, problems, runtime
from zhisuan.engines.local.cgroup_detect import CgroupFound
from zhisuan.engines.local.config import LocalEngineConfig

_BWRAP_MIN = (0, 8, 0)
_PROBE_SECONDS = 20
_PROBE = (
    *("--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session", "--clearenv"),
    *("--cap-drop", "ALL", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "/bin/true"),  # noqa: S108
)


@dataclass(frozen=True, slots=True)
class Host:
    """``own_uid``: each run gets a user id of its own. ``bwrap`` and ``setpriv`` are paths, None when not usable."""

    isolation: IsolationLevel
    own_uid: bool
    bwrap: str | None
    bwrap_version: str
    setpriv: str | None
    bash: str
    cgroups: CgroupFound
    problems: tuple[Problem, ...]

    @property
    def isolated(self) -> bool:
        return self.isolation is not IsolationLevel.none


def _bwrap_version(path: str) -> str:
    output = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False)
    return output.stdout.strip().removeprefix("bubblewrap ")


def version_tuple(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


def uid_is_mapped(uid_map: str, first: int, count: int) -> bool:
    """Whether all of the range exists in the user namespace; ``uid_map`` as in user_namespaces(7)."""
    rows = [tuple(int(field) for field in line.split()) for line in uid_map.splitlines()]
    return any(inside <= first and first + count <= inside + length for inside, _, length in rows)


def become(setpriv: str, uid: int, groups: tuple[int, ...] = ()) -> list[str]:
    """The command prefix that gives up root for ``uid`` for ever."""
    supplementary = ["--groups", ",".join(str(group) for group in groups)] if groups else ["--clear-groups"]
    identity = ["--reuid", str(uid), "--regid", str(uid), *supplementary]
    return [setpriv, *identity, "--inh-caps=-all", "--no-new-privs", "--"]


def _try_sandbox(bwrap: str, prefix: list[str]) -> str | None:
    """None when a sandbox can be made, else what the host said."""
    try:
        result = subprocess.run(
            [*prefix, bwrap, *_PROBE],
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
            env={},
            cwd="/",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if result.returncode == 0 else result.stderr.strip() or f"it ended with {result.returncode}"


def _find_sandbox(config: LocalEngineConfig, as_root: bool) -> tuple[str | None, str, str | None, list[Problem]]:
    """(bwrap, its version, setpriv, problems); bwrap is None when no sandbox can be made."""
    bwrap, setpriv = shutil.which("bwrap"), shutil.which("setpriv")
    if bwrap is None:
        return None, "", None, [problems.bwrap_missing()]
    version = _bwrap_version(bwrap)
    if version_tuple(version) < _BWRAP_MIN:
        return None, version, None, [problems.bwrap_too_old(version)]
    prefix: list[str] = []
    if as_root:
        if setpriv is None:
            return None, version, None, [problems.setpriv_missing()]
        uid_map = Path("/proc/self/uid_map").read_text("ascii")
        if not uid_is_mapped(uid_map, config.uid_base, config.uid_count):
            last = config.uid_base + config.uid_count - 1
            return None, version, None, [problems.uid_range_unmapped(config.uid_base, last)]
        prefix = become(setpriv, config.uid_base + config.uid_count - 1)
    refused = _try_sandbox(bwrap, prefix)
    if refused is not None:
        return None, version, None, [problems.sandbox_refused(refused)]
    return bwrap, version, setpriv, []


def _runtime_problems(config: LocalEngineConfig, own_uid: bool) -> list[Problem]:
    found = [problems.runtime_prefix_missing(str(path)) for path in config.runtime_prefixes if not path.is_dir()]
    if own_uid:
        needed = [*runtime.runtime_folders(config.runtime_prefixes), runtime.interpreter(), str(Path(__file__).parent)]
        found += [problems.runtime_unreadable(path) for path in needed if runtime.unreadable_to_others(path)]
    return found


def examine(config: LocalEngineConfig, engine_id: str) -> Host:
    """Some 30 ms: makes one empty sandbox and one control group, and removes them."""
    as_root = os.geteuid() == 0
    bwrap, version, setpriv, found = _find_sandbox(config, as_root)
    own_uid = as_root and bwrap is not None
    bash = shutil.which("bash")
    if bash is None:
        found.append(problems.bash_missing())
    if not as_root:
        found.append(problems.not_root())
    found += _runtime_problems(config, own_uid)
    cgroups = cgroup_detect.detect(config.cgroup_parent, engine_id)
    if cgroups.host is None:
        found.append(problems.cgroup_unavailable(cgroups.failure or ""))
    else:
        found += [problems.controller_missing(name) for name in ("memory", "cpu", "pids") if not cgroups.enforces(name)]
    level = IsolationLevel.none
    if bwrap is not None:
        full = own_uid and cgroups.enforces("memory") and cgroups.enforces("pids")
        level = IsolationLevel.sandbox if full else IsolationLevel.user_sandbox
    return Host(level, own_uid, bwrap, version, setpriv, bash or "/bin/bash", cgroups, tuple(found))
