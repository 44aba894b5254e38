"""Demand places and the round trips between them and sites."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from zhisuan.api.schemas import Answer, Body

Direction = Literal["from_place", "from_site"]
Method = Literal["measured", "stated", "computed"]


class PlaceBody(Body):
    name: str = Field(max_length=60)
    latitude_e6: int = Field(description="10⁻⁶ degrees")
    longitude_e6: int = Field(description="10⁻⁶ degrees")


class PlaceLinkBody(Body):
    site_id: str = Field(max_length=100)
    direction: Direction
    method: Method
    round_trip_us: int | None = Field(default=None, description="Microseconds; not with the method computed.")
    source: str = Field(default="", max_length=200, description="Where the figure comes from; needed unless it is computed.")


class DemandPlaceView(Answer):
    """``reached``: how many sites have a round trip to it on record."""

    id: str
    name: str
    latitude_e6: int
    longitude_e6: int
    created_at: datetime
    reached: int


class PlaceLinkView(Answer):
    """Microseconds. ``bound_us``: what light in fibre needs between the two; ``refused``: it is not used, since light would be slower,
    or the site has not said where it stands."""

    place_id: str
    place_name: str
    site_id: str
    site_name: str
    direction: Direction
    round_trip_us: int
    method: Method
    source: str
    at: datetime
    bound_us: int | None
    refused: bool
