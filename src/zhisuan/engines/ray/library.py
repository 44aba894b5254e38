"""Puts the few modules that the nodes need into the shared folder, so that nothing has to be installed there."""

import hashlib
import os
import shutil
from pathlib import Path

_ENGINES = Path(__file__).parents[1]
_MODULES = ("local/records.py", "local/paths.py", "local/procusage.py", "local/cgroup.py")
_FOLDERS = ("local/shim", "local/sandbox", "ray/node")
_EMPTY = ("zhisuan", "zhisuan/engines", "zhisuan/engines/local", "zhisuan/engines/ray")


def _sources() -> dict[str, str]:
    """Path in the library → content. Annotations are made mere text, so that Python 3.9 takes today's way to write them."""
    files = [_ENGINES / name for name in _MODULES]
    files += [path for folder in _FOLDERS for path in sorted((_ENGINES / folder).glob("*.py"))]
    shipped = {
        f"zhisuan/engines/{path.relative_to(_ENGINES)}": f"from __future__ import annotations\n{path.read_text('utf-8')}"
        for path in files
    }
    return shipped | {f"{folder}/__init__.py": "" for folder in _EMPTY}


class Library:
    """The nodes' modules below ``root/lib/<digest>``; a new version of the platform gets a folder of its own, so that
    runs of the old one end with what they began with."""

    def __init__(self, root: Path) -> None:
        self._sources = _sources()
        digest = hashlib.sha256(repr(sorted(self._sources.items())).encode()).hexdigest()[:16]
        self.folder = root / "lib" / digest

    def provide(self) -> None:
        """Raises OSError. Complete or not there at all, whoever calls at the same time."""
        if self.folder.is_dir():
            return
        making = self.folder.with_name(f"{self.folder.name}.{os.urandom(4).hex()}.tmp")
        for name, content in self._sources.items():
            path = making / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, "utf-8")
        try:
            making.rename(self.folder)
        except OSError:
            shutil.rmtree(making)
            if not self.folder.is_dir():
                raise

    def code(self, module: str) -> str:
        """What ``python -c`` runs."""
        return (
            f"import sys; sys.path.insert(0, {str(self.folder)!r}); "
            f"from zhisuan.engines.ray.node.{module} import main; main()"
        )
