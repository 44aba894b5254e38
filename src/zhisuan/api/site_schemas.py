"""What the API says and takes about sites beyond what they are: offers, recalls, evidence, conditions, tokens."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from zhisuan.api.schemas import Answer, Body, Words


class TokenView(Answer):
    """A join token as it can be told from others; ``hint`` is how it ends."""

    id: str
    hint: str
    state: str
    created_at: datetime
    created_by: str
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None


class ConditionView(Answer):
    """``name``: ``pue_milli``, ``tariff_ucny_per_kwh`` or ``green_ppm``."""

    id: str
    name: str
    value: int
    valid_from: datetime
    set_at: datetime
    set_by: str


class FlagView(Answer):
    code: str
    en: str
    zh: str


class EvidenceView(Answer):
    """One device class of a site. Speeds are FP16/BF16 dense of one device, in 10⁻³ TFLOPS."""

    class_id: str | None
    kind: str
    name: Words
    claimed_count: int | None
    found_count: int
    healthy_count: int
    measured_count: int
    claimed_tflops_milli: int | None
    nominal_tflops_milli: int | None
    published_rate_udu_per_hour: int | None
    published_tflops_milli: int | None
    measured_tflops_milli: int | None
    measured_min_tflops_milli: int | None
    measured_share_ppm: int | None
    rate_factor_ppm: int
    flags: list[FlagView]


class VerificationView(Answer):
    """What the operator saw and accepted then."""

    id: str
    at: datetime
    by: str
    note: str
    accepted: list[FlagView]


class FactorView(Answer):
    """How much of the published rate a class of this site is sold at, from ``set_at`` on."""

    id: str
    class_id: str
    factor_ppm: int
    measured_tflops_milli: int | None
    published_rate_udu_per_hour: int
    reason: str
    set_at: datetime
    set_by: str


class SiteEvidence(Answer):
    site_id: str
    share_min_ppm: int
    items: list[EvidenceView]
    verification: VerificationView | None
    factors: list[FactorView]


class SiteEarning(Answer):
    settlement_id: str
    invoice_id: str
    month: str
    at: datetime
    leases: int
    seconds: int
    quantity_udu: int
    value_ucny: int
    fee_fen: int
    amount_fen: int


class SiteEarnings(Answer):
    """``amount_fen`` is what has been settled for this site; ``unsettled_value_ucny`` the value, before the platform's
    fee, of use that no settlement has divided yet."""

    site_id: str
    amount_fen: int
    fee_fen: int
    value_ucny: int
    unsettled_value_ucny: int
    items: list[SiteEarning]


class VerifyBody(Body):
    accept: bool = Field(default=False, description="Verify although the evidence has flags that block.")
    note: str = Field(default="", max_length=500)


class PricingBody(Body):
    class_id: str = Field(max_length=100)
    basis: Literal["measured", "published"]
    reason: str = Field(min_length=1, max_length=500)


class WindowBody(Body):
    """``to`` at or before ``from`` is on the next day; ``24:00`` is a day's end. Without days: every day."""

    days: list[str] | None = Field(default=None, max_length=7)
    from_: str = Field(alias="from", max_length=5)
    to: str = Field(max_length=5)


class WindowsBody(Body):
    """An empty list: always offered."""

    zone: str = Field(default="Asia/Shanghai", max_length=60)
    windows: list[WindowBody] = Field(max_length=50)


class TakeBackBody(Body):
    """``back_at``: when the site is to be empty (not given: once the notice has passed); ``until``: when it is offered
    again by itself (not given: when the provider says so)."""

    notice_seconds: int = Field(default=600, ge=0, le=86_400)
    back_at: datetime | None = None
    until: datetime | None = None
    reason: str = Field(default="", max_length=200)


class ConditionsBody(Body):
    """What is not given stays. ``valid_from`` is for PUE, tariff and green share; not given: now."""

    city: str | None = Field(default=None, max_length=60)
    latitude_e6: int | None = None
    longitude_e6: int | None = None
    echo_address: str | None = Field(default=None, max_length=260, description="host:port that answers; empty: none")
    pue_milli: int | None = None
    tariff_ucny_per_kwh: int | None = None
    green_ppm: int | None = Field(default=None, description="Share of green electricity that the provider states, in ppm")
    valid_from: datetime | None = None


class LinkView(Answer):
    """The way ``to`` or ``from`` another site; microseconds. ``bound_us`` is what light needs between the two places;
    ``refused`` says that the measurement beats it, so a place or an address is not true."""

    site_id: str
    site_name: str
    direction: Literal["to", "from"]
    at: datetime
    tries: int
    answered: int
    median_us: int | None
    best_us: int | None
    bound_us: int | None
    refused: bool
    note: str | None


class ClaimBody(Body):
    class_id: str = Field(max_length=100)
    count: int = Field(ge=1, le=1_000_000)
    tflops_milli: int | None = Field(default=None, ge=1)


class ClaimsBody(Body):
    claims: list[ClaimBody] = Field(max_length=200)


class TokenBody(Body):
    hours: int = Field(default=24, ge=1, le=720, description="How long the token may be used, in hours.")


class ReasonBody(Body):
    reason: str = Field(default="", max_length=200)
