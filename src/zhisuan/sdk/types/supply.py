"""Sites, their nodes and devices, and what their owners earn."""

from typing import Any

from pydantic import AwareDatetime, Field

from zhisuan.base.text import Text
from zhisuan.sdk.types.common import Answer, Named, is_withheld


class Measurement(Answer):
    """One probe: ``mflops`` is 10⁶ floating-point operations a second."""

    precision: str
    mflops: int
    method: str | None = None
    at: AwareDatetime | None = None


class Device(Answer):
    """``capacity`` is milli-cores for ``cpu``, MiB for ``memory``, milli-cards for ``accelerator``. Nominal, published
    and measured performance are three different things and three fields."""

    id: str
    key: str
    kind: str
    class_id: str | None = None
    name: str
    capacity: int
    allocated: int = 0
    health: str
    note: str | None = None
    memory_mib: int | None = None
    nominal_tflops_milli: int | None = None
    published_rate_udu_per_hour: int | None = None
    measured: tuple[Measurement, ...] = ()


class Node(Answer):
    id: str
    hostname: str
    os: str | None = None
    architecture: str | None = None
    facts: dict[str, Any] = Field(default_factory=dict)
    devices: tuple[Device, ...] = ()


class EngineProblem(Answer):
    code: str
    message_en: str
    message_zh: str
    remedy_en: str
    remedy_zh: str


class Engine(Answer):
    """Empty until the site's agent has joined."""

    engine: str = ""
    version: str | None = None
    isolation: str = ""
    allow_unisolated: bool = False
    jupyterlab: bool | None = None
    limits: dict[str, Any] = Field(default_factory=dict)
    problems: tuple[EngineProblem, ...] = ()


class Offer(Answer):
    """Whether the devices are offered now, else why not; ``next_open`` and ``until`` where they are known. A window is
    ``{"days": ["mon", …], "from": "22:00", "to": "08:00"}`` in ``zone``; none means always."""

    offered: bool
    reason: Text | None = None
    next_open: AwareDatetime | None = None
    until: AwareDatetime | None = None
    zone: str = "Asia/Shanghai"
    windows: tuple[dict[str, Any], ...] = ()


class Recall(Answer):
    """The provider takes its devices back: ``announced``, ``stopping`` (the work has been told) or ``held``."""

    id: str
    state: str
    stop_at: AwareDatetime
    back_at: AwareDatetime
    until: AwareDatetime | None = None
    notice_seconds: int
    reason: str = ""


class Use(Answer):
    """Devices of one class, in milli-cores or milli-cards: held by leases, idle, and out of use."""

    kind: str
    class_id: str | None = None
    name: Text
    devices: int
    total: int
    allocated: int
    idle: int
    out: int


class Site(Answer):
    """``reachable`` is beside ``state``: an open site may be out of reach. Latitude and longitude are 10⁻⁶ degrees."""

    id: str
    name: str
    provider: Named
    state: str
    reachable: bool = False
    region: str
    region_name: Text | None = None
    pue_milli: int | None = None
    engine: Engine | None = None
    joined_at: AwareDatetime | None = None
    last_seen_at: AwareDatetime | None = None
    nodes: tuple[Node, ...] = ()
    leases_running: int = 0
    city: str | None = None
    latitude_e6: int | None = None
    longitude_e6: int | None = None
    echo_address: str | None = None
    tariff_ucny_per_kwh: int | None = None
    green_ppm: int | None = None
    clock_offset_ms: int | None = None
    credential_since: AwareDatetime | None = None
    revoked_at: AwareDatetime | None = None
    round_trip_us: int | None = None
    offer: Offer | None = None
    recall: Recall | None = None
    use: tuple[Use, ...] = ()


class JoinToken(Answer):
    join_token: str
    expires_at: AwareDatetime

    @property
    def lost(self) -> bool:
        """Whether the only answer with the token in it never arrived; a new token can be had."""
        return is_withheld(self.join_token)


class SiteCreated(JoinToken):
    site: Site


class TokenInfo(Answer):
    """A join token as it can be told from others: ``hint`` is how it ends. ``valid``, ``used``, ``expired``, ``revoked``."""

    id: str
    hint: str
    state: str
    created_at: AwareDatetime
    expires_at: AwareDatetime
    used_at: AwareDatetime | None = None
    revoked_at: AwareDatetime | None = None


