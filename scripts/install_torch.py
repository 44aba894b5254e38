"""Install PyTorch when it is missing, and say beforehand how much that is."""

import importlib.util
import shutil
import subprocess
import sys


def main(version: str) -> int:
    if importlib.util.find_spec("torch") is not None:
        return 0
    free_gb = shutil.disk_usage(sys.prefix).free / 1e9
    print(
        f"installing PyTorch {version}: 0.2 to 0.9 GB where a CPU build is found, up to 5 GB with CUDA from the public index"
    )
    print(f"({free_gb:.0f} GB are free here; another version: make TORCH=x.y.z …)", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--progress-bar", "on", f"torch=={version}"], check=False
    )
    if done.returncode:
        print(
            f"PyTorch {version} could not be installed; name a version that your index has: make TORCH=x.y.z …",
            file=sys.stderr,
        )
    return done.returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
