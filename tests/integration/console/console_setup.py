"""Starting a console over the test double."""

import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from shutil import which

import httpx

CHROMIUM = which("chromium") or which("chromium-browser") or which("google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip
START_SECONDS = 120.0


@dataclass(frozen=True)
class Served:
    """A console that answers at ``url``; ``log`` is what its process wrote, ``storage`` what it keeps of browsers."""

    url: str
    log: Path
    storage: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            httpx.get(url, trust_env=False)
            return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise RuntimeError(f"the console did not start: {log.read_text()}")


def elsewhere(url: str, home: str) -> bool:
    """Whether a request leaves the console's own address."""
    return not url.startswith((home, home.replace("http", "ws"), "data:", "blob:"))
