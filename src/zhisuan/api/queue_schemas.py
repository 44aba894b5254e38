"""Quotas and the line of waiting work, as answers. Thousandths of cards and cores."""

from datetime import datetime

from zhisuan.api.explained_schemas import Why
from zhisuan.api.schemas import Answer, Words


class QuotaView(Answer):
    """``guaranteed``, most and held; ``borrowed`` is what is held above the guarantee. ``left`` is up to the limit, null where there is
    none. ``used_cards_seconds_milli`` …: of late, as it counts now. ``share_ppm``: of all there is, held and used of late, by weight."""

    subject: str
    kind: str
    name: str
    organisation_id: str
    parent_id: str | None
    guaranteed_cards_milli: int
    guaranteed_cores_milli: int
    limit_cards_milli: int | None
    limit_cores_milli: int | None
    weight: int
    held_cards_milli: int
    held_cores_milli: int
    borrowed_cards_milli: int
    borrowed_cores_milli: int
    left_cards_milli: int | None
    left_cores_milli: int | None
    used_cards_seconds_milli: int
    used_cores_seconds_milli: int
    share_ppm: int
    is_set: bool


class QuotaPage(Answer):
    """``capacity``: what open sites have, for the operator; guarantees beyond it cannot all be kept."""

    items: list[QuotaView]
    next_cursor: str | None = None
    capacity_cards_milli: int | None = None
    capacity_cores_milli: int | None = None


class UsedAnew(Answer):
    """How many leases are counted again."""

    leases: int


class ReservationView(Answer):
    """Devices of a site kept for the work; ``at``: when they must be free, null where nobody knows."""

    site_name: str
    at: datetime | None


class QueueView(Answer):
    """Where a waiting workload stands. ``rank``: its priority with its age. ``ahead_own``: the next before it of the same organisation, at
    most ten of ``ahead_own_count``. ``expected_at`` is null where nobody can know; ``expected`` says how it is known, or why not."""

    number: int
    of: int
    state: str
    priority: int
    rank: int
    within_guarantee: bool
    share_ppm: int
    ahead_own: list[str]
    ahead_own_count: int
    ahead_others_count: int
    reservation: ReservationView | None
    expected_at: datetime | None
    expected: Words
    quotas: list[QuotaView]


class WhyInLine(Why):
    queue: QueueView | None
