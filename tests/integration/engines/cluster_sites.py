"""Clusters joined to a running platform as sites, and what tenants do there."""

import os
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from zhisuan.testing.platform import RunningPlatform

SYSTEM_PYTHON = Path("/usr/bin/python3")


def same_python() -> bool:
    """Whether the system's Python, which ordinary users may run, takes the packages of the one that runs the tests."""
    if not SYSTEM_PYTHON.exists():
        return False
    said = subprocess.run([SYSTEM_PYTHON, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True, check=True)
    import sys

    return said.stdout.split() == [str(part) for part in sys.version_info[:2]]


def lay_out_lab(folder: Path) -> None:
    """JupyterLab in a folder of its own, as a site's operator would install it: ``bin/jupyter-lab`` over the system's Python, with
    all that it needs of the packages here."""
    site, wanted, taken = folder / "site", ["jupyterlab", "ipykernel"], set[str]()
    while wanted:
        name = re.sub(r"[-_.]+", "-", wanted.pop()).lower()
        if name in taken:
            continue
        taken.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # of another platform
        for file in found.files or ():
            source = Path(str(found.locate_file(file)))
            if ".." not in file.parts and source.is_file():
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, site / file)
        wanted += [re.split(r"[\s;<>=!~\[(]", need, maxsplit=1)[0] for need in found.requires or () if "extra ==" not in need]
    packages = distribution("jupyterlab").locate_file("")
    share = Path(str(packages)).parents[2] / "share" / "jupyter"
    shutil.copytree(share, folder / "share" / "jupyter")
    for kernel in (folder / "share" / "jupyter" / "kernels").glob("*/kernel.json"):
        kernel.write_text(re.sub(r'"[^"]*/?python[0-9.]*"', f'"{SYSTEM_PYTHON}"', kernel.read_text(), count=1))
    start = folder / "bin" / "jupyter-lab"
    start.parent.mkdir()
    start.write_text(
        f'#!/bin/sh\nexport PYTHONPATH={site} JUPYTER_PATH={folder}/share/jupyter JUPYTERLAB_DIR={folder}/share/jupyter/lab\n'
        f'exec {SYSTEM_PYTHON} -m jupyterlab "$@"\n'
    )
    start.chmod(0o755)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o444))


class Tenant:
    def __init__(self, platform: RunningPlatform) -> None:
        self.platform = platform
        self.org_id, self.key = platform.new_tenant("200.00")

    def call(self, method: str, path: str, **more: Any) -> Any:
        return self.platform.call(method, path, self.key, **more)

    def launch(self, file: str) -> str:
        return str(self.call("POST", "/workloads", json={"file": file})["workload"]["id"])

    def output(self, workload: str) -> str:
        return str(self.call("GET", f"/workloads/{workload}/logs?limit=1000000")["text"])


def everything_below(folder: Path) -> dict[Path, bytes]:
    """All files that can be read, by name."""
    found = {}
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root) / name
            if path.is_file() and not path.is_symlink():
                try:
                    found[path] = path.read_bytes()
                except OSError:
                    continue
    return found
