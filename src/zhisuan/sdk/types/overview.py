"""The first page of each kind of organisation."""

from typing import Annotated, Any, Literal

from pydantic import Field

from zhisuan.sdk.types.billing import Wallet
from zhisuan.sdk.types.common import Answer
from zhisuan.sdk.types.work import Workload


class Month(Answer):
    """The running month so far."""

    seconds: int | None = None
    quantity_udu: int = 0
    cash_ucny: int | None = None
    value_ucny: int | None = None
    carbon_ug: int | None = None


class Day(Answer):
    date: str
    quantity_udu: int


class TenantOverview(Answer):
    kind: Literal["tenant"]
    workloads: dict[str, int] = Field(default_factory=dict)
    recent: tuple[Workload, ...] = ()
    wallet: Wallet
    month: Month
    daily: tuple[Day, ...] = ()
    deployments: int = 0


class ProviderOverview(Answer):
    kind: Literal["provider"]
    sites: int
    reachable: int
    devices: dict[str, Any] = Field(default_factory=dict)
    used_ppm: int | None = None
    payable_fen: int
    month: Month
    daily: tuple[Day, ...] = ()


class Swept(Answer):
    """Stored files that nothing named any more, half-received ones among them, cleared away in the last days."""

    days: int
    file_count: int
    size_bytes: int


class OperatorOverview(Answer):
    kind: Literal["operator"]
    sites: dict[str, Any] = Field(default_factory=dict)
    organisations: dict[str, int] = Field(default_factory=dict)
    workloads: dict[str, int] = Field(default_factory=dict)
    waiting: int = 0
    utilisation: tuple[dict[str, Any], ...] = ()
    delivery_seconds_p50: Any = None
    month: Month
    daily: tuple[Day, ...] = ()
    quarantined: int = 0
    swept: Swept | None = None
    checks_ok: bool | None = None


class CityOverview(Answer):
    kind: Literal["city"]
    sites: Any = None
    providers: Any = None
    tenants: Any = None
    measured_mflops_total: int | None = None
    utilisation: Any = None
    month: Month
    energy_uwh: int | None = None
    carbon_ug: int | None = None
    daily: tuple[Day, ...] = ()


Overview = Annotated[TenantOverview | ProviderOverview | OperatorOverview | CityOverview, Field(discriminator="kind")]
