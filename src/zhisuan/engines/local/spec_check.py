"""Refuses a run specification that this engine cannot carry out, before anything of it exists."""

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

from zhisuan.engines.contract import RunSpec
from zhisuan.engines.errors import InvalidSpec

WORK = "/work"
ARTIFACTS = "/artifacts"
CHECKPOINT = "/checkpoint"

MEMORY_MIB_MIN = 32
"""The sandbox's own first processes need about 12 MiB."""
CPUS_MILLI_MIN = 10
"""The kernel's smallest quota, 1 ms in a period of 100 ms (``scheduler/sched-bwc.rst``)."""
_ENV_ENTRY_BYTES_MAX = 128 * 1024 - 1
"""``MAX_ARG_STRLEN`` in execve(2), less the final zero."""
_ENV_BYTES_MAX = 1 << 20

_LEASE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,95}")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/proc",
    "/dev",
    "/sys",
    "/run",
    ARTIFACTS,
    CHECKPOINT,
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where an archive goes: ``below`` (relative, ``""`` for itself) the folder ``base`` as seen inside."""

    base: str
    below: str


def check_key(lease_id: str, generation: int) -> None:
    """Lease ids become folder and group names, so they are kept to letters, digits, ``-`` and ``_``."""
    if not _LEASE_ID.fullmatch(lease_id):
        raise InvalidSpec(f"lease id {lease_id!r} must be 1 to 96 letters, digits, '-' or '_', the first no sign")
    if generation < 0:
        raise InvalidSpec(f"generation {generation} of lease {lease_id} is negative")


def check(spec: RunSpec, runtime_folders: Sequence[str], *, isolated: bool) -> None:
    """Raises InvalidSpec naming the field."""
    check_key(spec.lease_id, spec.generation)
    if len(spec.nodes) != 1:
        raise InvalidSpec(f"nodes: this engine runs on one host; {len(spec.nodes)} nodes were asked for")
    if not spec.run.strip():
        raise InvalidSpec("run is empty; say what to run")
    for name, script in (("setup", spec.setup), ("run", spec.run), ("on_stop", spec.on_stop)):
        if script is not None and "\0" in script:
            raise InvalidSpec(f"{name} holds a zero byte, which no shell accepts")
    _check_env(spec)
    if spec.cpus_milli < CPUS_MILLI_MIN:
        raise InvalidSpec(f"cpus_milli is {spec.cpus_milli}; the least is {CPUS_MILLI_MIN}")
    if spec.memory_mib < MEMORY_MIB_MIN:
        raise InvalidSpec(f"memory_mib is {spec.memory_mib}; the least is {MEMORY_MIB_MIN}")
    if spec.max_seconds is not None and spec.max_seconds < 1:
        raise InvalidSpec(f"max_seconds is {spec.max_seconds}; leave it out or give at least 1")
    if spec.service is not None and not 1 <= spec.service.port <= 65535:
        raise InvalidSpec(f"service port {spec.service.port} is not between 1 and 65535")
    for archive in (*(mount.archive for mount in spec.mounts), spec.workdir_archive, spec.checkpoint_archive):
        if archive is not None and not archive.is_file():
            raise InvalidSpec(f"archive {archive} does not exist on this host")
    for folder in spec.folders:
        if not folder.path.is_dir():
            raise InvalidSpec(f"folder {folder.path} does not exist on this host")
    for where in (*(mount.target for mount in spec.mounts), *(folder.target for folder in spec.folders)):
        target(where, runtime_folders, isolated=isolated)


def _check_env(spec: RunSpec) -> None:
    total = 0
    for name, value in spec.env.items():
        if not _ENV_NAME.fullmatch(name):
            raise InvalidSpec(f"environment variable {name!r} is not a name (letters, digits, '_', not a digit first)")
        size = len(f"{name}={value}".encode("utf-8", "surrogateescape"))
        if "\0" in value or size > _ENV_ENTRY_BYTES_MAX:
            raise InvalidSpec(
                f"environment variable {name} holds a zero byte or more than {_ENV_ENTRY_BYTES_MAX} bytes"
            )
        total += size
    if total > _ENV_BYTES_MAX:
        raise InvalidSpec(f"the environment is {total} bytes; at most {_ENV_BYTES_MAX} fit, put the rest into a file")


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def target(text: str, runtime_folders: Sequence[str], *, isolated: bool) -> Target:
    """The place a mount's ``target`` means. Raises InvalidSpec for one that leads out or covers the system."""
    path = posixpath.join(WORK, text[1:].lstrip("/") if text == "~" or text.startswith("~/") else text)
    if "\0" in path or "\t" in path or "\n" in path or ".." in path.split("/"):
        raise InvalidSpec(f"mount target {text!r} holds '..', a tab or a line end; name the place plainly")
    path = "/" + posixpath.normpath(path).lstrip("/")
    if _is_below(path, WORK):
        return Target(WORK, path[len(WORK) :].lstrip("/"))
    if not isolated:
        raise InvalidSpec(f"mount target {text!r} lies outside the work folder, which needs a sandbox this host lacks")
    if path in ("/", "/var", "/tmp") or any(_is_below(path, folder) for folder in (*_RESERVED, *runtime_folders)):  # noqa: S108
        raise InvalidSpec(f"mount target {text!r} would cover a part of the system; choose a folder of your own")
    return Target(path, "")
