"""What Slurm's own account says of a job, to hold against the platform's usage."""

from dataclasses import dataclass

from zhisuan.engines.errors import EngineUnavailable
from zhisuan.engines.slurm import parse
from zhisuan.engines.slurm.commands import Refused, Slurm, nonsense
from zhisuan.engines.slurm.parse import Nonsense


@dataclass(frozen=True, slots=True)
class SlurmAccount:
    """``elapsed_seconds`` is how long Slurm counts the job as running, from its allocation to its last process, so it
    is never shorter than the run. ``source`` is ``sacct`` or ``scontrol``."""

    job_id: int
    state: str
    elapsed_seconds: int
    cpus: int
    nodes: int
    source: str


def account(slurm: Slurm, job_id: int, *, with_database: bool) -> SlurmAccount | None:
    """None when Slurm knows the job no more (without slurmdbd it forgets after MinJobAge). Raises EngineUnavailable."""
    return (_from_database(slurm, job_id) if with_database else None) or _from_controller(slurm, job_id)


def _from_database(slurm: Slurm, job_id: int) -> SlurmAccount | None:
    def read(output: str) -> SlurmAccount | None:
        lines = output.split("\n")
        if not lines[0]:
            return None
        parts = lines[0].split("|")
        if len(parts) != 5:
            raise Nonsense(lines[0][:200])
        state = parts[1].split(" ")[0]
        number = parse.number
        return SlurmAccount(number(parts[0]), state, number(parts[2]), number(parts[3]), number(parts[4]), "sacct")

    columns = "--format=JobIDRaw,State,ElapsedRaw,AllocCPUS,NNodes"
    return slurm.ask(read, "sacct", "-X", "-n", "-P", f"--jobs={job_id}", columns)


def _from_controller(slurm: Slurm, job_id: int) -> SlurmAccount | None:
    words = ("scontrol", "show", "job", str(job_id), "--oneliner")
    try:
        found = parse.records(slurm.call(*words), "JobId")[0]
        elapsed = parse.seconds(found["RunTime"])
        if elapsed is None:
            raise Nonsense(f"RunTime={found['RunTime']}")
        nodes, cpus = (parse.number(found[name].partition("-")[0]) for name in ("NumNodes", "NumCPUs"))
        return SlurmAccount(job_id, found["JobState"], elapsed, cpus, nodes, "scontrol")
    except Refused as error:
        if "invalid job id" in str(error).lower():
            return None
        raise EngineUnavailable(f"scontrol refuses to answer: {error}") from error
    except (KeyError, IndexError) as error:
        raise nonsense(words, Nonsense(str(error))) from error
    except Nonsense as error:
        raise nonsense(words, error) from error
