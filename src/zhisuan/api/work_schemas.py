"""What is told of one workload whole."""

from zhisuan.api.schemas import Answer, EventView, LeaseView, PlacementView, WorkloadView


class UploadsView(Answer):
    """What went along with a workload: to launch it again with the same."""

    workdir_blob: str | None
    mounts: dict[str, str]
    files: list[str]


class WorkloadDetail(WorkloadView):
    leases: list[LeaseView]
    placement: PlacementView | None
    events: list[EventView]
    file: str
    uploads: UploadsView
