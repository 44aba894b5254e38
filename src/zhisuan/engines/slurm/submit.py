"""Hands runs to sbatch: one alone as a job, several of one shape that come while sbatch is busy as one job array.

Before sbatch is called, each run's ``submit`` record says under which token (the job's comment) and number it will be
found in Slurm, whoever asks and whatever died in between.
"""

import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from zhisuan.engines.contract import RunSpec
from zhisuan.engines.errors import EngineError, StartRefused
from zhisuan.engines.local import records
from zhisuan.engines.slurm import parse
from zhisuan.engines.slurm.commands import Refused, Slurm, nonsense
from zhisuan.engines.slurm.config import SlurmEngineConfig
from zhisuan.engines.slurm.owner import Owner
from zhisuan.engines.slurm.parse import Nonsense
from zhisuan.engines.slurm.paths import EngineFolders, RunPaths
from zhisuan.engines.slurm.plan import gres_words

_ARRAY_MAX = 500
"""Below Slurm's own default for MaxArraySize, 1001."""
_UNPACK_SECONDS = 900
"""Slurm counts its limit from the allocation; unpacking comes before the first instruction that ours counts from."""

Shape = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Submitted:
    """``task`` is the number in a job array, None for a job of its own; ``job_id`` is that of the whole array; ``times`` how
    often it was ordered, always under one token."""

    token: str
    task: int | None
    job_id: int
    times: int = 1

    @property
    def name(self) -> str:
        """As scancel takes it."""
        return str(self.job_id) if self.task is None else f"{self.job_id}_{self.task}"


@dataclass
class _Waiting:
    paths: RunPaths
    done: threading.Event = field(default_factory=threading.Event)
    result: Submitted | BaseException | None = None


def shape(
    spec: RunSpec, hosts: tuple[str, ...], owner: Owner, config: SlurmEngineConfig, longest_seconds: int | None
) -> Shape:
    """The sbatch options that runs must share to go into one array."""
    words = [
        f"--nodes={len(hosts)}",
        f"--ntasks={len(hosts)}",
        "--ntasks-per-node=1",
        f"--cpus-per-task={-(-spec.cpus_milli // 1000)}",
        f"--mem={spec.memory_mib}M",
        *gres_words(spec),
        *owner.sbatch_words(),
        f"--time={time_limit(spec.max_seconds, max(config.timeout_grace_seconds, spec.grace_seconds or 0), longest_seconds)}",
    ]
    return (*words, f"--nodelist={','.join(hosts)}") if hosts[0] else tuple(words)


