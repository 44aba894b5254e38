"""Signing up and in, keys, projects, members, organisations."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field
from sqlalchemy import select, text

from zhisuan import __version__
from zhisuan.api.auth import Allow, Caller, Public, bearer
from zhisuan.api.calls import IdempotencyKey, change
from zhisuan.api.paging import Cursor, Limit, paged
from zhisuan.api.platform import platform_of
from zhisuan.api.schemas import (
    Body,
    Health,
    KeyMade,
    KeyView,
    Me,
    MemberView,
    OrganisationView,
    PageOf,
    PlatformView,
    ProjectView,
    SignedUp,
)
from zhisuan.base.db import Tx
from zhisuan.base.errors import Forbidden
from zhisuan.base.text import Text
from zhisuan.ledger import service as ledger
from zhisuan.tenancy import service as tenancy
from zhisuan.tenancy.roles import PERMISSIONS, ROLES_OF_KIND, Role
from zhisuan.tenancy.tables import ApiKey, Member, Organisation, Project, User

router = APIRouter(tags=["account"])


class SignUp(Body):
    kind: Literal["tenant", "provider"] = "tenant"
    organisation: str = Field(max_length=100)
    name: str = Field(max_length=100)
    email: str = Field(max_length=254)
    password: str = Field(max_length=1000)
    language: Literal["zh", "en"] = "zh"


class NewOrganisation(Body):
    kind: Literal["tenant", "provider", "operator", "city"]
    organisation: str = Field(max_length=100)
    name: str = Field(max_length=100)
    email: str = Field(max_length=254)
    password: str = Field(max_length=1000)
    language: Literal["zh", "en"] = "zh"


class SignIn(Body):
    email: str = Field(max_length=254)
    password: str = Field(max_length=1000)


class NewKeyBody(Body):
    name: str = Field(min_length=1, max_length=100)
    role: Role | None = None
    project: str | None = None


class NewProject(Body):
    name: str = Field(max_length=60)


class NewMember(Body):
    email: str = Field(max_length=254)
    name: str = Field(max_length=100)
    password: str = Field(max_length=1000)
    role: Role


@router.get("/health", dependencies=[Depends(Public())])
def health(request: Request) -> Health:
    """Whether the server and its database answer."""
    with platform_of(request).database.begin() as tx:
        tx.session.execute(text("SELECT 1"))
    return Health(status="ok", version=__version__)


@router.get("/platform", dependencies=[Depends(Public())])
def platform(request: Request) -> PlatformView:
    """Where the parts of this platform are."""
    here = platform_of(request)
    return PlatformView(
        version=__version__, gateway_url=here.gateway_url, console_url=here.server_url, region=here.settings.region
    )


@router.post("/sign-up", status_code=201, dependencies=[Depends(Public())], response_model=SignedUp)
def sign_up(request: Request, body: SignUp, key: IdempotencyKey) -> JSONResponse:
    """A new tenant or provider with its first person and key; a tenant gets the free quota at once."""
    return _new_organisation(
        request, NewOrganisation(**body.model_dump()), key, f"public:{body.email.strip().lower()}", "public"
    )


@router.post("/organisations", status_code=201, response_model=SignedUp)
def create_organisation(
    request: Request,
    body: NewOrganisation,
    key: IdempotencyKey,
    caller: Annotated[Caller, Depends(Allow("platform:org:write"))],
) -> JSONResponse:
    """An organisation of any kind, made by the operator."""
    return _new_organisation(request, body, key, caller.principal.org_id, caller.principal.user_id)


def _new_organisation(request: Request, body: NewOrganisation, key: str, principal: str, actor: str) -> JSONResponse:
    def work(tx: Tx) -> SignedUp:
        made = tenancy.sign_up(
            tx, kind=body.kind, org_name=body.organisation, email=body.email, name=body.name, password=body.password,
            language=body.language,
        )  # fmt: skip
        if body.kind == "tenant":
            ledger.open_account(tx, made.org_id)
        return SignedUp(
            organisation_id=made.org_id, user_id=made.user_id, project_id=made.project_id,
            key=KeyMade(id=made.key.id, secret=made.key.secret),
        )  # fmt: skip

    shown = body.model_dump() | {"password": ""}
    return change(
        request,
        principal=principal,
        actor=actor,
        key=key,
        body=shown,
        work=work,
        status=201,
        secret_fields=("key.secret",),
    )


@router.get("/organisations")
def organisations(
    request: Request,
    caller: Annotated[Caller, Depends(Allow("platform:org:read"))],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> PageOf[OrganisationView]:
    with platform_of(request).database.begin() as tx:
        return paged(tx, select(Organisation), Organisation.id, OrganisationView.model_validate, limit, cursor)


@router.post("/sessions", status_code=201, dependencies=[Depends(Public())])
def sign_in(request: Request, body: SignIn) -> KeyMade:
    """Sign in with address and password; the secret is the bearer of further calls until it expires."""
    here = platform_of(request)
    with here.database.begin() as tx:
        made = tenancy.sign_in(tx, body.email, body.password, here.settings.session_hours)
    if made is None:
        raise tenancy.wrong_sign_in()
    return KeyMade(id=made.id, secret=made.secret)


@router.delete("/sessions/current", status_code=204)
def sign_out(request: Request, caller: Annotated[Caller, Depends(Allow("self:account:write"))]) -> Response:
    """End the session that the request came with."""
    if (bearer(request) or "").startswith("zss_"):
        with platform_of(request).database.begin() as tx:
            tenancy.sign_out(tx, caller.principal.key_id)
    return Response(status_code=204)


@router.get("/me")
def me(caller: Annotated[Caller, Depends(Allow("self:account:read"))]) -> Me:
    """Who the key or session belongs to, and what it may do."""
    who = caller.principal
    return Me(
        organisation={"id": who.org_id, "kind": who.org_kind, "name": who.org_name},
        user={"id": who.user_id, "name": who.user_name, "email": who.email, "language": who.language},
        role=who.role.value,
        permissions=sorted(PERMISSIONS[who.role]),
        project_id=who.project_id,
    )


@router.get("/keys")
def keys(
    request: Request,
    caller: Annotated[Caller, Depends(Allow("self:account:read"))],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> PageOf[KeyView]:
    """The organisation's keys for those who manage them, else one's own."""
    who = caller.principal
    query = select(ApiKey).where(ApiKey.org_id == who.org_id)
    if "org:key:manage" not in PERMISSIONS[who.role]:
        query = query.where(ApiKey.user_id == who.user_id)
    with platform_of(request).database.begin() as tx:
        return paged(tx, query, ApiKey.id, KeyView.model_validate, limit, cursor)


@router.post("/keys", status_code=201, response_model=KeyMade)
def create_key(
    request: Request,
    body: NewKeyBody,
    key: IdempotencyKey,
    caller: Annotated[Caller, Depends(Allow("self:account:write"))],
) -> JSONResponse:
    """A key of one's own role, or, for those who manage keys, of any role that the organisation has."""
    who = caller.principal

    def work(tx: Tx) -> KeyMade:
        role = body.role or who.role
        if role is not who.role and (
            "org:key:manage" not in PERMISSIONS[who.role] or role not in ROLES_OF_KIND[who.org_kind]
        ):
            raise Forbidden(
                Text(f"You cannot make a key of role {role.value}.", f"您无权创建 {role.value} 角色的密钥。"),
                Text("Leave out the role to make one of your own.", "不填角色即创建与您相同角色的密钥。"),
            )
        project = tenancy.project_named(tx, who.org_id, body.project).id if body.project else None
        made = tenancy.make_key(
            tx, org_id=who.org_id, user_id=who.user_id, role=role, name=body.name, project_id=project
        )
        return KeyMade(id=made.id, secret=made.secret)

    return change(
        request,
        principal=who.org_id,
        actor=who.user_id,
        key=key,
        body=body,
        work=work,
        status=201,
        secret_fields=("secret",),
    )


