"""A case to replay: regions with their hours, and the jobs that come."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from zhisuan.placement.deferral.types import Work

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Regions:
    """One row a region, one column an hour from ``first`` on: what a kWh of the cards emits and costs there, and how many cards
    there are."""

    names: tuple[str, ...]
    first: datetime
    mg_per_kwh: Ints
    ucny_per_kwh: Ints
    cards: Ints

    @property
    def hours(self) -> int:
        return int(self.mg_per_kwh.shape[1])

    def time(self, hour: int) -> datetime:
        return self.first + timedelta(hours=hour)


@dataclass(frozen=True, slots=True)
class Job:
    """``arrival`` is the first hour in which it is known, at or before ``work.earliest``; ``home`` the region it would run in
    if nobody chose."""

    work: Work
    arrival: int
    home: int


@dataclass(frozen=True, slots=True)
class Objective:
    """What is to be small: carbon alone, money alone, or money plus carbon at a price. ``name`` says which."""

    name: str
    fen_per_tonne: int = 0

    def of(self, mg_per_kwh: Ints, ucny_per_kwh: Ints) -> Ints:
        """The cost of a kWh: mgCO2; or 10⁻⁶ yuan; or, for a mix, 10⁻¹¹ yuan (a fen a tonne is 10⁻¹¹ yuan a milligram)."""
        if self.name == "carbon":
            return mg_per_kwh
        if self.name == "cost":
            return ucny_per_kwh
        return ucny_per_kwh * 100_000 + mg_per_kwh * self.fen_per_tonne


@dataclass(frozen=True, slots=True)
class Case:
    regions: Regions
    jobs: tuple[Job, ...]
    objective: Objective
