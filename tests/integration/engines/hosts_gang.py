"""What the fault tests of the hosts engine share: a gang that counts, an agent that keeps alive, a head of its own process."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from engine_conformance import spec
from gang_conformance import lines_of
from hosts_site import Site

from zhisuan.engines.contract import NodeGrant, RunSpec

COUNT = 'for i in $(seq 1 %d); do echo "line $i"; sleep 0.1; done'

HEAD = """
import time
from pathlib import Path
from zhisuan.base.clock import SystemClock
from zhisuan.engines.hosts.config import HostsEngineConfig
from zhisuan.engines.hosts.engine import HostsEngine
engine = HostsEngine(Path({root!r}), clock=SystemClock(), config=HostsEngineConfig.model_validate_json({config!r}))
engine.nodes()
print("up", flush=True)
while True:
    engine.keepalive()
    time.sleep(0.5)
"""


def gang(run: str, hosts: Sequence[str] = ("n1", "n2"), **changes: Any) -> RunSpec:
    return spec(run, nodes=tuple(NodeGrant(name) for name in hosts), **changes)


def counted(log: str, last: int, ranks: int = 2) -> bool:
    """Every rank's lines are there, once and in order."""
    wanted = [f"line {i}" for i in range(1, last + 1)]
    return all(lines_of(log, rank) == wanted for rank in range(ranks))


@contextmanager
def agent(site: Site) -> Iterator[None]:
    """Says that the site's agent lives, as it does."""
    over = threading.Event()

    def live() -> None:
        while not over.wait(0.3):
            with suppress(OSError):
                site.open().keepalive()

    thread = threading.Thread(target=live)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class OtherHead:
    """The site's head as a process of its own, to be killed."""

    def __init__(self, site: Site) -> None:
        site.open().close()
        code = HEAD.format(root=str(site.root / "head"), config=site.config.model_dump_json())
        self.process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=dict(os.environ))
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"up\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
