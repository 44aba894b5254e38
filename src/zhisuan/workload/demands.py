"""What a workload demands of its place and time, beyond its size and the sites that it names."""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Literal

Late = Literal["fail", "go_on"]
LISTS = ("avoid_regions", "providers", "avoid_providers")


@dataclass(frozen=True, slots=True)
class Demands:
    """``device_memory_mib``: of each card, by its class; 0: any. Ceilings of an hour on all nodes together: yuan in 10⁻⁶, rate in 10⁻⁶
    度, carbon in milligrams; ``carbon_card_max_mg`` of an hour of one card. ``green_ppm_min``: least share of green electricity that the
    provider states. ``latency_us``: for demand places the longest round trip. ``start_after`` and ``deadline`` (its end): ISO 8601 with
    a zone; ``late``: what becomes of it when it waits so long that it cannot be kept."""

    avoid_regions: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    avoid_providers: tuple[str, ...] = ()
    green_ppm_min: int = 0
    latency_us: tuple[tuple[str, int], ...] = ()
    device_memory_mib: int = 0
    price_max_ucny: int | None = None
    rate_max_udu: int | None = None
    carbon_max_mg: int | None = None
    carbon_card_max_mg: int | None = None
    start_after: str | None = None
    deadline: str | None = None
    late: Late = "fail"

    def as_dict(self) -> dict[str, Any]:
        """Only what is demanded."""
        given = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        given |= {name: list(given[name]) for name in LISTS if name in given}
        if "latency_us" in given:
            given["latency_us"] = [list(pair) for pair in self.latency_us]
        return given

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Demands":
        lists = {name: tuple(data[name]) for name in LISTS if name in data}
        latency = tuple((str(place), int(us)) for place, us in data.get("latency_us", ()))
        return cls(**{**data, **lists, "latency_us": latency})

    @property
    def start_time(self) -> datetime | None:
        return datetime.fromisoformat(self.start_after) if self.start_after else None

    @property
    def end_time(self) -> datetime | None:
        return datetime.fromisoformat(self.deadline) if self.deadline else None

    def start_by(self, max_seconds: int | None) -> datetime | None:
        """The last moment at which the first attempt can start and still end in time, if it takes as long as it may."""
        end = self.end_time
        return None if end is None else end - timedelta(seconds=max_seconds or 0)
