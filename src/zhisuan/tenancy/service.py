"""Signing up and in, keys, members and projects. Each function is one use case inside the caller's transaction."""

import re
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from zhisuan.base import secrets
from zhisuan.base.db import Tx
from zhisuan.base.errors import Conflict, FieldProblem, Forbidden, InvalidInput, NotAuthenticated, NotFound
from zhisuan.base.text import Text
from zhisuan.tenancy.roles import ROLES_OF_KIND, Role
from zhisuan.tenancy.tables import (
    ApiKey,
    LoginSession,
    Member,
    Organisation,
    PlatformSecret,
    Project,
    SignInFailure,
    User,
)

EMAIL = re.compile(r"^[^@\s]+@[^@\s]+\.[^@\s]+$|^[^@\s]+@localhost$")
PASSWORD_LENGTH_MIN = 10
FAILURES_MAX = 8
FAILURE_SPAN = timedelta(minutes=10)
DEFAULT_PROJECT = "default"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request acts as."""

    org_id: str
    org_kind: str
    org_name: str
    user_id: str
    user_name: str
    email: str
    role: Role
    key_id: str
    project_id: str | None
    language: str


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made; ``secret`` is shown once and not kept."""

    id: str
    secret: str


@dataclass(frozen=True, slots=True)
class SignedUp:
    org_id: str
    user_id: str
    project_id: str
    key: NewKey


def sign_up(
    tx: Tx,
    *,
    kind: str,
    org_name: str,
    email: str,
    name: str,
    password: str,
    language: str = "zh",
    region: str | None = None,
) -> SignedUp:
    """A new organisation with its first person (its owner), a default project and a key. Raises ``InvalidInput``/``Conflict``."""
    _check_sign_up(kind, org_name, email, name, password)
    role = _first_role(kind)
    org = Organisation(id=tx.ids.new("org"), kind=kind, name=org_name.strip(), region=region, created_at=tx.now)
    user = User(
        id=tx.ids.new("usr"), email=email.strip().lower(), name=name.strip(), password_hash=secrets.hash_password(password),
        language=language, created_at=tx.now,
    )  # fmt: skip
    try:
        with tx.session.begin_nested():
            tx.session.add_all([org, user])
            tx.session.flush()
    except IntegrityError as error:
        raise Conflict(
            Text("That e-mail address or organisation name is taken.", "该邮箱或组织名称已被使用。"),
            Text("Sign in instead, or choose another name.", "请直接登录，或换一个名称。"),
            code="name_taken",
        ) from error
    tx.session.add(Member(org_id=org.id, user_id=user.id, role=role.value, created_at=tx.now))
    project = add_project(tx, org.id, DEFAULT_PROJECT)
    key = make_key(tx, org_id=org.id, user_id=user.id, role=role, name="first key", project_id=None)
    tx.emit("organisation.created", org.id, {"kind": kind, "name": org.name})
    return SignedUp(org.id, user.id, project.id, key)


def _first_role(kind: str) -> Role:
    return Role.tenant_owner if kind == "tenant" else next(iter(ROLES_OF_KIND[kind]))


def _check_sign_up(kind: str, org_name: str, email: str, name: str, password: str) -> None:
    problems = []
    if kind not in ROLES_OF_KIND:
        problems.append(FieldProblem("kind", Text("is not a kind of organisation", "不是有效的组织类型")))
    if not 1 <= len(org_name.strip()) <= 100:
        problems.append(FieldProblem("organisation", Text("takes 1 to 100 characters", "须为 1 到 100 个字符")))
    if not 1 <= len(name.strip()) <= 100:
        problems.append(FieldProblem("name", Text("takes 1 to 100 characters", "须为 1 到 100 个字符")))
    if not EMAIL.fullmatch(email.strip()) or len(email) > 254:
        problems.append(FieldProblem("email", Text("is not an e-mail address", "不是有效的邮箱地址")))
    if not PASSWORD_LENGTH_MIN <= len(password) <= 1000:
        problems.append(
            FieldProblem(
                "password",
                Text(f"takes at least {PASSWORD_LENGTH_MIN} characters", f"至少 {PASSWORD_LENGTH_MIN} 个字符"),
            )
        )
    if problems:
        raise InvalidInput(
            Text("The sign-up is not complete.", "注册信息有误。"),
            Text("Correct the fields named below.", "请按下列提示修改。"),
            problems=problems,
        )


