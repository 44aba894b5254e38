"""Slurm's own account of jobs: from slurmdbd by ``sacct`` where the cluster has one, else from what ``squeue`` remembers.

``sacct`` knows processor time and forgets nothing; ``squeue`` knows a job for ``MinJobAge`` seconds after its end. Both count whole
seconds from the allocation to the last process. One call answers for all runs.
"""

import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta

from zhisuan.engines.contract import EngineAccount
from zhisuan.engines.slurm import parse
from zhisuan.engines.slurm.commands import Slurm
from zhisuan.engines.slurm.parse import Nonsense, QueuedJob
from zhisuan.engines.slurm.queue import ENDED

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = "JobIDRaw,State,Start,End,ElapsedRaw,TotalCPU,NNodes"
_CLOCKS_DIFFER = timedelta(minutes=1)
_JOBS_AT_ONCE = 500
"""A command line has an end."""


def from_queue(job: QueuedJob) -> EngineAccount | None:
    """None while the job lives, and when it was never started."""
    if job.state not in ENDED or job.started is None or job.ended is None:
        return None
    return _account("squeue", job.job_id, job.state, job.started, job.ended, job.elapsed_seconds, None, job.nodes)


def from_database(slurm: Slurm, job_ids: Collection[int]) -> dict[int, EngineAccount]:
    """Of those that slurmdbd shows as ended. Raises EngineUnavailable."""
    found: dict[int, EngineAccount] = {}
    wanted = sorted(job_ids)
    for first in range(0, len(wanted), _JOBS_AT_ONCE):
        some = wanted[first : first + _JOBS_AT_ONCE]
        words = ("sacct", "--noheader", "--parsable2", f"--jobs={','.join(map(str, some))}", f"--format={_COLUMNS}")
        found |= slurm.ask(read_sacct, *words)
    return {job_id: one for job_id, one in found.items() if job_id in job_ids}


def read_sacct(output: str) -> dict[int, EngineAccount]:
    """The lines of jobs, not of their steps, by job. Raises Nonsense."""
    return {int(one.reference): one for line in output.splitlines() if line for one in _read_line(line)}


def _read_line(line: str) -> Iterator[EngineAccount]:
    parts = line.split("|")
    if len(parts) != 7 or not re.fullmatch(r"\d+(\.\S+)?", parts[0]):
        raise Nonsense(line[:200])
    name, state, start, end, elapsed, cpu, nodes = parts
    state = state.split(" ")[0]
    if "." in name or state not in ENDED or not (start.isdigit() and end.isdigit()):
        return
    yield _account(
        "sacct", int(name), state, int(start), int(end), parse.number(elapsed), parse.cpu_milliseconds(cpu), parse.number(nodes)
    )  # fmt: skip


def _account(
    source: str, job_id: int, state: str, start: int, end: int, elapsed: int, cpu_ms: int | None, nodes: int | None
) -> EngineAccount:
    return EngineAccount(
        source=source,
        reference=str(job_id),
        state=state,
        started_at=_EPOCH + timedelta(seconds=start),
        ended_at=_EPOCH + timedelta(seconds=end),
        elapsed_milliseconds=elapsed * 1000,
        cpu_milliseconds=cpu_ms,
        nodes=nodes,
    )


def is_of(account: EngineAccount, started_ms: int | None, ended_ms: int | None) -> bool:
    """Whether the account can be that of a run of these times: a controller that was killed gives a number out anew, and
    slurmdbd then tells of the later job. Clocks of nodes and controller may differ by a minute."""
    if started_ms is None or ended_ms is None:
        return True
    began, ended = (_EPOCH + timedelta(milliseconds=at) for at in (started_ms, ended_ms))
    return account.started_at <= ended + _CLOCKS_DIFFER and account.ended_at >= began - _CLOCKS_DIFFER