@router.delete("/keys/{key_id}", status_code=204)
def revoke_key(request: Request, key_id: str, caller: Annotated[Caller, Depends(Allow("org:key:manage"))]) -> Response:
    """Revoke a key at once; doing it again changes nothing."""
    with platform_of(request).database.begin(caller.principal.user_id) as tx:
        tenancy.revoke_key(tx, caller.principal.org_id, key_id)
    return Response(status_code=204)


@router.get("/projects")
def projects(
    request: Request,
    caller: Annotated[Caller, Depends(Allow("org:project:read"))],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> PageOf[ProjectView]:
    query = select(Project).where(Project.org_id == caller.principal.org_id)
    with platform_of(request).database.begin() as tx:
        return paged(tx, query, Project.id, ProjectView.model_validate, limit, cursor)


@router.post("/projects", status_code=201, response_model=ProjectView)
def create_project(
    request: Request,
    body: NewProject,
    key: IdempotencyKey,
    caller: Annotated[Caller, Depends(Allow("org:project:write"))],
) -> JSONResponse:
    who = caller.principal
    return change(
        request, principal=who.org_id, actor=who.user_id, key=key, body=body, status=201,
        work=lambda tx: ProjectView.model_validate(tenancy.add_project(tx, who.org_id, body.name)),
    )  # fmt: skip


@router.get("/members")
def members(
    request: Request,
    caller: Annotated[Caller, Depends(Allow("self:account:read"))],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> PageOf[MemberView]:
    query = (
        select(Member.user_id, User.name, User.email, Member.role)
        .join(User, User.id == Member.user_id)
        .where(Member.org_id == caller.principal.org_id)
    )
    with platform_of(request).database.begin() as tx:
        return paged(
            tx, query, Member.user_id, MemberView.model_validate, limit, cursor, scalars=False, key=lambda m: m.user_id
        )


@router.post("/members", status_code=201, response_model=MemberView)
def add_member(
    request: Request,
    body: NewMember,
    key: IdempotencyKey,
    caller: Annotated[Caller, Depends(Allow("org:member:manage"))],
) -> JSONResponse:
    who = caller.principal

    def work(tx: Tx) -> MemberView:
        user = tenancy.add_member(
            tx, who.org_id, email=body.email, name=body.name, password=body.password, role=body.role
        )
        return MemberView(user_id=user.id, name=user.name, email=user.email, role=body.role.value)

    shown = body.model_dump() | {"password": ""}
    return change(request, principal=who.org_id, actor=who.user_id, key=key, body=shown, work=work, status=201)