class Condition(Answer):
    """A figure of a site from ``valid_from`` on: ``pue_milli``, ``tariff_ucny_per_kwh`` or ``green_ppm``."""

    id: str
    name: str
    value: int
    valid_from: AwareDatetime
    set_at: AwareDatetime
    set_by: str


class Flag(Answer):
    code: str
    en: str
    zh: str

    @property
    def text(self) -> Text:
        return Text(self.en, self.zh)


class ClassEvidence(Answer):
    """What speaks for one device class of a site; speeds are FP16/BF16 dense of one device, in 10⁻³ TFLOPS."""

    class_id: str | None = None
    kind: str
    name: Text
    claimed_count: int | None = None
    found_count: int
    healthy_count: int
    measured_count: int
    claimed_tflops_milli: int | None = None
    nominal_tflops_milli: int | None = None
    published_rate_udu_per_hour: int | None = None
    published_tflops_milli: int | None = None
    measured_tflops_milli: int | None = None
    measured_min_tflops_milli: int | None = None
    measured_share_ppm: int | None = None
    rate_factor_ppm: int = 1_000_000
    flags: tuple[Flag, ...] = ()


class Evidence(Answer):
    """``share_min_ppm``: measured below this share of what is claimed is flagged."""

    site_id: str
    share_min_ppm: int
    items: tuple[ClassEvidence, ...] = ()
    verification: dict[str, Any] | None = None
    factors: tuple[dict[str, Any], ...] = ()


class Reconciliation(Answer):
    """How many closed leases of a site stand how beside the engine's own account; ``none``: the engine gave none."""

    site_id: str
    tolerance_seconds: int
    tolerance_per_cent: int
    agrees: int = 0
    metered_more: int = 0
    metered_less: int = 0
    other_nodes: int = 0
    waiting: int = 0
    none: int = 0


class EngineAccount(Answer):
    """What a site's engine says of a lease's run; ``difference_milliseconds`` is metered minus the engine's time of it."""

    lease_id: str
    org_id: str
    site_id: str
    source: str
    reference: str
    state: str
    started_at: AwareDatetime
    ended_at: AwareDatetime
    elapsed_milliseconds: int
    cpu_milliseconds: int | None = None
    nodes: int | None = None
    verdict: str | None = None
    metered_seconds: int | None = None
    engine_milliseconds: int | None = None
    difference_milliseconds: int | None = None


class SiteEarning(Answer):
    settlement_id: str
    invoice_id: str
    month: str
    at: AwareDatetime
    leases: int
    seconds: int
    quantity_udu: int
    value_ucny: int
    fee_fen: int
    amount_fen: int


class SiteEarnings(Answer):
    """What one site has earned; ``unsettled_value_ucny`` is use, before the fee, that no settlement has divided yet."""

    site_id: str
    amount_fen: int
    fee_fen: int
    value_ucny: int
    unsettled_value_ucny: int
    items: tuple[SiteEarning, ...] = ()


class Earning(Answer):
    settlement_id: str
    invoice_id: str
    month: str | None = None
    at: AwareDatetime
    seconds: int = 0
    quantity_udu: int = 0
    value_ucny: int
    fee_fen: int
    amount_fen: int


class Earnings(Answer):
    """What a provider has earned, invoice by invoice, and what of it has been paid out."""

    payable_fen: int
    paid_fen: int
    items: tuple[Earning, ...] = ()


class Payout(Answer):
    transaction_id: str
    provider_id: str
    reference: str
    amount_fen: int
    at: AwareDatetime


class SiteLink(Answer):
    """The way ``to`` or ``from`` another site, in microseconds. ``bound_us``: what light needs between the two places;
    ``refused``: the measurement beats it."""

    site_id: str
    site_name: str
    direction: str
    at: AwareDatetime
    tries: int
    answered: int
    median_us: int | None = None
    best_us: int | None = None
    bound_us: int | None = None
    refused: bool = False
    note: str | None = None


class DemandPlace(Answer):
    """Where users are; ``reached``: how many sites have a round trip to it on record."""

    id: str
    name: str
    latitude_e6: int
    longitude_e6: int
    created_at: AwareDatetime
    reached: int = 0


class PlaceLink(Answer):
    """A round trip between a demand place and a site, in microseconds, as seen from one of them; ``bound_us``: what light in fibre
    needs between the two; ``refused``: it is not used."""

    place_id: str
    place_name: str
    site_id: str
    site_name: str
    direction: str
    round_trip_us: int
    method: str
    source: str
    at: AwareDatetime
    bound_us: int | None = None
    refused: bool = False
