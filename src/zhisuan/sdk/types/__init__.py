"""The answers of the API, typed."""

from zhisuan.sdk.types.account import (
    ApiKey,
    Catalog,
    Check,
    DeviceClass,
    FreeQuota,
    Health,
    Me,
    Member,
    Organisation,
    Pack,
    Person,
    Platform,
    PriceBook,
    PriceBookVersion,
    Project,
    SignedUp,
)
from zhisuan.sdk.types.billing import (
    Bill,
    Charge,
    Grant,
    Invoice,
    InvoiceDetail,
    InvoiceLine,
    Order,
    Settlement,
    Station,
    TopUp,
    Trace,
    TraceRecord,
    Wallet,
)
from zhisuan.sdk.types.common import Answer, Credential, Named, TokenCounts
from zhisuan.sdk.types.overview import (
    CityOverview,
    OperatorOverview,
    Overview,
    ProviderOverview,
    TenantOverview,
)
from zhisuan.sdk.types.registry import Deployment, Model, ModelDetail, ModelVersion
from zhisuan.sdk.types.supply import (
    Device,
    Earning,
    Earnings,
    JoinToken,
    Measurement,
    Node,
    Payout,
    Site,
    SiteCreated,
)
from zhisuan.sdk.types.work import (
    Artefact,
    Blob,
    Candidate,
    EndEvent,
    Event,
    Launched,
    Lease,
    LogEvent,
    LogPart,
    Placement,
    Quote,
    Rejected,
    ScorePart,
    StateEvent,
    WatchEvent,
    Why,
    Workload,
    WorkloadDetail,
)

__all__ = [
    "Answer", "ApiKey", "Artefact", "Bill", "Blob", "Candidate", "Catalog", "Charge", "Check", "CityOverview",
    "Credential", "Deployment", "Device", "DeviceClass", "Earning", "Earnings", "EndEvent", "Event", "FreeQuota", "Grant", "Health",
    "Invoice", "InvoiceDetail", "InvoiceLine", "JoinToken", "Launched", "Lease", "LogEvent", "LogPart", "Me",
    "Measurement", "Member", "Model", "ModelDetail", "ModelVersion", "Named", "Node", "OperatorOverview", "Order",
    "Organisation", "Overview", "Pack", "Payout", "Person", "Placement", "Platform", "PriceBook", "PriceBookVersion", "Project",
    "ProviderOverview", "Quote", "Rejected", "ScorePart", "Settlement", "SignedUp", "Site", "SiteCreated", "StateEvent", "Station",
    "TenantOverview", "TokenCounts", "TopUp", "Trace", "TraceRecord", "Wallet", "WatchEvent", "Why", "Workload",
    "WorkloadDetail",
]  # fmt: skip
