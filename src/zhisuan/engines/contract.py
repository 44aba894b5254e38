"""The one contract every engine driver keeps (local sandbox, Slurm, Ray, …).

A *run* is one generation of one lease. An engine holds any number of runs and outlives nothing but its own root:
every method may be called from another process, after a crash or a restart, and gives the same answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class FileMount:
    """A tar.gz archive unpacked, as the run's own writable copy, at ``target``.

    ``target`` is absolute, or relative to the work folder (``~/x`` means ``x``: the work folder is the home folder).
    The archive must stay in place until the run has left ``preparing``.
    """

    archive: Path
    target: str


@dataclass(frozen=True, slots=True)
class FolderMount:
    """A folder of the agent's host shown at ``target`` (as in ``FileMount``). ``read_only``: the run can change nothing of
    what is shown, by the sandbox where there is one; else it gets a copy of its own, found afterwards by ``folder_dir``.

    The folder holds regular files and folders only, must stay unchanged while the run has it read only, and until ``start``
    has returned otherwise.
    """

    path: Path
    target: str
    read_only: bool = True


@dataclass(frozen=True, slots=True)
class ServicePort:
    """The TCP port the work listens on, inside its own network namespace."""

    port: int


@dataclass(frozen=True, slots=True)
class AcceleratorGrant:
    """One accelerator of a host given to the run. ``index`` is the host's device number, ``uuid`` the vendor's id, ``bus_id``
    its PCI address, by which its DRM nodes are found."""

    vendor: str
    index: int
    uuid: str | None = None
    bus_id: str | None = None


@dataclass(frozen=True, slots=True)
class NodeGrant:
    """One host that the run gets, and the accelerators of that host that are its own."""

    hostname: str
    accelerators: tuple[AcceleratorGrant, ...] = ()


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What to run and within which limits.

    ``setup`` and ``run`` are bash scripts, run on every node; ``setup`` stops at its first failing command. ``env`` is
    the run's whole environment beside what the engine itself sets. ``nodes`` are in the order of their ranks, the first
    is rank 0; an engine of one host takes one node, which is itself whatever its name. ``cpus_milli`` (thousandths of a
    core) and ``memory_mib`` are those of *each* node. ``max_seconds`` counts from the first instruction of ``setup`` or
    ``run``.

    A run of several nodes is one run: it begins when all its nodes are there, it is completed when ``run`` has ended with
    0 on all of them, and the first node that ends otherwise ends it everywhere. Its log holds the output of all nodes;
    with more than one, every line begins with the rank, as ``[0] ``. Archives are unpacked on every node; artefacts and
    progress are those of rank 0, and so is the service port.

    ``checkpoint_archive`` is unpacked into the checkpoint folder of every node before ``setup``; see ``Engine.checkpoint_dir``.

    ``on_stop`` is a bash script that runs beside the work, on every node, when a stop, ``max_seconds`` or the loss of the agent
    asks it to end and a grace is given: after SIGTERM, with ``ZHISUAN_GRACE_SECONDS`` in its environment, for as long as the
    grace lasts. It is not run for work that has not begun. ``grace_seconds`` is the grace where the engine itself ends the run
    (``max_seconds``, no agent); None: the engine's own.

    ``orphan_seconds``: without ``keepalive`` for so long, or for the engine's own time where that is shorter, the run ends
    as ``orphaned``.

    Every engine sets on every node ``ZHISUAN_ARTIFACTS``, ``ZHISUAN_CHECKPOINT``, ``ZHISUAN_PROGRESS``, ``ZHISUAN_NUM_NODES``,
    ``ZHISUAN_NODE_RANK``, ``ZHISUAN_NODE_IPS`` (addresses that the nodes reach each other by, rank 0 first, one a line),
    ``ZHISUAN_NUM_ACCELERATORS`` (per node), where there is a service ``ZHISUAN_SERVICE_PORT`` and ``ZHISUAN_SERVICE_HOST`` (the address
    to listen at, so that the engine's own way leads there), and the same under the names of SkyPilot: ``SKYPILOT_NUM_NODES``,
    ``SKYPILOT_NODE_RANK``, ``SKYPILOT_NODE_IPS``, ``SKYPILOT_NUM_GPUS_PER_NODE``.
    """

    lease_id: str
    generation: int
    setup: str | None
    run: str
    env: Mapping[str, str]
    cpus_milli: int
    memory_mib: int
    nodes: tuple[NodeGrant, ...] = (NodeGrant("localhost"),)
    max_seconds: int | None = None
    workdir_archive: Path | None = None
    mounts: tuple[FileMount, ...] = ()
    service: ServicePort | None = None
    orphan_seconds: int | None = None
    checkpoint_archive: Path | None = None
    on_stop: str | None = None
    grace_seconds: int | None = None
    folders: tuple[FolderMount, ...] = ()


