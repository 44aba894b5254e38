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
    limits: dict[str, Any] = Field(default_factory=dict)
    problems: tuple[EngineProblem, ...] = ()


class Site(Answer):
    """``reachable`` is beside ``state``: an open site may be out of reach."""

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


class JoinToken(Answer):
    join_token: str
    expires_at: AwareDatetime

    @property
    def lost(self) -> bool:
        """Whether the only answer with the token in it never arrived; a new token can be had."""
        return is_withheld(self.join_token)


class SiteCreated(JoinToken):
    site: Site


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
