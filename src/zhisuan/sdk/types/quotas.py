"""Quotas, and the line of what waits. Thousandths of cards and cores."""

from datetime import datetime

from zhisuan.base.text import Text
from zhisuan.sdk.types.common import Answer


class Quota(Answer):
    """Of an organisation or a project: guaranteed, most (null: no limit), held, borrowed above the guarantee, left up to the limit."""

    subject: str
    kind: str
    name: str
    organisation_id: str
    parent_id: str | None = None
    guaranteed_cards_milli: int
    guaranteed_cores_milli: int
    limit_cards_milli: int | None = None
    limit_cores_milli: int | None = None
    weight: int
    held_cards_milli: int
    held_cores_milli: int
    borrowed_cards_milli: int
    borrowed_cores_milli: int
    left_cards_milli: int | None = None
    left_cores_milli: int | None = None
    used_cards_seconds_milli: int
    used_cores_seconds_milli: int
    share_ppm: int
    is_set: bool


class QuotaPage(Answer):
    """``capacity``: what open sites have, for the operator."""

    items: tuple[Quota, ...]
    next_cursor: str | None = None
    capacity_cards_milli: int | None = None
    capacity_cores_milli: int | None = None


class UsedAnew(Answer):
    leases: int


class Reservation(Answer):
    site_name: str
    at: datetime | None = None


class InLine(Answer):
    """Where waiting work stands: ``number`` of ``of``; ``expected_at`` is missing where nobody can know."""

    number: int
    of: int
    state: str
    priority: int
    rank: int
    within_guarantee: bool
    share_ppm: int
    ahead_own: tuple[str, ...]
    ahead_own_count: int
    ahead_others_count: int
    reservation: Reservation | None = None
    expected_at: datetime | None = None
    expected: Text
    quotas: tuple[Quota, ...]