class RunPhase(StrEnum):
    """``preparing``: unpacking and ``setup``; ``running``: ``run``; ``exited``: nothing of it is left running."""

    preparing = "preparing"
    running = "running"
    exited = "exited"


class ExitReason(StrEnum):
    """Why a run ended.

    ``completed``: ``run`` ended with 0. ``failed``, ``setup_failed``: the script ended otherwise. ``out_of_memory``:
    the memory limit was reached (the whole run ends with the first process the kernel kills). ``timed_out``:
    ``max_seconds``. ``cancelled``: stopped, also before it began. ``orphaned``: no agent for too long. ``lost``: the
    site lost it (its supervisor or the host died). ``start_failed``: nothing of the tenant's ran; the message says
    whether the host or an archive was at fault.
    """

    completed = "completed"
    failed = "failed"
    setup_failed = "setup_failed"
    out_of_memory = "out_of_memory"
    timed_out = "timed_out"
    cancelled = "cancelled"
    orphaned = "orphaned"
    lost = "lost"
    start_failed = "start_failed"


@dataclass(frozen=True, slots=True)
class Progress:
    """The last line the work wrote to ``$ZHISUAN_PROGRESS``: ``{"fraction": 0.5, "message": "…", …}``.

    ``fraction_ppm`` is 0 to 1,000,000; ``extra`` holds the line's other keys as plain JSON values.
    """

    fraction_ppm: int | None
    message: str | None
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known of a run.

    ``started_at`` is when the tenant's first instruction (of ``setup``, else of ``run``) began and ``ended_at`` when
    the last process was gone; both UTC, to the millisecond. ``started_at`` is None when nothing of the tenant's ran.
    An exited observation never changes again.
    """

    lease_id: str
    generation: int
    phase: RunPhase
    started_at: datetime | None
    ended_at: datetime | None
    exit_code: int | None
    signal: int | None
    reason: ExitReason | None
    message: str | None
    cpu_seconds_milli: int
    memory_peak_bytes: int
    progress: Progress | None


@dataclass(frozen=True, slots=True)
class EngineAccount:
    """What an engine's own books say of an ended run, to be held against what the platform metered.

    ``source`` names the books (``sacct``, ``squeue``, ``ray``, ``supervisor``), ``reference`` is the run's name in them and
    ``state`` their word for how it ended. They count from ``started_at``, which may come before the first instruction (on Slurm
    the allocation, on Ray the order), to ``ended_at``; ``elapsed_milliseconds`` leaves out what it was suspended. None: not in
    these books.
    """

    source: str
    reference: str
    state: str
    started_at: datetime
    ended_at: datetime
    elapsed_milliseconds: int
    cpu_milliseconds: int | None = None
    nodes: int | None = None


class IsolationLevel(StrEnum):
    """``sandbox``: own uid, namespaces, memory and process limits; ``user_sandbox``: namespaces, but not all of the
    rest; ``none``: an ordinary process of the host."""

    sandbox = "sandbox"
    user_sandbox = "user_sandbox"
    none = "none"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something this host lacks, and how to mend it."""

    code: str
    message_en: str
    message_zh: str
    remedy_en: str
    remedy_zh: str


@dataclass(frozen=True, slots=True)
class EngineReport:
    """What this engine can do here.

    ``version`` names the program that isolates or schedules, or is empty when there is none. ``limits`` says which
    limits of a ``RunSpec`` are really enforced: keys ``memory``, ``cpu``, ``pids`` (true or false) and
    ``cgroup_version`` (1, 2 or None). ``nodes_max`` is the most nodes that one run may have. ``jupyterlab``: whether work finds
    ``jupyter-lab`` here; None where that is not known. ``shells``: whether ``shell_socket`` leads into runs.
    """

    engine: str
    version: str
    isolation: IsolationLevel
    limits: Mapping[str, bool | int | None]
    problems: tuple[Problem, ...]
    nodes_max: int = 1
    jupyterlab: bool | None = None
    shells: bool = False


