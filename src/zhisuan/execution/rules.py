"""What a report means for a lease and its workload. Pure."""

from dataclasses import dataclass

PROVIDER_FAULTS = frozenset({"lost", "orphaned", "start_failed"})
WORK_FAULTS = frozenset({"failed", "setup_failed", "out_of_memory"})
"""Failures of the work itself that another attempt may mend."""
IDLE = "idle"


@dataclass(frozen=True, slots=True)
class End:
    """How a closed lease leaves its workload: a final state, ``paused``, or ``pending`` to be tried again. ``retry``: it uses
    up one of the attempts that the workload has for failures of its own."""

    state: str
    fault: str | None
    cause: str
    retry: bool = False


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked of a workload before its lease ended, and how often it may still be tried. ``pause``, ``taken_back``: why."""

    cancel: bool = False
    pause: str | None = None
    taken_back: str | None = None
    restarts_left: int = 0
    retries_left: int = 0
    retry_exit_codes: tuple[int, ...] = ()
    idle_down: bool = False


def end_of(*, reason: str | None, exit_code: int | None, kind: str, wishes: Wishes) -> End:
    """The end of a workload whose lease has ended.

    A job that had completed before a wish reached it has succeeded, and so has a workspace that was shut down from inside. A
    cancel comes before a pause, a pause before all that would try again. A fault of the site leads back to ``pending`` while
    restarts are left, a failure of the work while retries are. A service that ends by itself has failed unless it was asked to
    stop. What a provider or work on demand has taken back waits for another place and uses up nothing.
    """
    fault = "provider" if reason in PROVIDER_FAULTS else None
    if reason == "completed" and exit_code == 0 and kind in ("job", "workspace"):
        return End("succeeded", None, "completed")
    if wishes.cancel:
        return End("cancelled", fault, "cancelled")
    if wishes.pause is not None:
        return End("paused", fault, wishes.pause)
    if reason == IDLE:
        return End("cancelled" if wishes.idle_down else "paused", None, IDLE)
    if reason == "cancelled" and wishes.taken_back is not None:
        return End("pending", None, wishes.taken_back)
    if reason == "cancelled":
        return End("failed", "platform", "stopped by the platform")
    if fault:
        again = wishes.restarts_left > 0
        return End("pending", fault, f"{reason}: tried again") if again else End("failed", fault, str(reason))
    if reason in WORK_FAULTS and exit_code in wishes.retry_exit_codes and exit_code is not None:
        return End("pending", None, f"exit code {exit_code}: tried again")
    if reason in WORK_FAULTS and wishes.retries_left > 0:
        return End("pending", None, f"{reason}: tried again", retry=True)
    return End("failed", None, reason or "failed")
