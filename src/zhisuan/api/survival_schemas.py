"""What the API says of work that is interrupted and goes on."""

from datetime import datetime

from zhisuan.api.schemas import Answer
from zhisuan.api.work_schemas import WorkloadDetail
from zhisuan.execution.tables import Checkpoint
from zhisuan.workload.spec import WorkloadSpec
from zhisuan.workload.tables import Workload


class CheckpointView(Answer):
    """The last whole copy of the checkpoint folder. ``new_bytes`` of its ``size_bytes`` were not in the one before."""

    id: str
    number: int
    attempt: int
    files: int
    size_bytes: int
    new_bytes: int
    at: datetime


class SurvivalView(Answer):
    """``pausing``: why it is about to be paused. ``restarts_left`` are for faults of a site, ``retries_left`` for its own."""

    spot: bool
    restarts_left: int
    retries_left: int
    grace_seconds: int
    stop_at: datetime | None
    idle_minutes: int | None
    pausing: str | None


class WorkloadWhole(WorkloadDetail):
    checkpoint: CheckpointView | None
    survival: SurvivalView


def checkpoint_view(kept: Checkpoint | None) -> CheckpointView | None:
    if kept is None:
        return None
    return CheckpointView(
        id=kept.id, number=kept.number, attempt=kept.generation, files=len(kept.files), size_bytes=kept.size_bytes,
        new_bytes=kept.new_bytes, at=kept.created_at,
    )  # fmt: skip


def survival_view(workload: Workload) -> SurvivalView:
    said = WorkloadSpec.from_dict(workload.spec).survival
    return SurvivalView(
        spot=said.spot, restarts_left=workload.restarts_left, retries_left=workload.retries_left,
        grace_seconds=said.grace_seconds, stop_at=workload.stop_at, idle_minutes=said.idle_minutes,
        pausing=workload.pause_reason,
    )  # fmt: skip