@dataclass(frozen=True, slots=True)
class ClusterAccelerator:
    """One accelerator of a cluster's node. ``key`` is unique on the node and lasting; ``kind`` is what the cluster calls
    it (a GRES type, a Ray accelerator type), ``vendor`` is empty where the cluster does not say it. ``bus_id``: as in a grant."""

    key: str
    index: int
    kind: str
    vendor: str = ""
    uuid: str | None = None
    memory_mib: int | None = None
    bus_id: str | None = None


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """One host of a cluster, with what the cluster itself would give to work there. ``usable`` false: the cluster starts
    nothing there now, and ``note`` says why. ``report``: what a program of ours on the node itself found and measured, where
    there is one, as the plain values of a ``wire.site.NodeReport``; it is told instead of what the cluster says."""

    hostname: str
    cpus_milli: int
    memory_mib: int
    accelerators: tuple[ClusterAccelerator, ...] = ()
    os: str = ""
    architecture: str = ""
    usable: bool = True
    note: str = ""
    report: Mapping[str, object] | None = None


class Engine(Protocol):
    """All methods may block for some tens of milliseconds (those of a cluster's engine for some seconds) and may be called
    from any thread. Every method but ``keepalive`` may raise EngineUnavailable where the engine is a cluster that does not
    answer: then nothing is known, and nothing has been changed for certain."""

    def preflight(self) -> EngineReport:
        """Look at the host. Changes nothing but clears what dead runs left behind."""
        ...

    def nodes(self) -> tuple[ClusterNode, ...]:
        """The hosts of the cluster behind this engine, by name; empty for an engine of the agent's own host, which the
        agent looks at itself. Raises EngineUnavailable when the cluster does not answer."""
        ...

    def start(self, spec: RunSpec) -> None:
        """Begin a run; once per lease and generation however often it is called.

        A higher generation first ends the lower ones of its lease.

        Raises: InvalidSpec (also for more nodes than ``nodes_max``), StaleGeneration (a higher generation is here), IsolationUnavailable, StartRefused.
        When it raises, nothing of the run is left.
        """
        ...

    def observe(self, lease_id: str, generation: int) -> Observation:
        """Raises UnknownRun when the run is not here: never started, or removed."""
        ...

    def list(self) -> list[tuple[str, int]]:
        """Every run held, ended ones too, until removed; sorted."""
        ...

    def stop(self, lease_id: str, generation: int, grace_seconds: int) -> None:
        """Ask the run to end: SIGTERM to all its processes, and SIGKILL after ``grace_seconds``. Does not wait.

        A second call may shorten the grace. On a run that is not here it leaves a mark, so that a start that
        arrives later never begins. On an ended run it does nothing.
        """
        ...

    def read_log(self, lease_id: str, generation: int, offset: int, limit: int) -> bytes:
        """Bytes of the combined output from ``offset``, at most ``limit``; empty at the end. Raises UnknownRun."""
        ...

    def artifacts_dir(self, lease_id: str, generation: int) -> Path:
        """The folder the work saw as ``$ZHISUAN_ARTIFACTS``. Raises UnknownRun.

        Its content is the tenant's: read it only through ``engines.artifacts``, which follows no link.
        """
        ...

    def accounts(self, runs: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], EngineAccount]:
        """What the engine's own books say of these runs, asked for in as few questions as it can. A run that is not
        here, never began, or that the books do not show as ended (yet, or any more) is left out."""
        ...

    def checkpoint_dir(self, lease_id: str, generation: int) -> Path:
        """The folder the work saw as ``$ZHISUAN_CHECKPOINT``, of rank 0, while it runs and until ``remove``. Raises UnknownRun.

        As ``artifacts_dir``: the tenant's, and read only through ``engines.artifacts``.
        """
        ...

    def folder_dir(self, lease_id: str, generation: int, target: str) -> Path:
        """The run's own copy (that of rank 0) of the folder it was given writable at ``target``, to be read as
        ``artifacts_dir`` is. Raises UnknownRun, also where it had none there."""
        ...

    def service_socket(self, lease_id: str, generation: int) -> Path | None:
        """The unix socket that leads to the run's service port, or None when it has none. Raises UnknownRun."""
        ...

    def shell_socket(self, lease_id: str, generation: int, rank: int) -> Path | None:
        """The unix socket that leads into the sandbox of one rank of a run that has not ended: each connection is a shell of its own
        there, as the work's own user and within its limits, and ends with it (its frames: ``base.shells``). None where
        there is no way in: an engine without shells, a run that an older version began, a rank that the run has not. Raises UnknownRun."""
        ...

    def keepalive(self) -> None:
        """Say that the site agent lives. Without it for long enough, runs end as ``orphaned``."""
        ...

    def remove(self, lease_id: str, generation: int) -> None:
        """Forget an ended run and delete all it left; nothing to do when it is not here. Raises RunStillActive."""
        ...
