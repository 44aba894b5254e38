"""Setting quotas and showing them: the tree of one organisation, or all organisations for the operator."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import select

from zhisuan.api import queueing
from zhisuan.api.launching import market_of, snapshot_of
from zhisuan.api.queue_schemas import QuotaPage, QuotaView
from zhisuan.base.db import Tx
from zhisuan.base.errors import FieldProblem, InvalidInput, NotFound
from zhisuan.base.paging import decode_cursor, page_of
from zhisuan.base.text import Text
from zhisuan.execution import holding, sharing
from zhisuan.placement.queueing.quotas import Accounts, problems_of
from zhisuan.placement.queueing.shares import HELD_SECONDS, SCALE, dominant
from zhisuan.placement.queueing.types import NOTHING, Amounts, Limit, Quota
from zhisuan.tenancy import service as tenancy
from zhisuan.tenancy.tables import Organisation, Project
from zhisuan.workload.queue_tables import QuotaRow


@dataclass(frozen=True, slots=True)
class Terms:
    """What a quota is to be. ``parent``: a project of the same organisation, by name or id; None: the organisation itself."""

    guaranteed: Amounts
    limit: Limit
    weight: int
    parent: str | None = None


def tree_of(tx: Tx, org_id: str) -> list[Quota]:
    """The organisation and all its projects, with the quotas that were set and the defaults of the others."""
    found = {quota.subject: quota for quota in holding.quotas_of(tx, [org_id])}
    org = tx.session.get_one(Organisation, org_id)
    tree = [found.get(org_id) or Quota(org_id, org.name, None)]
    for project in tx.session.scalars(select(Project).where(Project.org_id == org_id).order_by(Project.id)):
        tree.append(found.get(project.id) or Quota(project.id, project.name, org_id))
    return tree


def find_subject(tx: Tx, named: str, org_id: str | None) -> tuple[str, str | None]:
    """(organisation, project or None). ``org_id``: the only organisation whose subjects the caller sees; None: any. Raises ``NotFound``."""
    project = tx.session.get(Project, named)
    if project is None and org_id is not None and named != org_id:
        project = tx.session.scalar(select(Project).where(Project.org_id == org_id, Project.name == named))
    if project is not None and org_id in (None, project.org_id):
        return project.org_id, project.id
    org = tx.session.get(Organisation, named)
    if org is None or org_id not in (None, org.id):
        raise NotFound.of(Text("organisation or project", "组织或项目"), named)
    return org.id, None


def set_quota(tx: Tx, org_id: str, project_id: str | None, terms: Terms) -> None:
    """Set the quota of an organisation or of one of its projects. What runs goes on, also where it is above the new limit. Raises
    ``InvalidInput`` naming all that would be wrong with the organisation's quotas."""
    tx.session.get_one(Organisation, org_id, with_for_update=True)
    tree = tree_of(tx, org_id)
    parent_id = None
    if project_id is not None and terms.parent is not None:
        parent_id = tenancy.project_named(tx, org_id, terms.parent).id
    subject = project_id or org_id
    wanted = [
        replace(q, parent=None if project_id is None else parent_id or org_id, guaranteed=terms.guaranteed, limit=terms.limit, weight=terms.weight)
        if q.subject == subject else q
        for q in tree
    ]  # fmt: skip
    problems = problems_of(wanted)
    if problems:
        raise InvalidInput(
            Text("These quotas do not go together.", "配额设置有误。"),
            Text("Correct what is named below; `zhisuan quota show` shows the tree.", "请按下列提示修改；zhisuan quota show 可查看全部配额。"),
            code=problems[0].code,
            problems=[FieldProblem(p.subject, p.text) for p in problems],
        )
    row = tx.session.get(QuotaRow, subject, with_for_update=True)
    if row is None:
        row = QuotaRow(subject=subject, org_id=org_id, project_id=project_id)
        tx.session.add(row)
    row.parent_id = parent_id
    row.cards_milli, row.cores_milli = terms.guaranteed.cards_milli, terms.guaranteed.cores_milli
    row.cards_limit_milli, row.cores_limit_milli = terms.limit.cards_milli, terms.limit.cores_milli
    row.weight, row.set_by, row.set_at = terms.weight, tx.actor, tx.now
    tx.session.flush()
    tx.emit("quota.set", subject, {"org_id": org_id, **_event(row)})


