"""Inviting a site, and letting the agent that shows its join token act for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError

from zhisuan.base import secrets
from zhisuan.base.db import Tx
from zhisuan.base.errors import Conflict, FieldProblem, InvalidInput, NotAuthenticated, NotFound
from zhisuan.base.text import Text
from zhisuan.supply.conditions import Place, Terms, set_terms
from zhisuan.supply.grid_factors import UnknownGridFactor, grid_factor
from zhisuan.supply.links import checked_echo_address
from zhisuan.supply.tables import DeviceClaim, JoinToken, Site

TOKEN_LIFE = timedelta(hours=24)
TOKEN_LIFE_MAX = timedelta(days=30)
HINT_LENGTH = 4
NO_CHANGE = Terms()


@dataclass(frozen=True, slots=True)
class Invitation:
    """A site that may join, and the token that lets its agent do so once."""

    site: Site
    token: str
    token_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """What the provider says of one device class; ``tflops_milli`` is FP16/BF16 dense of one device, None for the data
    sheet's."""

    class_id: str
    count: int
    tflops_milli: int | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """What a joining agent says of its site beyond its devices; None leaves what the provider registered."""

    region: str | None = None
    place: Place | None = None
    terms: Terms = NO_CHANGE
    claims: tuple[Claim, ...] | None = None
    echo_address: str | None = None


def create_site(
    tx: Tx, *, provider_id: str, name: str, region: str, pue_milli: int, registration: Registration | None = None
) -> Invitation:
    """A site in state ``invited``. Raises ``InvalidInput`` for a region without a grid factor: carbon is never guessed."""
    problems = [*_region_problems(region)]
    if not 1 <= len(name.strip()) <= 60:
        problems.append(FieldProblem("name", Text("takes 1 to 60 characters", "须为 1 到 60 个字符")))
    if not 1000 <= pue_milli <= 3000:
        problems.append(FieldProblem("pue_milli", Text("lies between 1000 and 3000", "须在 1000 到 3000 之间")))
    _refuse(problems)
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
    set_terms(tx, site, Terms(pue_milli=pue_milli))
    if registration is not None:
        register(tx, site, registration)
    tx.emit("site.invited", site.id, {"provider_id": provider_id, "region": region})
    return invite_again(tx, site)


def register(tx: Tx, site: Site, said: Registration) -> None:
    """Take in what is said of a site that is not verified yet. Raises ``InvalidInput`` with every wrong field."""
    _refuse(_region_problems(said.region) if said.region is not None else [])
    if said.region is not None:
        site.region = said.region
    if said.place is not None:
        site.city, site.latitude_e6, site.longitude_e6 = said.place.checked()
    set_terms(tx, site, said.terms)
    if said.echo_address is not None:
        site.echo_address = checked_echo_address(said.echo_address)
    if said.claims is not None:
        claim_devices(tx, site, said.claims)


def claim_devices(tx: Tx, site: Site, claims: Sequence[Claim]) -> None:
    """Replace what the provider says the site has."""
    twice = {c.class_id for c in claims if sum(o.class_id == c.class_id for o in claims) > 1}
    _refuse([
        FieldProblem(f"claims.{c.class_id}", Text("is claimed twice, or with a count below 1", "重复声明，或数量小于 1"))
        for c in claims
        if c.class_id in twice or c.count < 1 or (c.tflops_milli is not None and c.tflops_milli < 1)
    ])  # fmt: skip
    for old in tx.session.scalars(select(DeviceClaim).where(DeviceClaim.site_id == site.id)):
        tx.session.delete(old)
    tx.session.flush()
    for claim in claims:
        tx.session.add(
            DeviceClaim(
                id=tx.ids.new("clm"), site_id=site.id, class_id=claim.class_id, count=claim.count,
                tflops_milli=claim.tflops_milli, claimed_at=tx.now, claimed_by=tx.actor,
            )
        )  # fmt: skip
    tx.emit("site.claimed", site.id, {c.class_id: c.count for c in claims})


def _region_problems(region: str) -> list[FieldProblem]:
    try:
        grid_factor(region)
    except UnknownGridFactor as error:
        return [FieldProblem("region", Text(str(error), f"没有 {region} 的电网排放因子"))]
    return []


def _refuse(problems: Sequence[FieldProblem]) -> None:
    if problems:
        raise InvalidInput(
            Text("The site cannot be registered as described.", "站点信息有误，无法登记。"),
            Text("Correct the fields named below.", "请按下列提示修改。"),
            problems=problems,
        )


def invite_again(tx: Tx, site: Site, life: timedelta = TOKEN_LIFE) -> Invitation:
    """A fresh join token; a site that joined before takes the new agent's credential and drops the old one."""
    if site.state == "closed":
        raise Conflict(
            Text(f"The site {site.name} is closed.", f"站点 {site.name} 已关闭。"),
            Text("Register a new site.", "请登记新的站点。"),
        )
    if not timedelta(minutes=1) <= life <= TOKEN_LIFE_MAX:
        _refuse([FieldProblem("hours", Text("a token lives from a minute to 30 days", "令牌有效期为 1 分钟到 30 天"))])
    secret = tx.ids.secret("zsj")
    token = JoinToken(
        id=tx.ids.new("jtk"), site_id=site.id, digest=secrets.digest(secret), hint=secret[-HINT_LENGTH:],
        created_at=tx.now, created_by=tx.actor, expires_at=tx.now + life, used_at=None, revoked_at=None,
    )  # fmt: skip
    tx.session.add(token)
    return Invitation(site, secret, token.id, token.expires_at)


