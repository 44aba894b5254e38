"""The answers of the API. Amounts are whole numbers: ``_ucny`` 10⁻⁶ yuan, ``_udu`` 10⁻⁶ 度, ``_fen``, ``_ppm``, ``_milli``."""

from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")


class Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Body(BaseModel):
    """A request body; a field that is not known is refused by name."""

    model_config = ConfigDict(extra="forbid")


class PageOf(Answer, Generic[T]):
    items: list[T]
    next_cursor: str | None = None


class Words(Answer):
    en: str
    zh: str


class KeyMade(Answer):
    id: str
    secret: str


class SignedUp(Answer):
    organisation_id: str
    user_id: str
    project_id: str
    key: KeyMade


class OrganisationView(Answer):
    id: str
    kind: str
    name: str
    created_at: datetime


class KeyView(Answer):
    id: str
    name: str
    role: str
    hint: str
    created_at: datetime
    revoked_at: datetime | None


class ProjectView(Answer):
    id: str
    name: str
    created_at: datetime


class MemberView(Answer):
    user_id: str
    name: str
    email: str
    role: str


class Me(Answer):
    organisation: dict[str, str]
    user: dict[str, str]
    role: str
    permissions: list[str]
    project_id: str | None


class MeasuredView(Answer):
    precision: str
    mflops: int
    method: str
    at: datetime


class DeviceView(Answer):
    """Nominal (data sheet), published (what bills use) and measured performance are three fields, never one."""

    id: str
    key: str
    kind: str
    class_id: str | None
    name: str
    capacity: int
    allocated: int
    health: str
    note: str | None
    memory_mib: int | None
    nominal_tflops_milli: int | None
    published_rate_udu_per_hour: int | None
    measured: list[MeasuredView]


class NodeView(Answer):
    id: str
    hostname: str
    os: str
    architecture: str
    present: bool
    facts: dict[str, Any]
    devices: list[DeviceView]


class OfferView(Answer):
    """Whether the devices are offered now, and why not; ``next_open`` and ``until`` where they are known."""

    offered: bool
    reason: Words | None
    next_open: datetime | None
    until: datetime | None
    zone: str
    windows: list[dict[str, Any]]


class RecallView(Answer):
    """A recall under way: ``announced``, ``stopping`` (its work has been told) or ``held`` (nothing runs there)."""

    id: str
    state: str
    stop_at: datetime
    back_at: datetime
    until: datetime | None
    notice_seconds: int
    reason: str
    asked_at: datetime
    held_at: datetime | None


class UseView(Answer):
    """The devices of one class over all nodes, in milli-cores or milli-cards: what leases hold, what is idle, and what
    cannot be used now (failed, or of a node that is not there)."""

    kind: str
    class_id: str | None
    name: Words
    devices: int
    total: int
    allocated: int
    idle: int
    out: int


class SiteView(Answer):
    """``pue_milli`` and the tariff are those in force now; latitude and longitude are 10⁻⁶ degrees."""

    id: str
    name: str
    provider: dict[str, str]
    state: str
    reachable: bool
    region: str
    region_name: Words
    pue_milli: int
    engine: dict[str, Any]
    joined_at: datetime | None
    last_seen_at: datetime | None
    nodes: list[NodeView]
    leases_running: int
    city: str | None = None
    latitude_e6: int | None = None
    longitude_e6: int | None = None
    echo_address: str | None = None
    tariff_ucny_per_kwh: int | None = None
    green_ppm: int | None = None
    clock_offset_ms: int | None = None
    credential_since: datetime | None = None
    revoked_at: datetime | None = None
    offer: OfferView | None = None
    recall: RecallView | None = None
    use: list[UseView] = []
    round_trip_us: int | None = None


class SiteInvited(Answer):
    site: SiteView
    join_token: str
    expires_at: datetime


class TokenMade(Answer):
    id: str
    join_token: str
    expires_at: datetime


class WorkloadView(Answer):
    id: str
    kind: str
    name: str
    state: str
    project_id: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    created_by: str
    exit_code: int | None
    reason: str | None
    message: str | None
    progress_ppm: int | None
    progress_message: str | None
    attempts: int
    resources: dict[str, Any]
    rate_udu_per_hour: int
    price_e8_per_du: int


