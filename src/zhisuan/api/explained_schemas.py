"""The answers of a quote, and of why work is where it is or waits."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from zhisuan.api.schemas import Answer, PlacementView, Words


class QuotedSite(Answer):
    """One site at its best place. ``round_trips_us``: to all demand places on record; ``round_trip_us``: the longest to those that the
    file names. ``green_ppm``: the share of green electricity that its provider states."""

    rank: int
    site_id: str
    site_name: str
    provider_name: str
    region: str
    hour_ucny: int
    rate_udu_per_hour: int
    carbon_g_per_hour_milli: int
    green_ppm: int | None
    round_trips_us: dict[str, int]
    round_trip_us: int | None
    alternative: int
    marks: list[Literal["cheapest", "greenest", "nearest"]]


class QuoteView(Answer):
    """``sites``: those that can take it now, best first: some, and the cheapest, greenest and nearest; ``sites_counted``: all."""

    shape: list[dict[str, Any]]
    rate_udu_per_hour: int
    price_e8_per_du: int
    price_book_version: int
    hour_ucny: int
    hour_ucny_max: int
    candidates: list[dict[str, Any]]
    rejected: list[dict[str, Any]]
    reason: Words
    carbon_g_per_hour_milli: int | None
    sites: list[QuotedSite]
    sites_counted: int


class StepView(Answer):
    """One constraint in the order in which they are tested. ``alternative``: its number, 0 for all; ``left``: nodes that pass it too."""

    alternative: int
    constraint: str
    taken_out: int
    left: int
    text: Words
    unblock: Words


class RelaxedView(Answer):
    """What one field alone would have to be, so that there are places now, and how many."""

    field: str
    fits: int
    text: Words


class RunnerUp(Answer):
    """A place that was not taken, and what it comes to more than the one that was (less: negative)."""

    site_id: str
    site_name: str
    node_hostnames: list[str]
    rank: int
    hour_ucny_more: int
    carbon_g_per_hour_milli_more: int
    round_trip_us_more: int | None


class Why(Answer):
    """``expected_start``: as the line expects, or the time that it waits for; none where that is not known."""

    state: str
    reason: Words
    placement: PlacementView | None
    unblock: list[Words]
    steps: list[StepView] = Field(default_factory=list)
    binding: StepView | None = None
    relaxed: list[RelaxedView] = Field(default_factory=list)
    expected_start: datetime | None = None
    deadline: datetime | None = None
    runners_up: list[RunnerUp] = Field(default_factory=list)
