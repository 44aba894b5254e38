"""Why a run on Slurm ended, from what its nodes wrote and what Slurm says."""

import pytest

from zhisuan.engines.contract import ExitReason
from zhisuan.engines.slurm.node_state import NodeState, RunState, read_node
from zhisuan.engines.slurm.verdict import decide, depends_on_slurm, from_slurm

BEGAN = "node 1000 n1 7\nsetup 2000\nsaid setup 0\nrun 3000\n"


def run(*events: str, first_to_end: int | None = None) -> RunState:
    return RunState(tuple(read_node(text, "") for text in events), 7, first_to_end, 9000)


def test_events_are_read_and_damaged_lines_passed_over() -> None:
    state = read_node(BEGAN + "said run 3\nrubbish\n\x00\nended 5000 120 4096 3\n", "use 4000 90 8192\n")
    assert state == NodeState("n1", 1000, 2000, "running", None, ("run", 3), None, 5000, 120, 8192, 4000, 3)


def test_the_first_start_counts_whatever_is_said_later() -> None:
    assert read_node(BEGAN + "setup 99999\nrun 99999\n", "").started_ms == 2000


@pytest.mark.parametrize(
    "text", ["", "node\n", "node x\n", "said\n", "said run\n", "ended 1 2\n", "ended\n", "ending\n"]
)
def test_half_written_events_say_nothing(text: str) -> None:
    state = read_node(text, "use 1")
    assert (state.started_ms, state.said, state.ending, state.ended_ms) == (None, None, None, None)


@pytest.mark.parametrize(
    ("events", "reason", "code"),
    [
        (BEGAN + "said run 0\n", ExitReason.completed, 0),
        (BEGAN + "said run 7\n", ExitReason.failed, 7),
        ("node 1 n1 7\nsetup 2\nsaid setup 4\n", ExitReason.setup_failed, 4),
        (BEGAN + "ending cancelled stopped on request\nsaid run 143\n", ExitReason.cancelled, 143),
        (BEGAN + "ending timed_out the time limit of 5 seconds was reached\n", ExitReason.timed_out, None),
        (BEGAN + "ending orphaned the agent is gone\n", ExitReason.orphaned, None),
        ("node 1 n1 7\nrefused bubblewrap is missing\n", ExitReason.start_failed, None),
        ("node 1 n1 7\nended 2 0 0 1\n", ExitReason.start_failed, None),
        (BEGAN + "ended 5000 0 0 137\n", ExitReason.failed, None),
    ],
)
def test_one_node(events: str, reason: ExitReason, code: int | None) -> None:
    verdict = decide(run(events), None, 256)
    assert (verdict.reason, verdict.exit_code) == (reason, code)


def test_the_node_that_ended_first_decides() -> None:
    ended = BEGAN + "ending gang another node ended first\nsaid run 143\n"
    verdict = decide(run(ended, BEGAN + "said run 9\n", first_to_end=1), None, 256)
    assert (verdict.reason, verdict.exit_code) == (ExitReason.failed, 9)
    assert "node 1" in (verdict.message or "")


def test_a_gang_is_complete_only_when_every_node_is() -> None:
    assert decide(run(BEGAN + "said run 0\n", BEGAN + "said run 0\n"), None, 256).reason is ExitReason.completed
    assert decide(run(BEGAN + "said run 0\n", BEGAN), None, 256).reason is ExitReason.failed


def test_memory_that_ran_out_is_known_from_slurm_alone() -> None:
    killed = run(BEGAN + "said run 137\n")
    assert depends_on_slurm(killed)
    assert decide(killed, "OUT_OF_MEMORY", 256).reason is ExitReason.out_of_memory
    assert "256 MiB" in (decide(killed, "OUT_OF_MEMORY", 256).message or "")
    assert decide(killed, "COMPLETED", 256).reason is ExitReason.failed
    assert not depends_on_slurm(run(BEGAN + "said run 1\n"))


def test_our_own_stop_comes_before_what_slurm_says() -> None:
    stopped = run(BEGAN + "ending cancelled stopped on request\nsaid run 137\n")
    assert not depends_on_slurm(stopped)
    assert decide(stopped, "OUT_OF_MEMORY", 256).reason is ExitReason.cancelled


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("NODE_FAIL", ExitReason.lost), ("PREEMPTED", ExitReason.lost), ("CANCELLED", ExitReason.lost), ("", ExitReason.lost),
        ("COMPLETED", ExitReason.lost), ("TIMEOUT", ExitReason.timed_out), ("OUT_OF_MEMORY", ExitReason.out_of_memory),
    ],
)  # fmt: skip
def test_a_job_that_left_no_record(state: str, reason: ExitReason) -> None:
    verdict = from_slurm(state)
    assert verdict.reason is reason
    assert verdict.message


@pytest.mark.parametrize("state", [None, "NODE_FAIL", "COMPLETED"])
def test_what_was_ended_because_slurm_gave_it_up_is_lost(state: str | None) -> None:
    """Whatever Slurm says by then; and work that had completed by itself meanwhile has completed."""
    ended = run(BEGAN + "ending cancelled Slurm has given up the job\nsaid run 143\n")
    found = decide(ended, state, 1024, "NODE_FAIL")
    assert found.reason is ExitReason.lost and "NODE_FAIL" in (found.message or "") and "was ended" in (found.message or "")
    assert decide(ended, state, 1024).reason is ExitReason.cancelled
    assert decide(run(BEGAN + "said run 0\n"), state, 1024, "NODE_FAIL").reason is ExitReason.completed
