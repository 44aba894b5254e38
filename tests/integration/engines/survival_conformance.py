"""What every engine driver must do for work that survives on purpose: its checkpoint folder, and a stop with grace and hook.

A driver's test module subclasses these as it does ``EngineConformance``.
"""

import time
from pathlib import Path

import pytest
from engine_conformance import Harness, pack, spec, wait_for

from zhisuan.engines.artifacts import iter_artifacts
from zhisuan.engines.contract import ExitReason, NodeGrant, RunPhase
from zhisuan.engines.errors import EngineUnavailable, InvalidSpec, UnknownRun

WAIT_FOR_STOP = "trap 'echo told; exit 0' TERM; echo ready; while :; do sleep 0.05; done"


def said(harness: Harness) -> list[str]:
    """The lines of the work's output, without what its shell says of its own ``sleep`` that SIGTERM has hit."""
    return sorted(line for line in harness.log().splitlines() if "Terminated" not in line)


def _answered(harness: Harness, generation: int) -> Path | None:
    """None while the hosts of a cluster have not come back to an engine that was opened again."""
    try:
        return harness.engine.checkpoint_dir("lease_a", generation)
    except EngineUnavailable:
        return None


def kept(harness: Harness, generation: int = 1) -> dict[str, bytes]:
    found = {}
    folder = wait_for(lambda: _answered(harness, generation), lambda one: one is not None)
    assert folder is not None
    for one in iter_artifacts(folder):
        with one.open() as file:
            found[one.path] = file.read()
    return found


class SurvivalConformance:
    def test_a_checkpoint_is_seen_while_the_work_runs_and_after_it(self, harness: Harness) -> None:
        script = (
            "cd $ZHISUAN_CHECKPOINT && ls | wc -l && mkdir deep && echo 1 > deep/step && ln -s /etc/shadow link && echo done"
        )
        harness.engine.start(spec(f"{script}; while [ ! -e ~/go ]; do sleep 0.05; done"))
        assert harness.said("done").split() == ["0", "done"]
        assert kept(harness) == {"deep/step": b"1\n"}
        harness.engine.stop("lease_a", 1, 0)
        harness.ended()
        harness.reopen()
        assert kept(harness) == {"deep/step": b"1\n"}

    def test_what_was_kept_is_there_before_setup_and_can_be_changed(self, harness: Harness, tmp_path: Path) -> None:
        archive = pack(tmp_path / "c.tgz", {"step": "41\n", "deep/weights": b"\x00\x01"})
        seen = harness.run(
            "echo $(( $(cat $ZHISUAN_CHECKPOINT/step) + 1 )) > $ZHISUAN_CHECKPOINT/step; rm $ZHISUAN_CHECKPOINT/deep/weights",
            setup="cat $ZHISUAN_CHECKPOINT/step",
            checkpoint_archive=archive,
        )
        assert seen.reason is ExitReason.completed
        assert harness.log() == "41\n"
        assert kept(harness) == {"step": b"42\n"}

    def test_a_checkpoint_archive_that_is_not_there_is_refused(self, harness: Harness, tmp_path: Path) -> None:
        with pytest.raises(InvalidSpec, match="archive"):
            harness.engine.start(spec("true", checkpoint_archive=tmp_path / "none.tgz"))
        with pytest.raises(UnknownRun):
            harness.engine.checkpoint_dir("lease_a", 1)

    def test_the_hook_runs_beside_work_that_is_asked_to_end(self, harness: Harness) -> None:
        hook = "echo hook $ZHISUAN_GRACE_SECONDS; echo saved > $ZHISUAN_CHECKPOINT/last; sleep 0.5; echo over $COLOUR"
        harness.engine.start(spec(WAIT_FOR_STOP, on_stop=hook, env={"COLOUR": "blue"}))
        harness.said("ready")
        harness.engine.stop("lease_a", 1, 45)
        assert harness.ended().reason is ExitReason.cancelled
        assert said(harness) == ["hook 45", "over blue", "ready", "told"]
        assert kept(harness) == {"last": b"saved\n"}

    def test_a_hook_that_does_not_end_is_killed_after_the_grace(self, harness: Harness) -> None:
        hook = "trap '' TERM; echo hooked; while :; do sleep 0.05; done"
        harness.engine.start(spec(WAIT_FOR_STOP, on_stop=hook))
        harness.said("ready")
        began = time.monotonic()
        harness.engine.stop("lease_a", 1, 2)
        assert harness.ended().reason is ExitReason.cancelled
        assert 1.5 <= time.monotonic() - began <= 20
        assert "hooked" in harness.log()

    def test_the_hook_is_not_run_by_work_that_ends_by_itself(self, harness: Harness) -> None:
        assert harness.run("echo work", on_stop="echo hook").reason is ExitReason.completed
        assert harness.log() == "work\n"

    def test_the_hook_is_run_when_the_time_is_used_up(self, harness: Harness) -> None:
        hook = "echo hook $ZHISUAN_GRACE_SECONDS"
        seen = harness.run(WAIT_FOR_STOP, on_stop=hook, max_seconds=1, grace_seconds=33)
        assert seen.reason is ExitReason.timed_out
        assert said(harness) == ["hook 33", "ready", "told"]


class GangSurvivalConformance:
    def test_every_node_gets_the_checkpoint_and_rank_0_keeps_it(
        self, harness: Harness, hostnames: tuple[str, ...], tmp_path: Path
    ) -> None:
        nodes = tuple(NodeGrant(name) for name in hostnames)
        archive = pack(tmp_path / "c.tgz", {"step": "7\n"})
        script = "cat $ZHISUAN_CHECKPOINT/step; echo $ZHISUAN_NODE_RANK > $ZHISUAN_CHECKPOINT/rank"
        harness.engine.start(spec(script, nodes=nodes, checkpoint_archive=archive))
        seen = wait_for(
            lambda: harness.engine.observe("lease_a", 1), lambda one: one.phase is RunPhase.exited
        )
        assert seen.reason is ExitReason.completed
        assert sorted(harness.log().splitlines()) == [f"[{rank}] 7" for rank in range(len(hostnames))]
        assert kept(harness) == {"step": b"7\n", "rank": b"0\n"}
