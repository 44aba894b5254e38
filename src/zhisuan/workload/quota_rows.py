"""Reading quotas with the names of whose they are."""

from collections.abc import Collection

from sqlalchemy import select

from zhisuan.base.db import Tx
from zhisuan.tenancy.tables import Organisation, Project
from zhisuan.workload.queue_tables import QuotaRow


def lock_limits(tx: Tx, org_ids: Collection[str]) -> bool:
    """Lock the quotas of these organisations that limit something, by id, until the transaction ends; whether there are any."""
    limited = select(QuotaRow.subject).where(
        QuotaRow.org_id.in_(org_ids), QuotaRow.cards_limit_milli.is_not(None) | QuotaRow.cores_limit_milli.is_not(None)
    )
    return bool(org_ids) and bool(tx.session.scalars(limited.order_by(QuotaRow.subject).with_for_update()).all())


def read_quotas(tx: Tx, org_ids: Collection[str]) -> list[tuple[QuotaRow, str]]:
    """With names; organisations first."""
    rows = tx.session.execute(
        select(QuotaRow, Organisation.name, Project.name)
        .join(Organisation, Organisation.id == QuotaRow.org_id)
        .outerjoin(Project, Project.id == QuotaRow.project_id)
        .where(QuotaRow.org_id.in_(org_ids))
        .order_by(QuotaRow.project_id.is_not(None), QuotaRow.subject)
        .execution_options(populate_existing=True)
    )
    return [(row, project_name or org_name) for row, org_name, project_name in rows]
