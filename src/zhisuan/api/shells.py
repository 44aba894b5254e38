"""Who may have a shell beside running work, and where that work is; every "no" says why and what to do."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from zhisuan.base.db import Tx
from zhisuan.base.text import Text
from zhisuan.execution.tables import Lease
from zhisuan.supply import service as supply
from zhisuan.supply.tables import Site
from zhisuan.tenancy import service as tenancy
from zhisuan.tenancy.roles import allows
from zhisuan.tenancy.service import Principal
from zhisuan.wire.gateway import ShellAnswer, ShellQuestion, ShellRefusal
from zhisuan.workload import service as workloads
from zhisuan.workload.tables import Workload

ENTER = "org:workload:enter"
CAUSE = "shell opened"
NO_SHELLS_HERE = {
    "slurm": Text(
        "a step of Slurm beside the job would run outside its sandbox, with the rights of the platform's account",
        "在作业之外启动的 Slurm 步骤位于沙箱外部，并拥有平台账户的权限",
    ),
    "ray": Text("Ray has no sandbox that a shell could be held in", "Ray 没有可供终端使用的沙箱"),
    "local": Text("this site isolates no work", "该站点未对工作负载进行隔离"),
    "hosts": Text("no host of this site isolates work", "该站点没有主机对工作负载进行隔离"),
}


def answer(tx: Tx, question: ShellQuestion, ttl: timedelta) -> ShellAnswer:
    """``ttl``: for how long a site counts as there after it was heard. An opening is written into the history of the work, with who."""
    # Events of a workload are numbered: whoever adds one holds its row.
    found = tx.session.get(Workload, question.workload_id, with_for_update=question.opening)
    who = tenancy.by_digest(tx, question.credential_digest)
    if found is None or who is None or not _may_enter(who, found):
        return ShellAnswer(refusal=_unknown(question.workload_id))
    lease = tx.session.scalar(
        select(Lease).where(Lease.workload_id == found.id).order_by(Lease.generation.desc()).limit(1)
    )
    refusal = _refusal_of_state(found, lease)
    if refusal is None and lease is not None:
        site = tx.session.get_one(Site, lease.site_id)
        refusal = _refusal_of_rank(lease, question.rank) or _refusal_of_site(tx, site, ttl)
    if refusal is not None or lease is None:
        return ShellAnswer(refusal=refusal)
    if question.opening:
        workloads.note(replace(tx, actor=who.user_id), found, CAUSE, rank=question.rank, lease_id=lease.id)
    return ShellAnswer(lease_id=lease.id, generation=lease.generation, site_id=lease.site_id)


def _may_enter(who: Principal, found: Workload) -> bool:
    """A key that was made for one project leads into work of no other."""
    return who.org_id == found.org_id and who.project_id in (None, found.project_id) and allows(who.role, ENTER)


def _no(code: str, what: Text, remedy: Text, status: int = 409) -> ShellRefusal:
    return ShellRefusal(
        status=status, code=code, what_en=what.en, what_zh=what.zh, remedy_en=remedy.en, remedy_zh=remedy.zh
    )  # fmt: skip


def _unknown(workload_id: str) -> ShellRefusal:
    return _no(
        "not_found",
        Text(f"There is no workload {workload_id}, or it is not yours.", f"没有工作负载 {workload_id}，或您无权使用。"),
        Text("`zhisuan jobs` shows yours.", "可用 zhisuan jobs 查看。"),
        404,
    )


def _refusal_of_state(found: Workload, lease: Lease | None) -> ShellRefusal | None:
    ident = found.id
    if found.kind == "workspace":
        return _no(
            "is_workspace",
            Text(f"{ident} is a workspace, which has shells of its own.", f"{ident} 是工作空间，自带终端。"),
            Text(f"Use `zhisuan workspace shell {ident}`.", f"请使用 zhisuan workspace shell {ident}。"),
        )
    if found.state in workloads.RESTING_STATES:
        return _no(
            "workload_not_running",
            Text(f"{ident} is {found.state}: nothing of it runs.", f"{ident} 已处于 {found.state} 状态，没有正在运行的内容。"),
            Text(f"`zhisuan logs {ident}` shows what it wrote.", f"可用 zhisuan logs {ident} 查看输出。"),
        )
    if lease is None or lease.state == "closed" or found.state == "pending":
        return _no(
            "workload_waiting",
            Text(f"{ident} does not run yet: it waits for a place.", f"{ident} 尚未运行，正在等待资源。"),
            Text(f"`zhisuan why {ident}` says what it waits for.", f"zhisuan why {ident} 会说明原因。"),
        )
    if lease.desired == "stop" or lease.state == "ending":
        return _no(
            "workload_ending",
            Text(f"{ident} is being stopped.", f"{ident} 正在停止。"),
            Text(f"`zhisuan jobs show {ident}` says what becomes of it.", f"可用 zhisuan jobs show {ident} 查看结果。"),
        )
    if lease.state != "active":
        return _no(
            "workload_starting",
            Text(f"{ident} is starting: there is no sandbox to enter yet.", f"{ident} 正在启动，沙箱尚未就绪。"),
            Text("Try again in a moment.", "请稍候重试。"),
        )
    return None


def _refusal_of_rank(lease: Lease, rank: int) -> ShellRefusal | None:
    nodes = len(lease.node_ids)
    if rank < nodes:
        return None
    return _no(
        "no_such_rank",
        Text(f"It runs on {nodes} node(s): there is no rank {rank}.", f"该工作负载运行在 {nodes} 个节点上，没有编号为 {rank} 的节点。"),
        Text(f"Ranks go from 0 to {nodes - 1}.", f"节点编号为 0 到 {nodes - 1}。"),
        404,
    )


def _refusal_of_site(tx: Tx, site: Site, ttl: timedelta) -> ShellRefusal | None:
    facts: dict[str, Any] = site.engine or {}
    engine = str(facts.get("engine", ""))
    if facts.get("shells") is False:
        why = NO_SHELLS_HERE.get(engine, Text("its engine has none", "其引擎不支持"))
        return _no(
            "engine_without_shells",
            Text(f"There are no shells beside work at this site ({engine}): {why.en}.", f"该站点（{engine}）不支持进入运行中的工作负载：{why.zh}。"),
            Text(
                "Its output is in `zhisuan logs`; a workspace is a session of its own: `zhisuan workspace start`.",
                "可用 zhisuan logs 查看输出；如需交互，请使用 zhisuan workspace start。",
            ),
        )
    if facts.get("shells") is None:
        return _no(
            "agent_without_shells",
            Text("The agent of this site is too old for shells beside work.", "该站点的代理版本过旧，不支持进入运行中的工作负载。"),
            Text("Its provider can upgrade it; the work goes on meanwhile.", "请提供方升级代理；工作负载不受影响。"),
        )
    if not supply.is_reachable(site, tx.now, ttl):
        return _no(
            "site_unreachable",
            Text(f"The site {site.name} is not heard from now. The work goes on there.", f"站点 {site.name} 暂时失去联系，工作负载仍在站点运行。"),
            Text("Try again soon.", "请稍后重试。"),
            503,
        )
    return None
