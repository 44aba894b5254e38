"""What a workload says of interruptions: checkpoints, grace, retries, spot, and when it ends by itself."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

GRACE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Survival:
    """``checkpoint_seconds``: how often the checkpoint folder is saved while the work runs; None: only when it ends.
    ``grace_seconds``: from SIGTERM to the end, whoever ends the work. ``retries``: new attempts after failures of the work
    itself; an exit code of ``retry_exit_codes`` uses none of them. ``stop_at``: ISO 8601 with a zone. ``idle_minutes``: the
    work is paused (or, ``idle_down``, ended) after so long without use."""

    checkpoint_seconds: int | None = None
    grace_seconds: int = GRACE_SECONDS
    on_stop: str | None = None
    retries: int = 0
    retry_exit_codes: tuple[int, ...] = ()
    spot: bool = False
    stop_at: str | None = None
    idle_minutes: int | None = None
    idle_down: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"retry_exit_codes": list(self.retry_exit_codes)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Survival":
        return cls(**{**data, "retry_exit_codes": tuple(data.get("retry_exit_codes", ()))})

    @property
    def stop_time(self) -> datetime | None:
        return datetime.fromisoformat(self.stop_at) if self.stop_at else None
