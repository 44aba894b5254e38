"""Inviting sites, taking in their inventory, and knowing whether they can be heard."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError

from zhisuan.base import secrets
from zhisuan.base.db import Tx
from zhisuan.base.errors import Conflict, FieldProblem, InvalidInput, NotAuthenticated, NotFound
from zhisuan.base.text import Text
from zhisuan.supply.grid_factors import UnknownGridFactor, grid_factor
from zhisuan.supply.inventory import EngineRecord, NodeRecord
from zhisuan.supply.tables import Device, JoinToken, Measurement, Node, Site, SiteSilence

TOKEN_LIFE = timedelta(hours=24)
SILENCE_LOCK = 722_302
TRANSITIONS = {
    "verify": ({"joining"}, "verified"),
    "open": ({"verified", "draining"}, "open"),
    "drain": ({"open"}, "draining"),
    "close": ({"invited", "joining", "verified", "draining"}, "closed"),
}


@dataclass(frozen=True, slots=True)
class Invitation:
    """A site that may join, and the token that lets its agent do so once."""

    site: Site
    token: str
    expires_at: datetime


def create_site(tx: Tx, *, provider_id: str, name: str, region: str, pue_milli: int) -> Invitation:
    """A site in state ``invited``. Raises ``InvalidInput`` for a region without a grid factor: carbon is never guessed."""
    problems = []
    if not 1 <= len(name.strip()) <= 60:
        problems.append(FieldProblem("name", Text("takes 1 to 60 characters", "须为 1 到 60 个字符")))
    if not 1000 <= pue_milli <= 3000:
        problems.append(FieldProblem("pue_milli", Text("lies between 1000 and 3000", "须在 1000 到 3000 之间")))
    try:
        grid_factor(region)
    except UnknownGridFactor as error:
        problems.append(FieldProblem("region", Text(str(error), f"没有 {region} 的电网排放因子")))
    if problems:
        raise InvalidInput(
            Text("The site cannot be registered as described.", "站点信息有误，无法登记。"),
            Text("Correct the fields named below.", "请按下列提示修改。"),
            problems=problems,
        )
    site = Site(
        id=tx.ids.new("site"), provider_id=provider_id, name=name.strip(), state="invited", region=region,
        pue_milli=pue_milli, engine={}, credential_digest=None, agent_boot=None, created_at=tx.now, joined_at=None,
        last_seen_at=None, clock_offset_ms=None,
    )  # fmt: skip
    try:
        with tx.session.begin_nested():
            tx.session.add(site)
            tx.session.flush()
    except IntegrityError as error:
        raise Conflict(
            Text(f"This provider has a site {name} already.", f"该提供方已有名为 {name} 的站点。"),
            Text(
                "Choose another name, or make a new join token for that site.",
                "请换一个名称，或为该站点重新生成加入令牌。",
            ),
            code="name_taken",
        ) from error
    tx.emit("site.invited", site.id, {"provider_id": provider_id, "region": region})
    return invite_again(tx, site)


def invite_again(tx: Tx, site: Site) -> Invitation:
    """A fresh join token; a site that joined before takes the new agent's credential and drops the old one."""
    if site.state == "closed":
        raise Conflict(
            Text(f"The site {site.name} is closed.", f"站点 {site.name} 已关闭。"),
            Text("Register a new site.", "请登记新的站点。"),
        )
    secret = tx.ids.secret("zsj")
    token = JoinToken(
        id=tx.ids.new("jtk"), site_id=site.id, digest=secrets.digest(secret), created_at=tx.now,
        expires_at=tx.now + TOKEN_LIFE, used_at=None,
    )  # fmt: skip
    tx.session.add(token)
    return Invitation(site, secret, token.expires_at)


