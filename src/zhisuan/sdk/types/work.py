"""Workloads: what was asked for, where it went and why, what it wrote."""

from typing import Any

from pydantic import AwareDatetime, Field

from zhisuan.base.text import Text
from zhisuan.sdk.types.common import Answer
from zhisuan.sdk.types.quotas import InLine

ENDED = frozenset({"succeeded", "failed", "cancelled"})


class Alternative(Answer):
    cpus_milli: int
    memory_mib: int
    accelerators: Any = ()


class Tasks(Answer):
    """An order of many tasks; ``parallel`` None: one at once for each whole core."""

    count: int
    parallel: int | None = None
    retries: int = 0


class Resources(Answer):
    cpus_milli: int
    memory_mib: int
    accelerators: Any = ()
    num_nodes: int = 1
    alternatives: tuple[Alternative, ...] = ()
    ordered: bool = False
    where: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    tasks: Tasks | None = None


class Workload(Answer):
    """A job or a service. ``rate_udu_per_hour`` and ``price_e8_per_du`` are those it was accepted at."""

    id: str
    kind: str
    name: str
    state: str
    project_id: str | None = None
    created_at: AwareDatetime
    started_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    created_by: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    message: str | None = None
    progress_ppm: int | None = None
    progress_message: str | None = None
    attempts: int = 0
    resources: Resources | None = None
    rate_udu_per_hour: int | None = None
    price_e8_per_du: int | None = None

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def resting(self) -> bool:
        """Whether nothing of it runs, nor will unless somebody asks."""
        return self.ended or self.state == "paused"


class Lease(Answer):
    """A share of a node's devices held for one generation of a workload."""

    id: str
    generation: int
    site_id: str
    site_name: str
    node_hostnames: tuple[str, ...] = ()
    state: str
    offered_at: AwareDatetime | None = None
    accepted_at: AwareDatetime | None = None
    active_from: AwareDatetime | None = None
    active_to: AwareDatetime | None = None
    closed_at: AwareDatetime | None = None
    ready: bool | None = None
    reason: str | None = None
    message: str | None = None
    fault: str | None = None
    rate_udu_per_hour: int | None = None
    seconds: int | None = None


class ScorePart(Answer):
    name: str
    value: int | str
    unit: str = ""
    text: Text | None = None


class Spot(Answer):
    site_id: str
    site_name: str
    node_hostnames: tuple[str, ...] = ()


class Candidate(Spot):
    """A node that could take the work, with what spoke for and against it."""

    rank: int
    score_parts: tuple[ScorePart, ...] = ()
    hour_ucny: int | None = None
    rate_udu_per_hour: int | None = None
    carbon_g_per_hour_milli: int | None = None
    alternative: int = 0
    round_trip_us: int | None = None


class Rejected(Answer):
    """How many nodes one constraint ruled out."""

    constraint: str
    count: int
    text: Text
    unblock: Text | None = None


