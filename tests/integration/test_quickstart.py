"""The quickstart itself: a real model trained, served and billed, though the command is killed on the way."""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from zhisuan.app.quickstart.statement import STATIONS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed"),
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed (make torch)"),
]


class Quickstart:
    """The command on one data directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said = ""

    def run(self, kill_at: str | None = None) -> int:
        """Until it ends, or until it has said ``kill_at`` and is killed with SIGKILL; how it ended."""
        command = [sys.executable, "-m", "zhisuan.cli", "quickstart", "--data-dir", str(self.folder)]
        environment = {**os.environ, "ZHISUAN_LANG": "en", "COLUMNS": "200"}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True
        )
        self.said = ""
        assert process.stdout is not None
        try:
            for line in process.stdout:
                self.said += line
                if kill_at is not None and kill_at in line:
                    process.kill()
            return process.wait(60)
        finally:
            process.kill()
            process.stdout.close()

    def report(self) -> dict[str, Any]:
        data: dict[str, Any] = orjson.loads((self.folder / "report.json").read_bytes())
        return data

    def set_unfinished(self) -> None:
        """As if it had been killed after its last call and before it wrote down that it is done."""
        path = self.folder / "quickstart.json"
        path.write_bytes(orjson.dumps({**orjson.loads(path.read_bytes()), "done": False}))

    def end_database(self) -> None:
        """A killed run leaves its database to the next one; one that failed has no next."""
        for pid_file in self.folder.rglob("postmaster.pid"):
            with contextlib.suppress(psutil.Error, ValueError):
                psutil.Process(int(pid_file.read_text().split()[0])).send_signal(signal.SIGQUIT)


@pytest.fixture
def quickstart(tmp_path: Path) -> Iterator[Quickstart]:
    for folder in (tmp_path, tmp_path.parent):
        folder.chmod(0o755)
    made = Quickstart(tmp_path / "data")
    yield made
    made.end_database()


def test_a_killed_quickstart_goes_on_and_ends_with_an_account_that_agrees(quickstart: Quickstart) -> None:
    assert quickstart.run(kill_at="3 Workload, placement") == -signal.SIGKILL, quickstart.said
    assert quickstart.run(kill_at="ready") == -signal.SIGKILL, quickstart.said
    assert "an interrupted run goes on" in quickstart.said
    assert quickstart.run() == 0, quickstart.said
    report = quickstart.report()
    assert all(report[station] for station in STATIONS)
    assert all(check["ok"] for check in report["checks"])
    trained = report["execution"]["evaluation"]["trained"]
    assert trained["exact"] * 100 >= trained["asked"] * 95
    assert [x["generation"] for x in report["lease"]] == [1, 1], "trained once and served once, whoever was killed"
    page = (quickstart.folder / "report.html").read_text(encoding="utf-8")
    assert report["placement"]["job"]["candidates"][0]["site_name"] in page and report["invoice"][0]["id"] in page

    quickstart.set_unfinished()
    assert quickstart.run() == 0, quickstart.said
    assert quickstart.report()["workload"] == report["workload"]
    assert quickstart.report()["charge"]["cash_ucny"] == report["charge"]["cash_ucny"]
