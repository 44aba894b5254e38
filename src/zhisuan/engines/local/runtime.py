"""Which folders of the host a run may read so that the platform's Python works inside, and in which order in PATH."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

_SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/sbin")
_SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


def interpreter() -> str:
    """The real executable of the Python that runs the platform, not a virtual environment's link to it."""
    return os.path.realpath(sys.executable)


def _link_hops(path: Path) -> list[Path]:
    """``path`` and every path its chain of links passes through."""
    hops = [path]
    while hops[-1].is_symlink() and len(hops) < 16:
        hops.append(hops[-1].parent / hops[-1].readlink())
    return hops


def runtime_folders(prefixes: Sequence[Path]) -> list[str]:
    """Absolute folders to show read-only at their own path: the prefixes that exist, and whatever interpreters their
    ``bin/python`` leads to. What the system folders hold anyway is left out, and so is what another one contains."""
    executables = [prefix / "bin" / "python" for prefix in prefixes] + [Path(interpreter())]
    hops = [Path(os.path.normpath(hop)).parent.parent for executable in executables for hop in _link_hops(executable)]
    hop_prefixes = [prefix for prefix in hops if any(prefix.glob("lib/python3*"))]
    wanted: list[str] = []
    for folder in (*prefixes, *hop_prefixes, Path(sys.base_prefix)):
        for path in (str(folder), os.path.realpath(folder)):
            if path != "/" and os.path.isdir(path) and not _covered(path, (*_SYSTEM, *wanted)):
                wanted.append(path)
    return wanted


def _covered(path: str, folders: Sequence[str]) -> bool:
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def search_path(prefixes: Sequence[Path]) -> str:
    """``PATH`` inside: the operator's prefixes first, the platform's own interpreter last."""
    own = [f"{prefix}/bin" for prefix in prefixes if (prefix / "bin").is_dir()]
    return ":".join(dict.fromkeys((*own, *_SYSTEM_PATH, os.path.dirname(interpreter()))))


def finds(program: str, prefixes: Sequence[Path]) -> bool:
    """Whether work finds ``program`` in its ``PATH``."""
    return shutil.which(program, path=search_path(prefixes)) is not None


def unreadable_to_others(path: str) -> bool:
    """True when the file or folder itself is closed to users who are neither its owner nor in its group."""
    mode = os.stat(path).st_mode
    return mode & 0o004 == 0 or (os.path.isdir(path) and mode & 0o001 == 0)
