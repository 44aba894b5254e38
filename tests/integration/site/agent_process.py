"""The real agent in a process of its own, to be killed and started again."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from control_server import TOKEN

from zhisuan.wire.site import LeaseOffer

SOURCE = Path(__file__).resolve().parents[3] / "src"


class AgentProcess:
    """``settings`` are fields of AgentConfig beside the ones that every test needs."""

    def __init__(self, folder: Path, server_url: str, **settings: Any) -> None:
        self.data_dir = folder / "site"
        self._config = folder / "agent.json"
        self._log = folder / "agent.log"
        fields: dict[str, Any] = {
            "data_dir": str(self.data_dir),
            "server_url": server_url,
            "join_token": TOKEN,
            "engine": {"allow_unisolated": True},
            "probe": {"enabled": False},
            "exit_with_parent": True,
        }
        self._config.write_text(json.dumps(fields | settings))
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def start(self) -> "AgentProcess":
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-X",
                    "dev",
                    "-W",
                    "ignore::DeprecationWarning",
                    "-m",
                    "zhisuan.site",
                    str(self._config),
                ],
                env={**os.environ, "PYTHONPATH": str(SOURCE)},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        self.starts += 1
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def kill(self) -> None:
        """As a power cut for the agent alone."""
        self._end(signal.SIGKILL)

    def stop(self, seconds: float = 60) -> int:
        return self._end(signal.SIGTERM, seconds)

    def wait(self, seconds: float = 60) -> int:
        assert self.process is not None
        return self.process.wait(seconds)

    def _end(self, number: int, seconds: float = 60) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)

    def wait_gone(self, key: tuple[str, int], seconds: float = 60) -> None:
        """Until the agent has forgotten an ended run, in its journal and with its engine."""
        run = self.data_dir / "engine" / "runs" / key[0] / str(key[1])
        deadline = time.monotonic() + seconds
        while run.exists() or self.journalled(key):
            assert time.monotonic() < deadline, f"{key} is still held"
            time.sleep(0.05)

    def journalled(self, key: tuple[str, int]) -> bool:
        with closing(sqlite3.connect(self.data_dir / "journal.db")) as journal:
            query = "SELECT 1 FROM lease WHERE lease_id = ? AND generation = ?"
            return journal.execute(query, key).fetchone() is not None

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()


def offer(
    lease_id: str,
    run: str,
    *,
    generation: int = 1,
    cpus_milli: int = 500,
    memory_mib: int = 256,
    artefacts: Sequence[str] = (),
    **fields: Any,
) -> LeaseOffer:
    return LeaseOffer.model_validate(
        {
            "lease_id": lease_id,
            "generation": generation,
            "workload_id": f"job_{lease_id}",
            "workload_name": "test",
            "nodes": [{
                "hostname": "here",
                "devices": [
                    {"key": "cpu", "kind": "cpu", "amount": cpus_milli},
                    {"key": "memory", "kind": "memory", "amount": memory_mib},
                ],
            }],
            "run": run,
            "artefacts": tuple(artefacts),
            **fields,
        }
    )
