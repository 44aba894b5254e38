"""Leases, windows and model calls for usage tests."""

from datetime import UTC, datetime, timedelta

from zhisuan.base.db import Database
from zhisuan.execution.tables import Lease
from zhisuan.testing.database import START
from zhisuan.usage import service as usage
from zhisuan.wire.common import Accepted
from zhisuan.wire.gateway import TokenUsage
from zhisuan.wire.site import UsageWindow

SITE, GATEWAY, ORG = "site_one", "gateway-1", "org_tenant"
MINUTE = timedelta(minutes=1)


def add_lease(
    database: Database, lease_id: str, *, rate: int = 1_000_000, active_from: datetime | None = START,
    active_to: datetime | None = None, site: str = SITE, org: str = ORG, generation: int = 1, workload: str = "",
) -> str:  # fmt: skip
    with database.begin("test") as tx:
        tx.session.add(
            Lease(
                id=lease_id, workload_id=workload or f"job_{lease_id}", generation=generation, org_id=org, site_id=site,
                provider_id="org_provider", node_ids=["node_1"], placement_id="plc_1", quote_id="quo_1", state="active",
                desired="run", term_seconds=7200, offer={}, rate_udu_per_hour=rate, power_milliwatts=400_000, pue_milli=1200, region="cn-west",
                offered_at=START, active_from=active_from, active_to=active_to, cpu_milliseconds=0, memory_peak_bytes=0,
            )
        )  # fmt: skip
    return lease_id


def window(
    lease_id: str, start: datetime, end: datetime, *, ident: str | None = None, generation: int = 1
) -> UsageWindow:
    epoch = int(start.astimezone(UTC).timestamp())
    return UsageWindow(
        lease_id=lease_id, generation=generation, id=ident or f"{lease_id}:{generation}:{epoch}", start=start, end=end
    )


def minutes(lease_id: str, count: int, start: datetime = START) -> list[UsageWindow]:
    return [window(lease_id, start + n * MINUTE, start + (n + 1) * MINUTE) for n in range(count)]


def call(ident: str, lease_id: str, at: datetime = START, **changes: object) -> TokenUsage:
    return TokenUsage.model_validate({
        "id": ident, "at": at, "org_id": ORG, "project_id": None, "key_id": "key_1", "deployment_id": "dep_1",
        "lease_id": lease_id, "model": "scenic-qa", "input_tokens": 5, "cached_input_tokens": 2, "output_tokens": 7,
        "duration_ms": 12, **changes,
    })  # fmt: skip


def send(database: Database, windows: list[UsageWindow], site: str = SITE) -> Accepted:
    with database.begin(site) as tx:
        return usage.accept_windows(tx, site, windows)


def send_calls(database: Database, events: list[TokenUsage]) -> Accepted:
    with database.begin(GATEWAY) as tx:
        return usage.accept_token_events(tx, GATEWAY, events)


def kept_aside(database: Database) -> list[tuple[str, str]]:
    """Unresolved quarantined events: id and code."""
    with database.begin("test") as tx:
        return [(event.event_id, event.code) for event in usage.list_quarantined(tx.session, limit=1000)]