def add_project(tx: Tx, org_id: str, name: str) -> Project:
    if not 1 <= len(name.strip()) <= 60:
        raise InvalidInput(
            Text("A project name takes 1 to 60 characters.", "项目名称须为 1 到 60 个字符。"),
            Text("Choose another name.", "请换一个名称。"),
        )
    project = Project(id=tx.ids.new("prj"), org_id=org_id, name=name.strip(), created_at=tx.now)
    try:
        with tx.session.begin_nested():
            tx.session.add(project)
            tx.session.flush()
    except IntegrityError as error:
        raise Conflict(
            Text(f"There is a project {name} already.", f"已有名为 {name} 的项目。"),
            Text("Use it, or choose another name.", "请直接使用它，或换一个名称。"),
        ) from error
    return project


def project_named(tx: Tx, org_id: str, name: str | None) -> Project:
    """The organisation's project of that name or id; the default one for None."""
    wanted = name or DEFAULT_PROJECT
    found = tx.session.scalar(
        select(Project).where(Project.org_id == org_id, (Project.name == wanted) | (Project.id == wanted))
    )
    if found is None:
        raise NotFound.of(Text("project", "项目"), wanted)
    return found


def make_key(tx: Tx, *, org_id: str, user_id: str, role: Role, name: str, project_id: str | None) -> NewKey:
    """A new API key of ``role``; its secret is in the answer only."""
    secret = tx.ids.secret("zsk")
    key = ApiKey(
        id=tx.ids.new("key"), org_id=org_id, user_id=user_id, project_id=project_id, role=role.value, name=name,
        hint=f"{secret[:8]}…{secret[-4:]}", digest=secrets.digest(secret), created_at=tx.now, expires_at=None, revoked_at=None,
    )  # fmt: skip
    tx.session.add(key)
    tx.session.flush()
    tx.emit("api_key.created", key.id, {"org_id": org_id, "role": role.value, "name": name})
    return NewKey(key.id, secret)


def revoke_key(tx: Tx, org_id: str, key_id: str) -> None:
    key = tx.session.get(ApiKey, key_id)
    if key is None or key.org_id != org_id:
        raise NotFound.of(Text("API key", "密钥"), key_id)
    if key.revoked_at is None:
        key.revoked_at = tx.now
        tx.emit("api_key.revoked", key_id, {"org_id": org_id})


def sign_in(tx: Tx, email: str, password: str, hours: int) -> NewKey | None:
    """A console session, or None for a wrong address or password (the caller commits the noted failure either way).

    Raises ``NotAuthenticated`` without looking at the password after too many failures of one address.
    """
    address = email.strip().lower()
    recent = tx.session.scalar(
        select(func.count()).where(SignInFailure.email == address, SignInFailure.at > tx.now - FAILURE_SPAN)
    )
    if (recent or 0) >= FAILURES_MAX:
        raise NotAuthenticated(
            Text("Too many failed sign-ins for this address.", "该邮箱登录失败次数过多。"),
            Text("Wait ten minutes and try again.", "请十分钟后再试。"),
            code="too_many_sign_ins",
        )
    user = tx.session.scalar(select(User).where(User.email == address))
    # An unknown address takes as long as a known one: the time must not say which addresses there are.
    if not secrets.password_matches(password, user.password_hash if user else secrets.NO_PASSWORD) or user is None:
        tx.session.add(SignInFailure(id=tx.ids.new("evt"), email=address, at=tx.now))
        return None
    member = tx.session.scalar(
        select(Member).where(Member.user_id == user.id).order_by(Member.created_at, Member.org_id)
    )
    if member is None:
        return None
    secret = tx.ids.secret("zss")
    session = LoginSession(
        id=tx.ids.new("ses"), user_id=user.id, org_id=member.org_id, digest=secrets.digest(secret), created_at=tx.now,
        expires_at=tx.now + timedelta(hours=hours), ended_at=None,
    )  # fmt: skip
    tx.session.add(session)
    return NewKey(session.id, secret)


def wrong_sign_in() -> NotAuthenticated:
    return NotAuthenticated(
        Text("The e-mail address or the password is wrong.", "邮箱或密码不正确。"),
        Text("Check both and try again.", "请核对后重试。"),
        code="wrong_sign_in",
    )


def sign_out(tx: Tx, session_id: str) -> None:
    session = tx.session.get(LoginSession, session_id)
    if session is not None and session.ended_at is None:
        session.ended_at = tx.now


