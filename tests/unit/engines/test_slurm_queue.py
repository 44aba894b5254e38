"""What squeue shows, kept for a moment: a Slurm that hangs, one that answers again, and numbers that are given out twice."""

from typing import Any

import pytest

from zhisuan.engines.errors import EngineUnavailable
from zhisuan.engines.slurm import parse
from zhisuan.engines.slurm.commands import Refused
from zhisuan.engines.slurm.queue import Queue


class Slurm:
    """Takes ``takes`` seconds for each question; ``away`` is what it says instead of an answer."""

    def __init__(self) -> None:
        self.now = 100.0
        self.takes = 0.0
        self.away: str | None = None
        self.rows: list[str] = []
        self.shown = ""

    def ask(self, read: Any, *_: str) -> Any:
        self.now += self.takes
        if self.away is not None:
            raise EngineUnavailable(self.away)
        return read("\n".join(self.rows))

    def call(self, *_: str) -> str:
        if not self.shown:
            raise Refused("slurm_load_jobs error: Invalid job id specified")
        return self.shown

    def pause(self, seconds: float) -> None:
        self.now += seconds


def row(job_id: int, token: str, state: str = "RUNNING") -> str:
    return f"{job_id}|{state}|{token}|N/A|N/A|N/A|0:01|1|None"


@pytest.fixture
def slurm() -> Slurm:
    return Slurm()


@pytest.fixture
def queue(slurm: Slurm) -> Queue:
    asked: Any = slurm
    return Queue(asked, "zhisuan-x", 1.0, lambda: slurm.now, slurm.pause)


def test_the_rows_of_the_tests_are_squeues_own() -> None:
    assert parse.queue(row(7, "abc"))[0].token == "abc"


def test_a_slurm_that_hangs_is_asked_half_of_the_time(slurm: Slurm, queue: Queue) -> None:
    slurm.away, slurm.takes = "it hangs", 20.0
    for _ in range(3):
        with pytest.raises(EngineUnavailable, match="it hangs"):
            queue.view()
    assert queue.calls == 1
    slurm.now += 20.0
    with pytest.raises(EngineUnavailable):
        queue.view()
    assert queue.calls == 2


def test_what_is_not_there_is_believed_only_of_a_slurm_that_has_answered_for_a_while(slurm: Slurm, queue: Queue) -> None:
    began = slurm.now
    assert queue.settled_view(5.0).asked_at >= began + 5.0
    calls, slurm.now = queue.calls, slurm.now + 0.1
    queue.settled_view(5.0)
    assert queue.calls == calls + 1, "it has answered long enough"
    slurm.away = "gone"
    slurm.now += 2.0
    with pytest.raises(EngineUnavailable):
        queue.settled_view(5.0)
    slurm.away = None
    slurm.now += 2.0
    back = slurm.now
    assert queue.settled_view(5.0).asked_at >= back + 5.0


def test_a_number_with_another_token_is_another_job(slurm: Slurm, queue: Queue) -> None:
    slurm.rows = [row(7, "new")]
    view = queue.view()
    assert view.job(7, "old") is None and view.job(8, "new") is None
    found = view.job(7, "new")
    assert found is not None and found == view.job(7, None)
    slurm.shown = "JobId=7 JobName=zhisuan-x Comment=new  StdErr=/dev/null"
    assert queue.is_forgotten(7, "old") and not queue.is_forgotten(7, "new") and not queue.is_forgotten(7, None)
    slurm.shown = ""
    assert queue.is_forgotten(7, "new")
