"""Workspaces as the API shows them, and what the gateway is told of them."""

from collections.abc import Sequence
from typing import Literal
from urllib.parse import urlencode

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on

from zhisuan.api.views import workload_views
from zhisuan.api.workspace_schemas import WorkspaceLink, WorkspaceView
from zhisuan.base.db import Tx
from zhisuan.base.errors import Conflict, NotFound
from zhisuan.base.money import cost_ucny
from zhisuan.base.text import Text
from zhisuan.execution import service as execution
from zhisuan.execution.tables import Lease
from zhisuan.ledger.tables import Charge
from zhisuan.supply.tables import Site
from zhisuan.tenancy import service as tenancy
from zhisuan.tenancy.roles import allows
from zhisuan.wire.gateway import WorkspaceAnswer, WorkspaceQuestion
from zhisuan.workload import service as workloads
from zhisuan.workload import workspace, workspace_sessions
from zhisuan.workload.tables import Workload

USE = "org:workload:write"
Status = Literal["waiting", "starting", "ready", "ended"]


def visible(tx: Tx, workload_id: str, org_id: str | None) -> Workload:
    """A workspace; unknown, another organisation's and another kind of work are answered alike."""
    found = tx.session.get(Workload, workload_id)
    if found is None or found.kind != "workspace" or (org_id is not None and found.org_id != org_id):
        raise NotFound.of(Text("workspace", "工作空间"), workload_id)
    return found


def status_of(found: Workload, lease: Lease | None) -> Status:
    if found.state in workloads.FINAL_STATES or (lease is not None and lease.state == "ending"):
        return "ended"
    if lease is None or lease.state == "closed":
        return "waiting"
    return "ready" if lease.state == "active" and lease.ready and lease.desired == "run" else "starting"


def views(tx: Tx, found: Sequence[Workload], gateway_url: str) -> list[WorkspaceView]:
    """In a fixed number of queries."""
    ids = [w.id for w in found]
    leases = {x.workload_id: x for x in _last_leases(tx, ids)}
    sites = dict(
        tx.session.execute(
            select(Site.id, Site.name).where(Site.id.in_({x.site_id for x in leases.values()}))
        ).all()
    )  # fmt: skip
    seconds: dict[str, int] = {}
    for lease in tx.session.scalars(select(Lease).where(Lease.workload_id.in_(ids))):
        seconds[lease.workload_id] = seconds.get(lease.workload_id, 0) + execution.active_seconds(lease, tx.now)
    charged = {
        str(i): (int(cash), int(quantity))
        for i, cash, quantity in tx.session.execute(
            select(Lease.workload_id, func.sum(Charge.cash_ucny), func.sum(Charge.quantity_udu))
            .join(Charge, Charge.lease_id == Lease.id)
            .where(Lease.workload_id.in_(ids))
            .group_by(Lease.workload_id)
        ).all()
    }
    return [
        WorkspaceView(
            **view.model_dump(), session=w.spec["workspace"], status=status_of(w, leases.get(w.id)),
            site_name=sites.get(leases[w.id].site_id) if w.id in leases else None, seconds=seconds.get(w.id, 0),
            cash_ucny=charged.get(w.id, (0, 0))[0], charged_udu=charged.get(w.id, (0, 0))[1],
            hour_ucny=cost_ucny(view.rate_udu_per_hour, view.price_e8_per_du), gateway_url=gateway_url,
        )
        for w, view in zip(found, workload_views(tx, found), strict=True)
    ]  # fmt: skip


def _last_leases(tx: Tx, workload_ids: Sequence[str]) -> Sequence[Lease]:
    return tx.session.scalars(
        select(Lease)
        .where(Lease.workload_id.in_(workload_ids))
        .order_by(Lease.workload_id, Lease.generation.desc())
        .ext(distinct_on(Lease.workload_id))
    ).all()


def link(tx: Tx, found: Workload, user_id: str, address: str | None) -> WorkspaceLink:
    """A link for a browser. Raises ``Conflict`` for a workspace that is over, or where workspaces have no address."""
    if found.state in workloads.FINAL_STATES:
        raise Conflict(
            Text("This workspace has ended.", "该工作空间已结束。"),
            Text("Start another one: `zhisuan workspace start`.", "请新建一个：zhisuan workspace start。"),
            code="workspace_ended",
        )
    if address is None:
        raise Conflict(
            Text(
                "This platform has no addresses for workspaces in a browser: each needs a host name of its own.",
                "本平台尚未为浏览器中的工作空间设置地址：每个工作空间需要独立的主机名。",
            ),
            Text(
                "Use `zhisuan workspace shell`; the operator can set ZHISUAN_WORKSPACE_URL (docs/howto/operator.md).",
                "请使用 zhisuan workspace shell；运营方可设置 ZHISUAN_WORKSPACE_URL（见 docs/howto/operator.md）。",
            ),
            code="workspace_without_address",
        )
    ticket = workspace_sessions.make_ticket(tx, found, user_id)
    where = address + workspace.base_path(found.id) + "_enter?" + urlencode({"ticket": ticket})
    return WorkspaceLink(url=where, until=tx.now + workspace_sessions.TICKET)


def answer(tx: Tx, question: WorkspaceQuestion) -> WorkspaceAnswer:
    """Whether the holder of a credential may use a workspace, and where it is now."""
    found = tx.session.get(Workload, question.workload_id)
    if found is None or found.kind != "workspace" or not _may_use(tx, found, question.credential_digest):
        return WorkspaceAnswer(valid=False)
    lease = next(iter(_last_leases(tx, [found.id])), None)
    status = status_of(found, lease)
    if lease is None or status in ("waiting", "ended"):
        return WorkspaceAnswer(valid=True, state=status, org_id=found.org_id, ttl_seconds=1)
    return WorkspaceAnswer(
        valid=True, state=status, org_id=found.org_id, lease_id=lease.id, generation=lease.generation, site_id=lease.site_id,
        token=lease.offer["env"]["ZHISUAN_WORKSPACE_TOKEN"], ttl_seconds=5 if status == "ready" else 1,
    )  # fmt: skip


def _may_use(tx: Tx, found: Workload, credential_digest: str) -> bool:
    session = workspace_sessions.holder(tx, found.id, credential_digest)
    if session is not None:
        role = tenancy.role_of(tx, session.org_id, session.user_id)
        return role is not None and allows(role, USE)
    who = tenancy.by_digest(tx, credential_digest)
    return who is not None and who.org_id == found.org_id and allows(who.role, USE)