def authenticate(tx: Tx, secret: str | None) -> Principal:
    """Who a bearer secret belongs to. Raises ``NotAuthenticated`` for none, an unknown, revoked or expired one."""
    if secret:
        digest = secrets.digest(secret)
        principal = _by_session(tx, digest) if secret.startswith("zss_") else by_key_digest(tx, digest)
        if principal is not None:
            return principal
    raise NotAuthenticated(
        Text("No valid key came with the request.", "请求没有携带有效的密钥。"),
        Text(
            "Send 'Authorization: Bearer <API key>'; `zhisuan login` stores one.",
            "请携带 Authorization: Bearer <密钥>；可用 zhisuan login 保存密钥。",
        ),
    )


def by_digest(tx: Tx, digest: str) -> Principal | None:
    """Whose secret has this digest: that of an API key, or of a console session; None when it is not, or no longer, good."""
    return by_key_digest(tx, digest) or _by_session(tx, digest)


def role_of(tx: Tx, org_id: str, user_id: str) -> Role | None:
    """The role of a person in an organisation, if they are a member of it now."""
    found = tx.session.get(Member, (org_id, user_id))
    return Role(found.role) if found is not None else None


def by_key_digest(tx: Tx, digest: str) -> Principal | None:
    row = tx.session.execute(
        select(ApiKey, Organisation, User)
        .join(Organisation, Organisation.id == ApiKey.org_id)
        .join(User, User.id == ApiKey.user_id)
        .where(ApiKey.digest == digest)
    ).one_or_none()
    if row is None:
        return None
    key, org, user = row
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= tx.now):
        return None
    return _principal(org, user, Role(key.role), key.id, key.project_id)


def _by_session(tx: Tx, digest: str) -> Principal | None:
    row = tx.session.execute(
        select(LoginSession, Organisation, User, Member)
        .join(Organisation, Organisation.id == LoginSession.org_id)
        .join(User, User.id == LoginSession.user_id)
        .join(Member, (Member.org_id == LoginSession.org_id) & (Member.user_id == LoginSession.user_id))
        .where(LoginSession.digest == digest)
    ).one_or_none()
    if row is None:
        return None
    session, org, user, member = row
    if session.ended_at is not None or session.expires_at <= tx.now:
        return None
    return _principal(org, user, Role(member.role), session.id, None)


def _principal(org: Organisation, user: User, role: Role, key_id: str, project_id: str | None) -> Principal:
    return Principal(
        org_id=org.id, org_kind=org.kind, org_name=org.name, user_id=user.id, user_name=user.name, email=user.email,
        role=role, key_id=key_id, project_id=project_id, language=user.language,
    )  # fmt: skip


def add_member(tx: Tx, org_id: str, *, email: str, name: str, password: str, role: Role) -> User:
    """A further person of an organisation, in a role that its kind has."""
    org = tx.session.get_one(Organisation, org_id)
    if role not in ROLES_OF_KIND[org.kind]:
        raise Forbidden(
            Text(
                f"An organisation of kind {org.kind} has no role {role.value}.",
                f"{org.kind} 类组织没有 {role.value} 角色。",
            ),
            Text(
                f"Choose one of: {', '.join(sorted(ROLES_OF_KIND[org.kind]))}.",
                f"可选角色：{'、'.join(sorted(ROLES_OF_KIND[org.kind]))}。",
            ),
        )
    _check_sign_up(org.kind, org.name, email, name, password)
    user = User(
        id=tx.ids.new("usr"), email=email.strip().lower(), name=name.strip(), password_hash=secrets.hash_password(password),
        language="zh", created_at=tx.now,
    )  # fmt: skip
    try:
        with tx.session.begin_nested():
            tx.session.add(user)
            tx.session.flush()
    except IntegrityError as error:
        raise Conflict(
            Text("That e-mail address is taken.", "该邮箱已被使用。"),
            Text("Use another address.", "请换一个邮箱。"),
            code="name_taken",
        ) from error
    tx.session.add(Member(org_id=org_id, user_id=user.id, role=role.value, created_at=tx.now))
    tx.emit("member.added", org_id, {"user_id": user.id, "role": role.value})
    return user


def keep_platform_secret(tx: Tx, name: str, secret: str) -> None:
    """Keep the digest of a secret that one part of the installation shows to another; a new one replaces it."""
    found = tx.session.get(PlatformSecret, name)
    if found is None:
        tx.session.add(PlatformSecret(name=name, digest=secrets.digest(secret), data={}, created_at=tx.now))
    else:
        found.digest = secrets.digest(secret)


def is_platform_secret(tx: Tx, name: str, secret: str) -> bool:
    found = tx.session.get(PlatformSecret, name)
    return found is not None and secrets.same(found.digest, secrets.digest(secret))