def _event(row: QuotaRow) -> dict[str, int | str | None]:
    return {
        "cards_milli": row.cards_milli, "cores_milli": row.cores_milli, "cards_limit_milli": row.cards_limit_milli,
        "cores_limit_milli": row.cores_limit_milli, "weight": row.weight, "parent_id": row.parent_id,
    }  # fmt: skip


def show_tree(tx: Tx, org_id: str, ttl: timedelta) -> QuotaPage:
    """One organisation, then its projects."""
    return QuotaPage(items=_views(tx, tree_of(tx, org_id), [org_id], _capacity(tx, ttl), org_id))


def show_all(tx: Tx, ttl: timedelta, limit: int, cursor: str | None) -> QuotaPage:
    """All tenants, for the operator, with what there is to give."""
    query = select(Organisation).where(Organisation.kind == "tenant").order_by(Organisation.id).limit(limit + 1)
    after = decode_cursor(cursor)
    if after is not None:
        query = query.where(Organisation.id > after)
    page = page_of(tx.session.scalars(query).all(), limit, lambda org: org.id)
    ids = [org.id for org in page.items]
    found = {quota.subject: quota for quota in holding.quotas_of(tx, ids)}
    capacity = _capacity(tx, ttl)
    rows = [found.get(org.id) or Quota(org.id, org.name, None) for org in page.items]
    return QuotaPage(
        items=_views(tx, rows, ids, capacity, None), next_cursor=page.next_cursor, capacity_cards_milli=capacity.cards_milli,
        capacity_cores_milli=capacity.cores_milli,
    )  # fmt: skip


def _capacity(tx: Tx, ttl: timedelta) -> Amounts:
    return queueing.capacity_of(snapshot_of(tx, market_of(tx), ttl))


def _views(
    tx: Tx, quotas: Sequence[Quota], org_ids: Collection[str], capacity: Amounts, org_id: str | None
) -> list[QuotaView]:
    accounts, used = holding.to_look(tx, org_ids), sharing.recent_by(tx, org_ids)
    is_set = set(tx.session.scalars(select(QuotaRow.subject).where(QuotaRow.org_id.in_(org_ids))))
    return [quota_view(q, org_id or q.subject, accounts, used, capacity, is_set=q.subject in is_set) for q in quotas]


def quota_view(
    quota: Quota, org_id: str, accounts: Accounts, used: Mapping[str, Amounts], capacity: Amounts, *, is_set: bool
) -> QuotaView:
    held = accounts.held(quota.subject)
    borrowed, left, recent = held.above(quota.guaranteed), quota.limit.left(held), used.get(quota.subject, NOTHING)
    return QuotaView(
        subject=quota.subject, kind="organisation" if quota.parent is None else "project", name=quota.name, organisation_id=org_id,
        parent_id=quota.parent, guaranteed_cards_milli=quota.guaranteed.cards_milli, guaranteed_cores_milli=quota.guaranteed.cores_milli,
        limit_cards_milli=quota.limit.cards_milli, limit_cores_milli=quota.limit.cores_milli, weight=quota.weight,
        held_cards_milli=held.cards_milli, held_cores_milli=held.cores_milli, borrowed_cards_milli=borrowed.cards_milli,
        borrowed_cores_milli=borrowed.cores_milli, left_cards_milli=left.cards_milli, left_cores_milli=left.cores_milli,
        used_cards_seconds_milli=recent.cards_milli, used_cores_seconds_milli=recent.cores_milli,
        share_ppm=share_ppm(dominant(recent, held, capacity, quota.weight)), is_set=is_set,
    )  # fmt: skip


def share_ppm(share: int) -> int:
    """A share of ``shares.dominant`` as parts in a million of an hour of all there is."""
    return share * 1_000_000 // (SCALE * HELD_SECONDS)
