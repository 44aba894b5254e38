"""How a run over several hosts ended, from how its ranks did. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from zhisuan.engines.contract import ExitReason, Observation


@dataclass(frozen=True, slots=True)
class RankEnd:
    """``seen`` is the rank's own end, ``lost`` why there is none to come; ``last_sign`` when the host was last heard."""

    host: str
    seen: Observation | None
    lost: str | None = None
    last_sign: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """Why the run ends: the first cause stays."""

    reason: ExitReason
    message: str | None
    exit_code: int | None = None
    signal: int | None = None


def cause(rank: int, end: RankEnd, ranks: int) -> Ending | None:
    """What the end of this rank means for the others; None where it leaves them alone."""
    where = f"node {rank} ({end.host}): " if ranks > 1 else ""
    if end.seen is None:
        return Ending(ExitReason.lost, f"{where}{end.lost}" if end.lost else None)
    seen = end.seen
    if seen.reason is ExitReason.completed or seen.reason is None:
        return None
    message = f"{where}{seen.message}" if seen.message else where or None
    return Ending(seen.reason, message, seen.exit_code, seen.signal)


def whole(ends: Sequence[RankEnd], ending: Ending | None) -> Ending:
    """The end of the run, all of whose ranks are over."""
    if ending is not None:
        return ending
    for rank, end in enumerate(ends):
        found = cause(rank, end, len(ends))
        if found is not None:
            return found
    return Ending(ExitReason.completed, None, 0)


def ended_at(ends: Sequence[RankEnd], otherwise: datetime) -> datetime:
    """When the last of it was gone; of a lost rank the last sign of life of its host."""
    times = [end.seen.ended_at if end.seen is not None else end.last_sign for end in ends]
    return max((time for time in times if time is not None), default=otherwise)


def started_at(ends: Sequence[Observation | None]) -> datetime | None:
    """The first instruction of any rank."""
    return min((seen.started_at for seen in ends if seen is not None and seen.started_at is not None), default=None)
