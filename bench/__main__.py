"""Runs every measurement, one after the other, and writes build/bench.json.

Usage: python -m bench [NAME …]   NAME of: launch rating overview gateway idle slurm ray many scale data
"""

import json
import platform
import subprocess
import sys
from pathlib import Path

NAMES = ("launch", "rating", "overview", "gateway", "idle", "slurm", "ray", "many", "scale", "data")


def main() -> int:
    wanted = sys.argv[1:] or list(NAMES)
    unknown = [name for name in wanted if name not in NAMES]
    if unknown:
        print(f"no such measurement: {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    results: dict[str, object] = {
        "machine": {"python": platform.python_version(), "cpu": _cpu(), "kernel": platform.release()}
    }
    for name in wanted:
        print(f"{name} …", flush=True)
        done = subprocess.run(
            [sys.executable, "-c", f"import bench.{name} as m; m.main()"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(done.stdout + done.stderr, file=sys.stderr)
            return 1
        results[name] = json.loads(done.stdout[done.stdout.index("{") :])
        print(json.dumps(results[name], indent=2, ensure_ascii=False), flush=True)
    target = Path("build/bench.json")
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    print(f"written to {target}")
    return 0


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    raise SystemExit(main())
