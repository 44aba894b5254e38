"""All tables of the platform in one metadata."""

import zhisuan.base.idempotency
import zhisuan.base.outbox
import zhisuan.catalog.tables
import zhisuan.data.tables
import zhisuan.execution.tables
import zhisuan.ledger.tables
import zhisuan.models.tables
import zhisuan.settlement.tables
import zhisuan.supply.changes
import zhisuan.supply.tables
import zhisuan.tenancy.tables
import zhisuan.usage.tables
import zhisuan.workload.queue_tables
import zhisuan.workload.tables  # noqa: F401 - each import adds its tables
from zhisuan.base.db import Table

METADATA = Table.metadata
