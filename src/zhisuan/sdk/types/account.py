"""Who is there: organisations, people, keys, projects; and what the platform is."""

from typing import Any

from pydantic import AwareDatetime, Field

from zhisuan.base.text import Text
from zhisuan.sdk.types.common import Answer, Credential, Named


class Health(Answer):
    status: str
    version: str


class Platform(Answer):
    """``gateway_url`` serves the models under ``/v1``."""

    version: str
    gateway_url: str | None = None
    console_url: str | None = None
    region: str | None = None


class SignedUp(Answer):
    organisation_id: str
    user_id: str
    project_id: str | None = None
    key: Credential


class Organisation(Answer):
    id: str
    kind: str
    name: str
    created_at: AwareDatetime | None = None


class Person(Answer):
    id: str
    name: str
    email: str
    language: str | None = None


class Me(Answer):
    """``user`` is missing for a key that belongs to the organisation and to nobody in it."""

    organisation: Organisation
    user: Person | None = None
    role: str
    permissions: tuple[str, ...] = ()
    project_id: str | None = None


class ApiKey(Answer):
    """A key as listed: ``hint`` is its last characters, the secret itself is kept nowhere."""

    id: str
    name: str
    role: str
    hint: str | None = None
    created_at: AwareDatetime
    revoked_at: AwareDatetime | None = None


class Project(Named):
    pass


class Member(Answer):
    user_id: str
    name: str
    email: str
    role: str


class DeviceClass(Answer):
    """One row of the public catalogue; the rate is what bills use."""

    class_id: str
    kind: str
    vendor: str
    model: str
    name: Text
    memory_mib: int | None = None
    nominal_fp16_tflops_milli: int | None = None
    published_rate_udu_per_hour: int | None = None
    rate_basis: str | None = None
    confidence: str | None = None
    source: str | None = None


class FreeQuota(Answer):
    """What a new tenant is given once; ``valid_days`` missing means that it never ends."""

    quantity_udu: int
    valid_days: int | None = None


class Pack(Answer):
    """Prepaid 度 (算力包)."""

    product: str
    name: Text
    quantity_udu: int
    price_ucny: int
    valid_days: int | None = None


class PriceBook(Answer):
    """All public prices of one version; ``device_rates`` is 10⁻⁶ 度 an hour of one whole device, by class."""

    on_demand_price_e8_per_du: int
    spot_price_e8_per_du: int | None = None
    device_rates: dict[str, int] = Field(default_factory=dict)
    cpu_with_accelerator_free: bool = False
    free_quota: FreeQuota | None = None
    packs: tuple[Pack, ...] = ()
    tokens: dict[str, Any] = Field(default_factory=dict)
    platform_fee_ppm: int | None = None


class Catalog(Answer):
    """Prices in force, and the device classes they are for."""

    version: int
    effective_from: AwareDatetime
    book: PriceBook
    device_classes: tuple[DeviceClass, ...] = ()


class PriceBookVersion(Answer):
    version: int
    effective_from: AwareDatetime
    published_at: AwareDatetime | None = None
    published_by: str | None = None
    book: PriceBook | None = None


class Check(Answer):
    """One check of the books or of the platform: what was looked at and what was found."""

    name: str
    ok: bool
    detail: Text
