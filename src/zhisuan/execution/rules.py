"""What a report means for a lease and its workload. Pure."""

from dataclasses import dataclass

PROVIDER_FAULTS = frozenset({"lost", "orphaned", "start_failed"})


@dataclass(frozen=True, slots=True)
class End:
    """How a closed lease leaves its workload: a final state, or ``pending`` to be tried again."""

    state: str
    fault: str | None
    cause: str


def end_of(
    *,
    reason: str | None,
    exit_code: int | None,
    cancel_requested: bool,
    taken_back: str | None,
    restarts_left: int,
    kind: str,
) -> End:
    """The end of a workload whose lease has ended.

    A fault of the site leads back to ``pending`` while restarts are left and nobody asked for a cancel. A job that had
    completed before the cancel reached it has succeeded. A service that ends by itself has failed unless it was asked
    to stop. What a provider has taken back waits for another place and uses up no restart.
    """
    fault = "provider" if reason in PROVIDER_FAULTS else None
    if reason == "completed" and exit_code == 0 and kind == "job":
        return End("succeeded", None, "completed")
    if cancel_requested:
        return End("cancelled", fault, "cancelled")
    if reason == "cancelled" and taken_back is not None:
        return End("pending", None, taken_back)
    if reason == "cancelled":
        return End("failed", "platform", "stopped by the platform")
    if fault:
        return (
            End("pending", fault, f"{reason}: tried again") if restarts_left > 0 else End("failed", fault, str(reason))
        )
    return End("failed", None, reason or "failed")
