"""Metered time as usage windows. Pure: the same run gives the same windows, whatever restarts lie between.

Time is whole seconds in UTC and half-open: ``[started, ended)``. A window lies inside one minute, and a minute is metered
only once it is over, so an open window never has to be corrected.
"""

from datetime import UTC, datetime, timedelta

from zhisuan.wire.common import LeaseKey
from zhisuan.wire.site import UsageWindow

MINUTE_SECONDS = 60
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The engine writes down an end some moments after it happened. A minute counts as over only this long after its last
# second, so that an end inside it has become visible before its window is cut.
SETTLING = timedelta(seconds=2)


def window_id(lease_id: str, generation: int, start: datetime) -> str:
    """The identity of the window that begins at ``start``; it is made from nothing else, so a replay has it too."""
    return f"{lease_id}:{generation}:{_epoch(start)}"


def over_until(alive_at: datetime) -> datetime:
    """The end of the last minute that is surely over for a run that was seen alive at ``alive_at``."""
    epoch = _epoch(alive_at - SETTLING)
    return _at(epoch - epoch % MINUTE_SECONDS)


def settled_end(started_at: datetime, metered_until: datetime, ended_at: datetime) -> datetime:
    """The end of a run as it will be reported for good, a whole second.

    A clock that was set back cannot take away time that has been metered already, nor end a run before its start.
    """
    return max(started_at, metered_until, _at(_epoch(ended_at)))


def windows_due(key: LeaseKey, metered_until: datetime, until: datetime) -> tuple[UsageWindow, ...]:
    """The windows that tile ``[metered_until, until)``, split where a minute begins; empty when nothing is due.

    ``metered_until`` starts as the start of the run and is then the ``until`` of the call before. For a run that goes
    on, ``until`` is ``over_until``; for one that has ended, its settled end.
    """
    windows: list[UsageWindow] = []
    start, stop = _epoch(metered_until), _epoch(until)
    while start < stop:
        end = min(stop, start - start % MINUTE_SECONDS + MINUTE_SECONDS)
        windows.append(
            UsageWindow(
                lease_id=key.lease_id,
                generation=key.generation,
                id=window_id(key.lease_id, key.generation, _at(start)),
                start=_at(start),
                end=_at(end),
            )
        )
        start = end
    return tuple(windows)


def _epoch(at: datetime) -> int:
    if at.tzinfo is None:
        raise ValueError("a naive time cannot be metered; give it a zone")
    return (at - _EPOCH) // timedelta(seconds=1)


def _at(epoch: int) -> datetime:
    return _EPOCH + timedelta(seconds=epoch)
