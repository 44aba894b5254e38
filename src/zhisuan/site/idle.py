"""Whether work is in use: processor time, and for what is reached through the tunnel its calls. Pure: the time comes in.

Work is idle while it uses less than a twentieth of a core and nobody calls it. What it prepares by (``setup``) is use. What an
agent has not seen it does not judge: after a restart of the agent the time begins anew.
"""

from dataclasses import dataclass

SAMPLE_SECONDS = 10.0
BUSY_MILLI_CORES = 50


@dataclass(slots=True)
class Use:
    """``used_at``: when the work was last seen in use, by the caller's clock."""

    used_at: float | None = None
    sampled_at: float = float("-inf")
    cpu_milliseconds: int = 0
    calls: int = 0

    def see(self, now: float, *, cpu_milliseconds: int, calls: int, open_calls: int, preparing: bool = False) -> None:
        """``calls`` counts those begun so far, ``open_calls`` those not answered yet."""
        if self.used_at is None:
            self.used_at, self.sampled_at = now, now
            self.cpu_milliseconds, self.calls = cpu_milliseconds, calls
            return
        if open_calls or preparing or calls != self.calls:
            self.used_at, self.calls = now, calls
        elapsed = now - self.sampled_at
        if elapsed < SAMPLE_SECONDS:
            return
        if (cpu_milliseconds - self.cpu_milliseconds) >= BUSY_MILLI_CORES * elapsed:
            self.used_at = now
        self.sampled_at, self.cpu_milliseconds = now, cpu_milliseconds

    def idle_seconds(self, now: float) -> float:
        """Zero until something has been seen."""
        return 0.0 if self.used_at is None else now - self.used_at
