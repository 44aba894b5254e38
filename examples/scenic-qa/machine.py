"""What the training and the evaluation must know of the machine. Import it before PyTorch and transformers."""

from __future__ import annotations

import os
import time

# When this program began, on the monotonic clock: importing PyTorch and transformers counts as its time too.
STARTED_SECONDS = time.monotonic()

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
# Threads that wait by spinning make a step several times slower as soon as another process wants one of the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def cpu_threads() -> int:
    """Threads for PyTorch: $ZHISUAN_CPUS if set, else the cores this process may use; at most 4, because a model
    this small gains nothing from more."""
    granted = os.environ.get("ZHISUAN_CPUS")
    usable = int(float(granted)) if granted else len(os.sched_getaffinity(0))
    return max(1, min(4, usable))
