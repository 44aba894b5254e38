"""The city's time, and the clocks of its sites, which may be wrong."""

from datetime import datetime, timedelta

from zhisuan.testing.city.loop import VirtualLoop


class CityClock:
    """The true time: ``start`` and what has passed on the loop."""

    def __init__(self, start: datetime, loop: VirtualLoop) -> None:
        self._start = start
        self._loop = loop

    def now(self) -> datetime:
        return self.at(self._loop.time())

    def at(self, second: float) -> datetime:
        return self._start + timedelta(microseconds=round(second * 1e6))


class SiteClock:
    """A machine's clock: the true time and what it is off by, which changes when somebody sets it."""

    def __init__(self, city: CityClock, loop: VirtualLoop, off_by: timedelta = timedelta(0)) -> None:
        self._city = city
        self._loop = loop
        self._offsets: list[tuple[float, timedelta]] = [(float("-inf"), off_by)]

    @property
    def was_set(self) -> bool:
        return len(self._offsets) > 1

    def set_off_by(self, offset: timedelta) -> None:
        self._offsets.append((self._loop.time(), offset))

    def now(self) -> datetime:
        return self.at(self._loop.time())

    def at(self, second: float) -> datetime:
        """What it showed at this second of the loop."""
        offset = next(offset for since, offset in reversed(self._offsets) if since <= second)
        return self._city.at(second) + offset
