"""Hosts that can give less than a full sandbox: an ordinary user, and no sandbox at all."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from engine_conformance import EngineConformance, Harness, pack, spec, wait_for
from local_engine import local_harness, needs_bwrap, needs_root
from tasks_conformance import TasksConformance, order

import zhisuan
from zhisuan.engines.contract import ExitReason, FileMount, IsolationLevel
from zhisuan.engines.errors import InvalidSpec, IsolationUnavailable
from zhisuan.engines.local import host
from zhisuan.engines.local.host import Host
from zhisuan.engines.local.problems import bwrap_missing
from zhisuan.engines.local.procusage import start_ticks
from zhisuan.workload.tasks import Tasks

NOBODY = 65534
SYSTEM_PYTHON = "/usr/bin/python3"

AS_NOBODY = """
import json, pathlib, sys, time
from zhisuan.base.clock import SystemClock
from zhisuan.engines.contract import RunSpec, ServicePort
from zhisuan.engines.local.config import LocalEngineConfig
from zhisuan.engines.local.engine import LocalEngine

home = pathlib.Path(sys.argv[1])
engine = LocalEngine(home / "engine", clock=SystemClock(), config=LocalEngineConfig(pids_max=40, runtime_dir=home / "run"))

def run(lease, script, stop=False, **more):
    engine.start(RunSpec(lease, 1, None, script, {}, 1000, 256, **more))
    while True:
        seen = engine.observe(lease, 1)
        log = engine.read_log(lease, 1, 0, 1 << 20).decode()
        if stop and "up" in log:
            engine.stop(lease, 1, 0)
        if seen.phase == "exited":
            return [seen.reason, seen.exit_code, seen.message, log, seen.cpu_seconds_milli, seen.memory_peak_bytes]
        time.sleep(0.02)

report = engine.preflight()
out = {"isolation": report.isolation, "limits": report.limits, "problems": [p.code for p in report.problems]}
out["plain"] = run("a", "id -u; ls -d %(root)s /root/.ssh " + str(home) + "/engine 2>&1; ls /proc | grep -c '^[0-9]'; echo x > made; "
                   "chmod 000 made; mkdir deep && touch deep/f && chmod 000 deep; x=$(head -c 20000000 /dev/zero | tr '\\\\0' a); exit 3")
out["stopped"] = run("b", "(setsid sleep 601 &); echo up; sleep 600", stop=True)
out["bomb"] = run("c", "b() { b | b & }; b; while (( SECONDS < 2 )); do :; done; echo lived; exit 0")
for lease, generation in engine.list():
    engine.remove(lease, generation)
out["left"] = sorted(str(path) for path in (home / "engine").rglob("*") if path.is_file() and path.parent.name != "locks")
print(json.dumps(out))
"""


@needs_bwrap
@needs_root
@pytest.mark.skipif(not Path(SYSTEM_PYTHON).exists(), reason="needs a Python that every user can read")
def test_an_ordinary_user_gets_a_sandbox_without_a_user_id_of_its_own() -> None:
    version = subprocess.run(
        [SYSTEM_PYTHON, "-c", "import sys; print(sys.version_info >= (3, 11))"],
        capture_output=True,
        text=True,
        check=True,
    )
    if version.stdout.strip() != "True":
        pytest.skip(f"{SYSTEM_PYTHON} is older than 3.11")
    source = Path(zhisuan.__file__).parents[1]
    if os.stat(source).st_mode & 0o005 != 0o005:
        pytest.skip(f"{source} is closed to other users")
    home = Path(tempfile.mkdtemp(prefix="zs-nobody-"))
    os.chown(home, NOBODY, NOBODY)
    try:
        result = subprocess.run(
            ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", "--",
             SYSTEM_PYTHON, "-c", AS_NOBODY % {"root": home.parent / "x"}, str(home)],
            capture_output=True, text=True, timeout=120, check=False, cwd="/",
            env={"PYTHONPATH": str(source), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        told = json.loads(result.stdout)
    finally:
        shutil.rmtree(home)
    assert told["isolation"] == "user_sandbox"
    assert told["limits"]["pids"] is True
    assert "not_root" in told["problems"]
    reason, code, _, log, cpu, memory = told["plain"]
    assert (reason, code) == ("failed", 3)
    assert log.splitlines()[0] == str(NOBODY)
    assert log.count("No such file or directory") == 3
    assert int(log.splitlines()[-1]) <= 8
    assert cpu > 0
    assert memory >= 20_000_000
    assert told["stopped"][0] == "cancelled"
    assert told["bomb"][0] == "completed"
    assert "lived" in told["bomb"][3]
    assert "Resource temporarily unavailable" in told["bomb"][3]
    assert all(name.endswith("keepalive") for name in told["left"])


def without_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    found = host.examine

    def examine(chosen: object, engine_id: str) -> Host:
        real = found(chosen, engine_id)  # type: ignore[arg-type]
        none = replace(real.cgroups, host=None, supervisors=None, failure="switched off for the test")
        return replace(
            real,
            isolation=IsolationLevel.none,
            own_uid=False,
            bwrap=None,
            cgroups=none,
            problems=(bwrap_missing(),),
        )

    monkeypatch.setattr("zhisuan.engines.local.engine.examine", examine)


def test_without_a_sandbox_tenants_work_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_sandbox(monkeypatch)
    with local_harness(tmp_path / "engine") as harness:
        assert harness.engine.preflight().isolation is IsolationLevel.none
        with pytest.raises(IsolationUnavailable, match="apt-get install bubblewrap"):
            harness.engine.start(spec("true"))
        assert harness.engine.list() == []


class TestUnisolated(EngineConformance):
    """The operator allowed it: the same contract, without walls and without control groups."""

    @pytest.fixture
    def harness(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
        without_sandbox(monkeypatch)
        with local_harness(tmp_path / "engine", allow_unisolated=True) as harness:
            yield harness

    def test_a_stop_ends_children_in_sessions_of_their_own(self, harness: Harness, tmp_path: Path) -> None:
        harness.engine.start(
            spec("trap '' TERM; setsid sh -c 'trap \"\" TERM; echo up $$; while :; do sleep 0.05; done'")
        )
        pid = int(harness.said("up ").split()[1])
        harness.engine.stop("lease_a", 1, 0)
        assert harness.ended().reason is ExitReason.cancelled
        wait_for(lambda: start_ticks(pid), lambda ticks: ticks is None)

    def test_a_place_outside_the_work_folder_is_refused(self, harness: Harness, tmp_path: Path) -> None:
        archive = pack(tmp_path / "a.tgz", {"f": "x"})
        with pytest.raises(InvalidSpec, match="outside the work folder"):
            harness.engine.start(spec("true", mounts=(FileMount(archive, "/data"),)))


class TestUnisolatedTasks(TasksConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
        without_sandbox(monkeypatch)
        with local_harness(tmp_path / "engine", allow_unisolated=True) as harness:
            yield harness

    def test_tasks_end_with_their_runner_however_it_ends(self, harness: Harness) -> None:
        harness.engine.start(order(Tasks(2, 2), "trap '' TERM; echo pid $$ runner $PPID; while :; do sleep 0.05; done"))
        said = wait_for(lambda: [line.split() for line in harness.log().splitlines()], lambda lines: len(lines) == 2)
        os.kill(int(said[0][5]), signal.SIGKILL)
        assert harness.ended().reason is ExitReason.failed
        for words in said:
            wait_for(lambda pid=words[3]: Path(f"/proc/{pid}").exists(), lambda there: not there)