class LeaseView(Answer):
    id: str
    generation: int
    site_id: str
    site_name: str
    node_hostnames: list[str]
    state: str
    offered_at: datetime
    accepted_at: datetime | None
    active_from: datetime | None
    active_to: datetime | None
    closed_at: datetime | None
    ready: bool | None
    exit_code: int | None
    reason: str | None
    message: str | None
    fault: str | None
    rate_udu_per_hour: int
    seconds: int


class PlaceView(Answer):
    site_id: str
    site_name: str
    node_hostnames: list[str]


class PlacementView(Answer):
    id: str
    at: datetime
    chosen: PlaceView | None
    candidates: list[dict[str, Any]]
    rejected: list[dict[str, Any]]
    reason: Words


class EventView(Answer):
    number: int
    at: datetime
    state: str
    cause: str
    actor: str
    detail: dict[str, Any]


class WorkloadLaunched(Answer):
    workload: WorkloadView
    placement: PlacementView | None


class LogText(Answer):
    text: str
    offset: int
    next_offset: int
    complete: bool


class ArtefactView(Answer):
    id: str
    path: str
    size_bytes: int
    sha256: str
    created_at: datetime


class BlobView(Answer):
    id: str
    sha256: str
    size_bytes: int


class GrantView(Answer):
    id: str
    kind: str
    product: str
    quantity_udu: int
    left_udu: int
    created_at: datetime
    expires_at: datetime | None


class WalletView(Answer):
    wallet_ucny: int
    arrears_ucny: int
    spendable_udu: int
    price_e8_per_du: int
    grants: list[GrantView]


class OrderView(Answer):
    id: str
    product: str
    quantity: int
    amount_ucny: int
    quantity_udu: int
    at: datetime
    grant_id: str | None = None


class TopUpView(Answer):
    id: str
    org_id: str
    amount_ucny: int
    channel: str
    reference: str
    at: datetime


class PriceBookView(Answer):
    version: int
    effective_from: datetime
    published_at: datetime
    published_by: str
    book: dict[str, Any]


class VersionView(Answer):
    id: str
    number: int
    created_at: datetime
    workload_id: str
    files: list[dict[str, Any]]
    evaluation: dict[str, Any] | None
    created_by: str


class ModelView(Answer):
    id: str
    name: str
    description: str
    created_at: datetime
    latest: VersionView | None
    deployed: bool


class ModelDetail(ModelView):
    versions: list[VersionView]


class TokenTotals(Answer):
    input: int = 0
    cached_input: int = 0
    output: int = 0
    calls: int = 0


class DeploymentView(Answer):
    id: str
    model: str
    version: int
    workload_id: str
    state: str
    ready_replicas: int
    created_at: datetime
    ended_at: datetime | None
    base_url: str
    tokens: TokenTotals


class SliceView(Answer):
    purse: str
    grant_id: str | None
    quantity_udu: int
    value_ucny: int
    cash_ucny: int


class ChargeView(Answer):
    id: str
    kind: str
    subject: str
    lease_id: str
    at: datetime
    seconds: int
    tokens: int
    quantity_udu: int
    value_ucny: int
    cash_ucny: int
    price_book_version: int
    price_e8_per_du: int
    invoice_line_id: str | None
    rule: Words
    slices: list[SliceView]


class InvoiceView(Answer):
    id: str
    org_id: str
    number: int
    month: str
    from_at: datetime
    to_at: datetime
    issued_at: datetime
    total_ucny: int
    total_fen: int
    rounding_ucny: int


class InvoiceLineView(Answer):
    id: str
    number: int
    kind: str
    subject: str
    title: Words
    seconds: int
    tokens: int
    quantity_udu: int
    amount_ucny: int
    shown_fen: int
    value_ucny: int
    detail: dict[str, Any]


class InvoiceDetail(InvoiceView):
    lines: list[InvoiceLineView]


class SettlementView(Answer):
    id: str
    invoice_id: str
    at: datetime
    value_ucny: int
    total_fen: int
    shares: list[dict[str, Any]]


class CheckView(Answer):
    name: str
    ok: bool
    detail: Words


class Checks(Answer):
    items: list[CheckView]


class Station(Answer):
    station: str
    records: list[dict[str, Any]]


class Trace(Answer):
    id: str
    stations: list[Station]


class PlatformView(Answer):
    version: str
    gateway_url: str
    console_url: str
    region: str


class Health(Answer):
    status: str = Field(description="'ok' while the database answers")
    version: str
