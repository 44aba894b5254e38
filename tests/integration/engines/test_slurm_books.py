"""Slurm's own account from a real slurmdbd on a real MariaDB, and what is known while it does not answer."""

import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from engine_conformance import Harness, spec, wait_for
from slurm_cluster import SlurmCluster, Wrappers, needs_bwrap, needs_slurm, slurm_cluster, slurm_harness

from zhisuan.engines.contract import NodeGrant
from zhisuan.engines.errors import EngineUnavailable

needs_database = pytest.mark.skipif(
    os.geteuid() != 0 and (shutil.which("slurmdbd") is None or shutil.which("mariadbd") is None),
    reason="slurmdbd and MariaDB are not installed",
)
pytestmark = [needs_slurm, needs_bwrap, needs_database, pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[SlurmCluster]:
    with slurm_cluster(ACCT="dbd") as cluster:
        yield cluster


@pytest.fixture
def harness(cluster: SlurmCluster) -> Iterator[Harness]:
    with slurm_harness(cluster) as harness:
        yield harness


def test_sacct_counts_what_we_saw_processor_time_and_nodes_too(harness: Harness) -> None:
    gang = (NodeGrant("n1"), NodeGrant("n2"))
    harness.engine.start(spec("timeout 3 bash -c 'while :; do :; done' || :", lease_id="busy"))
    harness.engine.start(spec("sleep 2", lease_id="gang", nodes=gang))
    harness.engine.start(spec("exit 3", lease_id="failed"))
    keys = [(lease, 1) for lease in ("busy", "gang", "failed")]
    seen = {key: harness.ended(*key) for key in keys}
    harness.reopen()
    found = wait_for(lambda: harness.engine.accounts(keys), lambda found: found.keys() == set(keys))
    assert {account.source for account in found.values()} == {"sacct"}
    assert [found[key].state for key in keys] == [
        "COMPLETED",
        "COMPLETED",
        "COMPLETED",
    ]  # the scripts take the exit code
    assert [found[key].nodes for key in keys] == [1, 2, 1]
    for key in keys:
        started, ended = seen[key].started_at, seen[key].ended_at
        assert started is not None
        assert ended is not None
        second = timedelta(seconds=1)
        assert found[key].started_at <= started + second
        assert ended - second <= found[key].ended_at <= ended + 5 * second
    busy = found["busy", 1].cpu_milliseconds
    assert busy is not None
    assert busy >= 500
    assert abs(busy - seen["busy", 1].cpu_seconds_milli) <= 1500


def test_one_question_is_asked_for_all_runs(harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrappers = Wrappers(tmp_path / "bin", monkeypatch)
    asked = tmp_path / "asked"
    wrappers.put("sacct", f'echo x >>{asked}; exec REAL "$@"')
    keys = [(f"lease_{number}", 1) for number in range(5)]
    for lease, _ in keys:
        harness.engine.start(spec("true", lease_id=lease, memory_mib=64))
    for key in keys:
        harness.ended(*key)
    wait_for(lambda: harness.engine.accounts(keys), lambda found: found.keys() == set(keys))
    before = len(asked.read_text().split())
    assert harness.engine.accounts(keys).keys() == set(keys)
    assert len(asked.read_text().split()) == before + 1


@pytest.mark.parametrize(
    "script", ["exit 1", "echo hello", "echo 'slurm_persist_conn_open_without_init: failed' >&2; exit 1"]
)
def test_without_an_answer_nothing_is_made_up(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    harness.run("true")
    wrappers = Wrappers(tmp_path / "bin", monkeypatch)
    wrappers.put("sacct", script)
    with pytest.raises(EngineUnavailable, match="sacct"):
        harness.engine.accounts([("lease_a", 1)])
    wrappers.away("sacct")
    wait_for(lambda: harness.engine.accounts([("lease_a", 1)]), lambda found: len(found) == 1)