def token_state(token: JoinToken, now: datetime) -> str:
    """``valid``, ``used``, ``revoked`` or ``expired``."""
    if token.used_at is not None:
        return "used"
    if token.revoked_at is not None:
        return "revoked"
    return "expired" if token.expires_at <= now else "valid"


def revoke_token(tx: Tx, site: Site, token_id: str) -> JoinToken:
    """End a token that has not been used; again changes nothing. Raises ``NotFound``, and ``Conflict`` for a used one."""
    token = tx.session.get(JoinToken, token_id, with_for_update=True)
    if token is None or token.site_id != site.id:
        raise NotFound.of(Text("join token", "加入令牌"), token_id)
    if token.used_at is not None:
        raise Conflict(
            Text("This join token has been used: it cannot be taken back.", "该加入令牌已被使用，无法撤销。"),
            Text(
                "To shut out the agent that used it, revoke the site's credential.",
                "若要阻止使用它的代理，请吊销站点凭证。",
            ),
            code="token_used",
        )
    if token.revoked_at is None:
        token.revoked_at = tx.now
        tx.emit("site.token_revoked", site.id, {"token_id": token.id})
    return token


@dataclass(frozen=True, slots=True)
class TokenLook:
    """What a token would do, without using it; ``site`` only for a valid one."""

    state: str
    site: Site | None
    expires_at: datetime | None = None


def look_at_token(tx: Tx, token: str) -> TokenLook:
    """``unknown``, ``used``, ``revoked``, ``expired``, ``closed`` or ``valid``."""
    found = tx.session.scalar(select(JoinToken).where(JoinToken.digest == secrets.digest(token)))
    if found is None:
        return TokenLook("unknown", None)
    site = tx.session.get_one(Site, found.site_id)
    state = "closed" if site.state == "closed" else token_state(found, tx.now)
    return TokenLook(state, site, found.expires_at) if state == "valid" else TokenLook(state, None)


REFUSALS = {
    "unknown": Text("The platform does not know this join token.", "平台没有这个加入令牌。"),
    "used": Text(
        "This join token has been used before; it works once.", "该加入令牌已被使用过，每个令牌只能使用一次。"
    ),
    "revoked": Text("This join token has been revoked.", "该加入令牌已被撤销。"),
    "expired": Text("This join token has expired.", "该加入令牌已过期。"),
    "closed": Text("The site of this join token is closed.", "该加入令牌所属的站点已关闭。"),
}
TOKEN_REMEDY = Text(
    "Make a new one: `zhisuan site token SITE`, or on the site's page in the console.",
    "请重新生成：zhisuan site token SITE，或在控制台的站点页面操作。",
)


def join(tx: Tx, token: str, credential_digest: str, registration: Registration | None = None) -> Site:
    """Let the agent that shows ``token`` act for its site with the credential it made itself.

    A token works once and not after its time; the same agent asking again (it was killed before it heard the answer) is
    answered alike. What it says of the site is taken until the site is verified: then the provider changes it with its
    own key. Raises ``NotAuthenticated``.
    """
    found = tx.session.scalar(select(JoinToken).where(JoinToken.digest == secrets.digest(token)).with_for_update())
    site = tx.session.get(Site, found.site_id, with_for_update=True) if found is not None else None
    again = site is not None and site.credential_digest == credential_digest
    if found is not None and site is not None and found.used_at is not None and again:
        return site
    state = "unknown" if found is None else token_state(found, tx.now)
    if site is not None and site.state == "closed":
        state = "closed"
    if found is None or site is None or state != "valid":
        raise NotAuthenticated(REFUSALS[state], TOKEN_REMEDY, code="bad_join_token", extra={"token": state})
    _require_free(tx, site, credential_digest)
    found.used_at = tx.now
    site.credential_digest, site.credential_next_digest = credential_digest, None
    site.credential_since, site.revoked_at = tx.now, None
    site.joined_at = site.last_seen_at = tx.now
    if site.state in ("invited", "joining") and registration is not None:
        register(tx, site, registration)
    if site.state == "invited":
        site.state = "joining"
    tx.emit("site.joined", site.id)
    return site


def _require_free(tx: Tx, site: Site, credential_digest: str) -> None:
    """A credential acts for one site."""
    taken = or_(Site.credential_digest == credential_digest, Site.credential_next_digest == credential_digest)
    if tx.session.scalar(select(Site.id).where(taken, Site.id != site.id)) is not None:
        raise Conflict(
            Text("This agent acts for another site already.", "该代理已属于另一个站点。"),
            Text("Give each site's agent a data folder of its own.", "请为每个站点的代理使用独立的数据目录。"),
            code="credential_in_use",
        )