def join(tx: Tx, token: str, credential_digest: str) -> Site:
    """Let the agent that shows ``token`` act for its site with the credential it made itself.

    A token works once and not after its time; the same agent asking again (it was killed before it heard the answer) is
    answered alike. Raises ``NotAuthenticated``.
    """
    found = tx.session.scalar(select(JoinToken).where(JoinToken.digest == secrets.digest(token)).with_for_update())
    site = tx.session.get(Site, found.site_id, with_for_update=True) if found is not None else None
    if (
        found is not None
        and site is not None
        and found.used_at is not None
        and site.credential_digest == credential_digest
    ):
        return site
    if (
        found is None
        or site is None
        or found.used_at is not None
        or found.expires_at <= tx.now
        or site.state == "closed"
    ):
        raise NotAuthenticated(
            Text("This join token is unknown, used or expired.", "该加入令牌不存在、已使用或已过期。"),
            Text(
                "Make a new one on the site's page, or with POST /api/v1/sites/{id}/join-tokens.",
                "请在站点页面重新生成令牌。",
            ),
            code="bad_join_token",
        )
    holder = tx.session.scalar(select(Site.id).where(Site.credential_digest == credential_digest))
    if holder is not None and holder != site.id:
        raise Conflict(
            Text("This agent acts for another site already.", "该代理已属于另一个站点。"),
            Text("Give each site's agent a data folder of its own.", "请为每个站点的代理使用独立的数据目录。"),
            code="credential_in_use",
        )
    found.used_at = tx.now
    site.credential_digest = credential_digest
    site.joined_at = tx.now
    site.last_seen_at = tx.now
    if site.state == "invited":
        site.state = "joining"
    tx.emit("site.joined", site.id)
    return site


def site_of_credential(tx: Tx, credential: str | None) -> Site:
    """The site whose agent calls. Raises ``NotAuthenticated``."""
    site = None
    if credential:
        site = tx.session.scalar(select(Site).where(Site.credential_digest == secrets.digest(credential)))
    if site is None or site.state == "closed":
        raise NotAuthenticated(
            Text("This site credential is not valid any more.", "该站点凭证已失效。"),
            Text("Join the site again with a new join token.", "请用新的加入令牌重新加入。"),
            code="site_revoked",
        )
    return site


def take_inventory(tx: Tx, site: Site, engine: EngineRecord, nodes: Sequence[NodeRecord]) -> None:
    """Record what the agent found. A device that vanished keeps its leases and takes no new ones; capacity never
    falls below what is allocated (the difference shows in ``reported_capacity``)."""
    _check_names(nodes)
    site.engine = engine.as_dict()
    known = {n.hostname: n for n in tx.session.scalars(select(Node).where(Node.site_id == site.id).with_for_update())}
    for record in nodes:
        node = known.pop(record.hostname, None)
        if node is None:
            node = Node(
                id=tx.ids.new("node"), site_id=site.id, hostname=record.hostname, facts=record.facts,
                boot_id=record.boot_id, present=True, updated_at=tx.now,
            )  # fmt: skip
            tx.session.add(node)
        node.facts, node.boot_id, node.present, node.updated_at = record.facts, record.boot_id, True, tx.now
        tx.session.flush()
        _take_devices(tx, node, record)
    for gone in known.values():
        gone.present = False
    tx.emit("site.inventory", site.id, {"nodes": len(nodes)})


def _check_names(nodes: Sequence[NodeRecord]) -> None:
    """A host name twice in a site, or a device key twice in a node, would make two things one."""
    names = [n.hostname for n in nodes]
    twice = [name for name, count in Counter(names).items() if count > 1]
    twice += [
        f"{n.hostname}/{key}" for n in nodes for key, count in Counter(d.key for d in n.devices).items() if count > 1
    ]
    if twice:
        raise InvalidInput(
            Text(f"The inventory names {twice[0]} twice.", f"设备清单中 {twice[0]} 重复。"),
            Text("Give each node and each device of a node a name of its own.", "节点名与节点内的设备键不得重复。"),
            problems=[FieldProblem("nodes", Text(f"{name} is there twice", f"{name} 重复")) for name in twice],
        )


def _take_devices(tx: Tx, node: Node, record: NodeRecord) -> None:
    known = {
        d.key: d
        for d in tx.session.scalars(
            select(Device).where(Device.node_id == node.id).order_by(Device.id).with_for_update()
        )
    }
    for found in record.devices:
        device = known.pop(found.key, None)
        if device is None:
            device = Device(
                id=tx.ids.new("dev"), node_id=node.id, key=found.key, kind=found.kind, class_id=found.class_id,
                name=found.name, capacity=found.capacity, reported_capacity=found.capacity, allocated=0,
                memory_mib=found.memory_mib, health=found.health, note=found.note, present=True,
            )  # fmt: skip
            tx.session.add(device)
            tx.session.flush()
        device.class_id, device.name, device.health, device.note = found.class_id, found.name, found.health, found.note
        device.memory_mib, device.present = found.memory_mib, True
        device.reported_capacity = found.capacity
        device.capacity = max(found.capacity, device.allocated)
        _take_measurements(tx, device, found.measurements)
    for gone in known.values():
        gone.present = False
    tx.session.flush()


