"""Runs measurements one after the other, each in a process of its own, and writes what they print as one JSON file."""

import json
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def run(package: str, names: Sequence[str], target: Path) -> int:
    """``names`` are modules of ``package`` whose ``main()`` prints one JSON object; the command line may name some of them."""
    wanted = sys.argv[1:] or list(names)
    unknown = [name for name in wanted if name not in names]
    if unknown:
        print(f"no such measurement: {', '.join(unknown)}; there are {', '.join(names)}", file=sys.stderr)
        return 2
    results: dict[str, object] = {
        "machine": {"python": platform.python_version(), "cpu": _cpu(), "kernel": platform.release()}
    }
    for name in wanted:
        print(f"{name} …", flush=True)
        code = f"import {package}.{name} as m; m.main()"
        done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            print(done.stdout, file=sys.stderr)
            return 1
        results[name] = json.loads(done.stdout[done.stdout.index("{") :])
        print(json.dumps(results[name], indent=2, ensure_ascii=False), flush=True)
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    print(f"written to {target}")
    return 0


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