def time_limit(max_seconds: int | None, grace_seconds: int, longest_seconds: int | None) -> str:
    """A bound that only a run whose own watch failed ever meets: ours, with room to unpack and to end, within the
    partition's. Without a limit of the run it is the partition's."""
    if max_seconds is None:
        return "UNLIMITED" if longest_seconds is None else str(longest_seconds // 60)
    wanted = -(-(max_seconds + grace_seconds + _UNPACK_SECONDS) // 60)
    return str(wanted if longest_seconds is None else min(wanted, longest_seconds // 60))


class Submitter:
    def __init__(self, slurm: Slurm, folders: EngineFolders, config: SlurmEngineConfig, job_name: str) -> None:
        self._slurm = slurm
        self._folders = folders
        self._config = config
        self._job_name = job_name
        self._lock = threading.Lock()
        self._waiting: dict[Shape, list[_Waiting]] = {}
        self._busy: set[Shape] = set()

    def submit(self, paths: RunPaths, wanted: Shape, library: Path) -> Submitted:
        """Returns once Slurm has the run. Raises StartRefused, EngineUnavailable (then the run may yet be there)."""
        before = submission(paths.submit)
        if before is not None:
            return self._submit_again(paths, before, wanted, library)
        mine = _Waiting(paths)
        with self._lock:
            self._waiting.setdefault(wanted, []).append(mine)
            leads = wanted not in self._busy
            if leads:
                self._busy.add(wanted)
        if leads:
            self._lead(wanted, library)
        mine.done.wait()
        if isinstance(mine.result, EngineError):
            raise type(mine.result)(*mine.result.args)
        if not isinstance(mine.result, Submitted):
            raise StartRefused(f"the job could not be submitted: {mine.result}")
        return mine.result

    def _submit_again(self, paths: RunPaths, before: Submitted, wanted: Shape, library: Path) -> Submitted:
        """What Slurm does not have (any more). Under the token from before: should both orders be there after all, each is
        known for what it is."""
        times = before.times + 1
        write_quickly(paths.submit, [("token", before.token), ("times", str(times))])
        return Submitted(before.token, None, self._sbatch(before.token, [], wanted, paths.folder, library), times)

    def _lead(self, wanted: Shape, library: Path) -> None:
        """Submit what waits, and what came meanwhile, until nothing waits."""
        while True:
            with self._lock:
                group = self._waiting.pop(wanted, [])
                group, rest = group[:_ARRAY_MAX], group[_ARRAY_MAX:]
                if rest:
                    self._waiting[wanted] = rest
                if not group:
                    self._busy.discard(wanted)
                    return
            try:
                results: list[Submitted | BaseException] = [*self._submit_group(group, wanted, library)]
            except BaseException as error:
                results = [error] * len(group)
            for one, result in zip(group, results, strict=True):
                one.result = result
                one.done.set()

    def _submit_group(self, group: list[_Waiting], wanted: Shape, library: Path) -> list[Submitted]:
        token = os.urandom(8).hex()
        tasks: list[int | None] = [None] if len(group) == 1 else [*range(1, len(group) + 1)]
        for one, task in zip(group, tasks, strict=True):
            number = [("task", str(task))] if task is not None else []
            write_quickly(one.paths.submit, [("token", token), *number])
        if len(group) == 1:
            job_id = self._sbatch(token, [], wanted, group[0].paths.folder, library)
        else:
            batch = self._folders.batches / token
            batch.mkdir(mode=0o711)
            for one, task in zip(group, tasks, strict=True):
                (batch / str(task)).write_text(f"{one.paths.folder}\n", "utf-8")
                (batch / str(task)).chmod(0o644)
            job_id = self._sbatch(token, [f"--array=1-{len(group)}"], wanted, batch, library)
        return [Submitted(token, task, job_id) for task in tasks]

    def _sbatch(self, token: str, array: list[str], wanted: Shape, folder: Path, library: Path) -> int:
        config = self._config
        chosen = {"partition": config.partition, "account": config.account, "qos": config.qos}
        words = [
            "sbatch",
            "--parsable",
            f"--job-name={self._job_name}",
            f"--comment={token}",
            "--no-requeue",
            "--chdir=/",
        ]
        words += ["--input=/dev/null", "--output=/dev/null", "--error=/dev/null", *array, *wanted]
        words += [f"--{name}={value}" for name, value in chosen.items() if value is not None]
        words += [*config.options, str(library / "batch.sh"), str(folder), str(library)]
        try:
            return parse.job_id(self._slurm.call(*words))
        except Nonsense as error:
            raise nonsense(words, error) from error
        except Refused as error:
            raise StartRefused(f"Slurm refused the job: {error}") from error

    def forget(self, job: Submitted) -> None:
        """The run is removed: so is its place in the list of its array."""
        if job.task is not None:
            batch = self._folders.batches / job.token
            (batch / str(job.task)).unlink(missing_ok=True)
            with suppress(OSError):
                batch.rmdir()


def write_quickly(path: str, pairs: records.Pairs) -> None:
    """Whole or not at all for whoever reads it, also after the agent's death, without waiting for the disk: for what can be
    found out again, should the host itself go down. Then a run is looked for in Slurm by its token, or submitted anew, and
    the claim keeps two jobs apart."""
    making = f"{path}.{os.urandom(6).hex()}.tmp"
    Path(making).write_bytes(records.encode(pairs))
    os.rename(making, path)


def submission(path: str) -> Submitted | None:
    """What a ``submit`` or ``job`` record says; ``job_id`` is 0 in the former."""
    found = dict(records.read(path) or [])
    if "token" not in found:
        return None
    task = int(found["task"]) if "task" in found else None
    return Submitted(found["token"], task, int(found.get("job_id", "0")), int(found.get("times", "1")))
