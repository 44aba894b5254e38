"""Slurm's own account, read from what sacct and squeue of Slurm 22.05 printed."""

from datetime import UTC, datetime

import pytest

from zhisuan.engines.slurm import parse
from zhisuan.engines.slurm.accounting import from_queue, read_sacct
from zhisuan.engines.slurm.parse import Nonsense

SACCT = """\
1|FAILED|1795779877|1795779879|2|00:00.003|1
1.batch|FAILED|1795779877|1795779879|2|00:00.003|1
3|COMPLETED|1795779877|1795783499|3622|1-02:03:04|2
3.extern|COMPLETED|1795779877|1795783499|3622|00:00:00|2
4|CANCELLED by 0|1795779877|1795779878|1|00:00.307|1
5|RUNNING|1795779877|Unknown|1|00:00:00|1
6|CANCELLED by 0|None|1795779878|0|00:00:00|1
7|NODE_FAIL|1795779877|1795779890|13|00:00:00|1
"""


def test_sacct_tells_of_ended_jobs_that_began() -> None:
    found = read_sacct(SACCT)
    assert found.keys() == {1, 3, 4, 7}
    assert (found[1].state, found[1].elapsed_milliseconds, found[1].cpu_milliseconds) == ("FAILED", 2000, 3)
    assert (found[3].nodes, found[3].cpu_milliseconds) == (2, 93_784_000)
    assert (found[4].state, found[4].cpu_milliseconds) == ("CANCELLED", 307)
    assert found[3].started_at == datetime.fromtimestamp(1795779877, UTC)
    assert {account.source for account in found.values()} == {"sacct"}


@pytest.mark.parametrize(
    "line", ["hello", "1|COMPLETED|1|2|3|0:00", "x|COMPLETED|1|2|3|00:00|1", "1|COMPLETED|1|2|soon|00:00|1"]
)
def test_what_sacct_never_prints_is_nonsense(line: str) -> None:
    with pytest.raises(Nonsense):
        read_sacct(line)


def test_squeue_tells_of_ended_jobs_that_began() -> None:
    lines = (
        "7|PENDING|ab12|N/A|1795779999|1795780999|0:00|1|Resources\n8|RUNNING|ab13|N/A|1795779877|1795780999|0:10|1|None\n"
        "9|COMPLETED|cd34|3|1795779877|1795779939|1:02|2|None\n10|CANCELLED|ab14|N/A|N/A|1795779939|0:00|1|None\n"
    )
    waiting, running, ended, never = parse.queue(lines)
    assert [from_queue(job) for job in (waiting, running, never)] == [None, None, None]
    account = from_queue(ended)
    assert account is not None
    assert (account.source, account.reference, account.elapsed_milliseconds, account.nodes) == (
        "squeue",
        "9",
        62_000,
        2,
    )
    assert account.cpu_milliseconds is None


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("00:00.003", 3), ("00:00:00", 0), ("01:02.5", 62_500), ("1-00:00:01", 86_401_000), ("INVALID", None), ("", None)],
)
def test_processor_time_is_read_to_the_millisecond(text: str, milliseconds: int | None) -> None:
    assert parse.cpu_milliseconds(text) == milliseconds
