"""What an order of many tasks must do on every engine, which know nothing of tasks: they run the platform's script.

A driver's test module subclasses these as it does ``EngineConformance``.
"""

import csv
import io
from pathlib import Path
from typing import Any

from engine_conformance import Harness, pack, spec, wait_for
from gang_conformance import lines_of
from survival_conformance import kept

from zhisuan.engines.artifacts import iter_artifacts
from zhisuan.engines.contract import ExitReason, NodeGrant, RunSpec
from zhisuan.workload.tasks import TABLE, Tasks, script

RECORD = ".zhisuan-tasks/00000.csv"

COUNTS_ITS_SIGNALS = """import signal, sys, time
told = []
signal.signal(signal.SIGTERM, lambda *_: (told.append(1), print("told")))
print("ready")
while not told:
    time.sleep(0.02)
time.sleep(0.3)
sys.exit(3)"""


def order(tasks: Tasks, run: str, hostnames: tuple[str, ...] = (), **changes: Any) -> RunSpec:
    text = script(tasks, run, share_threads=True, nodes=len(hostnames) or 1, token="zsw_of_this_lease")
    nodes = {"nodes": tuple(NodeGrant(name) for name in hostnames)} if hostnames else {}
    return spec(text, **{**nodes, **changes})


def table(harness: Harness, generation: int = 1) -> dict[int, tuple[int, int]]:
    """Tries and exit status of each task."""
    for one in iter_artifacts(harness.engine.artifacts_dir("lease_a", generation)):
        if one.path == TABLE:
            with one.open() as file:
                return statuses(file.read())
    return {}


def statuses(data: bytes) -> dict[int, tuple[int, int]]:
    rows = csv.DictReader(io.StringIO(data.decode("ascii")))
    return {int(row["index"]): (int(row["tries"]), int(row["exit_status"])) for row in rows}


class TasksConformance:
    def test_all_tasks_run_and_are_told_of(self, harness: Harness) -> None:
        run = "cat; echo index $ZHISUAN_TASK_INDEX of $ZHISUAN_TASK_COUNT, $(cat shared); [ $ZHISUAN_TASK_INDEX != 7 ]"
        harness.engine.start(order(Tasks(50, 4, 1), run, setup="echo once >> shared; echo prepared"))
        seen = harness.ended()
        assert (seen.reason, seen.exit_code) == (ExitReason.failed, 1)
        assert seen.progress is not None
        assert (seen.progress.fraction_ppm, seen.progress.message) == (1_000_000, "50 of 50 tasks done, 1 failed")
        lines = harness.log().splitlines()
        assert lines.count("prepared") == 1
        for index in range(50):
            assert lines.count(f"[task {index}] index {index} of 50, once") == (2 if index == 7 else 1)
        assert "[zhisuan] Task 7 failed: exit status 1, after 2 tries." in lines
        assert table(harness) == {i: (2, 1) if i == 7 else (1, 0) for i in range(50)}

    def test_a_stop_reaches_the_tasks_once_and_the_rest_goes_on_elsewhere(self, harness: Harness, tmp_path: Path) -> None:
        run = f"[ $ZHISUAN_TASK_INDEX -lt 6 ] || exec python3 -u -c '{COUNTS_ITS_SIGNALS}'"
        harness.engine.start(order(Tasks(12, 4), run, on_stop="echo hook"))
        wait_for(lambda: kept(harness).get(RECORD, b"").count(b"\n"), lambda lines: lines == 7)
        wait_for(lambda: harness.log().count("ready"), lambda ready: ready == 4)
        harness.engine.stop("lease_a", 1, 20)
        seen = harness.ended()
        assert seen.reason is ExitReason.cancelled
        told = [line for line in harness.log().splitlines() if line.endswith("told")]
        assert sorted(told) == [f"[task {index}] told" for index in range(6, 10)]
        assert "hook" in harness.log().splitlines()
        record = kept(harness)[RECORD]
        assert statuses(record) == table(harness) == dict.fromkeys(range(6), (1, 0))
        archive = pack(tmp_path / "record.tgz", {RECORD: record})
        again = order(Tasks(12, 2), "echo ran $ZHISUAN_TASK_INDEX", generation=2, checkpoint_archive=archive)
        harness.engine.start(again)
        assert harness.ended("lease_a", 2).reason is ExitReason.completed
        ran = [line for line in harness.log("lease_a", 2).splitlines() if "ran" in line.split()]
        assert sorted(ran) == sorted(f"[task {i}] ran {i}" for i in range(6, 12))
        assert table(harness, 2) == dict.fromkeys(range(12), (1, 0))

    def test_tasks_that_hear_nothing_end_with_the_grace(self, harness: Harness) -> None:
        harness.engine.start(order(Tasks(9, 3), "trap '' TERM; [ $ZHISUAN_TASK_INDEX -lt 3 ] || while :; do sleep 0.05; done"))
        wait_for(lambda: kept(harness).get(RECORD, b"").count(b"\n"), lambda lines: lines == 4)
        harness.engine.stop("lease_a", 1, 1)
        assert harness.ended().reason is ExitReason.cancelled
        assert statuses(kept(harness)[RECORD]) == dict.fromkeys(range(3), (1, 0)), "it was written before the end came"

    def test_a_task_that_kills_all_that_it_can_reach_fails_alone_or_with_the_order(self, harness: Harness) -> None:
        harness.engine.start(order(Tasks(6, 2), "[ $ZHISUAN_TASK_INDEX != 2 ] || kill -KILL 0"))
        assert harness.ended().exit_code == 1
        assert table(harness) == {i: (1, 137 if i == 2 else 0) for i in range(6)}


class GangTasksConformance:
    def test_the_nodes_share_the_tasks(self, harness: Harness, hostnames: tuple[str, ...]) -> None:
        harness.engine.start(order(Tasks(20, 2), "echo mine; [ $ZHISUAN_TASK_INDEX != 1 ]; ", hostnames))
        seen = harness.ended()
        lines = harness.log()
        assert (seen.reason, seen.exit_code) == (ExitReason.failed, 1), lines
        for rank in range(2):
            mine = [line for line in lines_of(lines, rank) if line.endswith("mine")]
            assert sorted(mine) == sorted(f"[task {i}] mine" for i in range(rank, 20, 2))
        assert table(harness) == {i: (1, int(i == 1)) for i in range(20)}
        assert "[zhisuan] Task 1 failed: exit status 1, after 1 try." in lines_of(lines, 0)
        assert seen.progress is not None
        assert seen.progress.message == "20 of 20 tasks done, 1 failed"