class Placement(Answer):
    """One decision: everything compared, and why it fell as it did. ``chosen`` is missing when nothing fits now."""

    id: str | None = None
    at: AwareDatetime | None = None
    chosen: Spot | None = None
    candidates: tuple[Candidate, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    reason: Text | None = None


class Event(Answer):
    number: int
    at: AwareDatetime
    state: str
    cause: str | None = None
    actor: str | None = None
    detail: Any = None


class Checkpoint(Answer):
    """The last whole copy of the checkpoint folder; ``new_bytes`` were not in the one before."""

    id: str
    number: int
    attempt: int
    files: int
    size_bytes: int
    new_bytes: int
    at: AwareDatetime


class Survival(Answer):
    """What is left for interruptions; ``pausing``: why it is about to be paused."""

    spot: bool = False
    restarts_left: int = 0
    retries_left: int = 0
    grace_seconds: int = 10
    stop_at: AwareDatetime | None = None
    idle_minutes: int | None = None
    pausing: str | None = None


class Uploads(Answer):
    """What went along with a workload; ``files`` are the targets that are one file."""

    workdir_blob: str | None = None
    mounts: dict[str, str] = Field(default_factory=dict)
    files: tuple[str, ...] = ()


class Template(Answer):
    """A workload file to begin with."""

    name: str
    title: Text
    about: Text
    file: str


class WorkloadDetail(Workload):
    leases: tuple[Lease, ...] = ()
    placement: Placement | None = None
    events: tuple[Event, ...] = ()
    file: str = ""
    checkpoint: Checkpoint | None = None
    survival: Survival | None = None
    uploads: Uploads = Uploads()


class Launched(Answer):
    workload: Workload
    placement: Placement | None = None


class ShapePart(Answer):
    kind: str
    class_id: str | None = None
    amount: int


class QuotedSite(Answer):
    """One site at its best place; ``marks``: ``cheapest``, ``greenest``, ``nearest``. ``round_trips_us``: to all demand places on
    record, ``round_trip_us``: the longest to those that the file names."""

    rank: int
    site_id: str
    site_name: str
    provider_name: str = ""
    region: str
    hour_ucny: int
    rate_udu_per_hour: int
    carbon_g_per_hour_milli: int
    green_ppm: int | None = None
    round_trips_us: dict[str, int] = Field(default_factory=dict)
    round_trip_us: int | None = None
    alternative: int = 0
    marks: tuple[str, ...] = ()


class Quote(Answer):
    """What a workload file would cost and where it could run now; nothing is ordered."""

    shape: tuple[ShapePart, ...] = ()
    rate_udu_per_hour: int
    price_e8_per_du: int
    price_book_version: int
    hour_ucny: int
    hour_ucny_max: int | None = None
    candidates: tuple[Candidate, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    reason: Text | None = None
    carbon_g_per_hour_milli: int | None = None
    sites: tuple[QuotedSite, ...] = ()
    sites_counted: int = 0


class Step(Answer):
    """One constraint in the order in which they are tested: how many nodes it took out, and how many were left. ``alternative``: of
    which, 0 for all."""

    alternative: int = 0
    constraint: str
    taken_out: int
    left: int
    text: Text
    unblock: Text


class Relaxed(Answer):
    """What one field alone would have to be, so that ``fits`` places are free now."""

    field: str
    fits: int
    text: Text


class RunnerUp(Spot):
    """A place that was not taken, and what it comes to more than the one that was (less: negative)."""

    rank: int
    hour_ucny_more: int
    carbon_g_per_hour_milli_more: int
    round_trip_us_more: int | None = None


class Why(Answer):
    """Why a workload is where it is, and what would move it on."""

    state: str
    reason: Text
    placement: Placement | None = None
    unblock: tuple[Text, ...] = ()
    steps: tuple[Step, ...] = ()
    binding: Step | None = None
    relaxed: tuple[Relaxed, ...] = ()
    expected_start: AwareDatetime | None = None
    deadline: AwareDatetime | None = None
    runners_up: tuple[RunnerUp, ...] = ()
    queue: InLine | None = None


class LogPart(Answer):
    """Output from byte ``offset``; ``complete`` once nothing can follow ``next_offset``."""

    text: str
    offset: int
    next_offset: int
    complete: bool = False


class Artefact(Answer):
    id: str
    path: str
    size_bytes: int
    sha256: str
    created_at: AwareDatetime | None = None


class Blob(Answer):
    """An uploaded archive."""

    id: str
    sha256: str
    size_bytes: int


class LogEvent(Answer):
    """New output of a watched workload."""

    text: str
    next_offset: int


class StateEvent(Answer):
    """The watched workload changed: state, progress or message."""

    workload: Workload


class EndEvent(Answer):
    """The watched workload is over; nothing follows."""

    workload: Workload


WatchEvent = LogEvent | StateEvent | EndEvent
