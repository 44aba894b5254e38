"""Of many short jobs nothing piles up: what stays of each is what is kept on purpose."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from zhisuan.testing.short_jobs import (
    Rig,
    engine_entries,
    journal_rows,
    local_rig,
    memory_kib,
    settle,
    table_rows,
    through,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
JOBS = 25
# One charge a job at most, the books and the history of each; nothing that grows faster than the jobs.
ROWS_A_JOB_MAX = {
    "base_outbox": 16, "workload_event": 8, "ledger_entry": 8, "execution_allocation": 2, "execution_log": 1, "usage_window": 2,
}  # fmt: skip
OTHERS_A_JOB_MAX = 2


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with local_rig(tmp_path) as rig:
        yield rig


def test_what_stays_of_short_jobs_is_kept_on_purpose(rig: Rig) -> None:
    _, key = rig.platform.new_tenant("1000.00")
    through(rig, key, 10)
    settle(rig)
    agent = psutil.Process(rig.agent.pid)
    rows, memory, files, threads = table_rows(rig), memory_kib(rig.agent), agent.num_fds(), agent.num_threads()
    through(rig, key, JOBS)
    settle(rig)
    journal = journal_rows(rig)
    # The final report of each is kept for 90 days, so that it can never run again.
    assert journal == {"lease": 0, "usage_window": 0, "artefact": 0, "account": 0, "past": JOBS + 10}
    assert engine_entries(rig) == 0
    assert agent.num_fds() <= files + 8
    assert agent.num_threads() <= threads + 8
    assert memory_kib(rig.agent) - memory <= JOBS * 64 + 8192
    grown = {name: (now - rows[name]) / JOBS for name, now in table_rows(rig).items()}
    too_many = {n: g for n, g in grown.items() if g > ROWS_A_JOB_MAX.get(n, OTHERS_A_JOB_MAX)}
    assert too_many == {}
    assert grown["execution_lease"] == grown["usage_engine_account"] == 1