def _take_measurements(tx: Tx, device: Device, measured: Sequence[tuple[str, int, str, datetime]]) -> None:
    have = set(
        tx.session.execute(select(Measurement.precision, Measurement.at).where(Measurement.device_id == device.id))
    )
    for precision, mflops, method, at in measured:
        if (precision, at) not in have:
            tx.session.add(
                Measurement(
                    id=tx.ids.new("msr"), device_id=device.id, precision=precision, mflops=mflops, method=method, at=at
                )
            )


def heard_from(tx: Tx, site: Site, *, agent_boot: str, agent_time: datetime, every: timedelta) -> None:
    """Note that the site's agent spoke; written at most once per ``every`` so that syncs do not make rows churn."""
    if site.last_seen_at is not None and site.agent_boot == agent_boot and tx.now - site.last_seen_at < every:
        return
    site.last_seen_at = tx.now
    site.agent_boot = agent_boot
    site.clock_offset_ms = int((agent_time - tx.now).total_seconds() * 1000)
    tx.session.execute(
        update(SiteSilence).where(SiteSilence.site_id == site.id, SiteSilence.until.is_(None)).values(until=tx.now)
    )


def note_silences(tx: Tx, ttl: timedelta) -> list[str]:
    """Open a silence for each site not heard from within ``ttl``; their ids. The work there is left as it is.

    Two that do this at once do it one after the other, so that a silence is noted once.
    """
    tx.session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": SILENCE_LOCK})
    silent = tx.session.scalars(
        select(Site).where(
            Site.last_seen_at < tx.now - ttl,
            Site.state.in_(("joining", "verified", "open", "draining")),
            ~select(SiteSilence.id).where(SiteSilence.site_id == Site.id, SiteSilence.until.is_(None)).exists(),
        )
    ).all()
    for site in silent:
        assert site.last_seen_at is not None  # noqa: S101 - the query compares it
        tx.session.add(SiteSilence(id=tx.ids.new("evt"), site_id=site.id, since=site.last_seen_at, until=None))
        tx.emit("site.unreachable", site.id, {"since": site.last_seen_at.isoformat()})
    return [site.id for site in silent]


def is_reachable(site: Site, now: datetime, ttl: timedelta) -> bool:
    return site.last_seen_at is not None and now - site.last_seen_at <= ttl


def change_state(tx: Tx, site: Site, action: str) -> Site:
    """``verify``, ``open``, ``drain`` or ``close`` a site. Raises ``Conflict`` where its state does not allow it."""
    allowed, after = TRANSITIONS[action]
    if site.state == after:
        return site
    if site.state not in allowed:
        raise Conflict(
            Text(
                f"A site that is {site.state} cannot be changed with {action}.",
                f"处于 {site.state} 状态的站点不能执行 {action}。",
            ),
            Text(
                f"That takes a site that is {' or '.join(sorted(allowed))}.",
                f"该操作要求站点处于：{'、'.join(sorted(allowed))}。",
            ),
        )
    site.state = after
    if after == "closed":
        site.credential_digest = None
    tx.emit(f"site.{after}", site.id)
    return site


def site_visible(tx: Tx, site_id: str, provider_id: str | None) -> Site:
    """A site by id, for its provider or (``None``) for the operator. Raises ``NotFound`` alike for unknown and foreign."""
    site = tx.session.get(Site, site_id, with_for_update=True)
    if site is None or (provider_id is not None and site.provider_id != provider_id):
        raise NotFound.of(Text("site", "站点"), site_id)
    return site


def site_facts(engine: dict[str, Any]) -> tuple[str, bool]:
    """The isolation level a site reports and whether its operator lets unisolated work run."""
    return str(engine.get("isolation", "none")), bool(engine.get("allow_unisolated", False))
