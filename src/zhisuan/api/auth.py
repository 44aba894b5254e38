"""The authorisation rule of each route. A route without one does not pass the tests."""

from dataclasses import dataclass

from fastapi import Request

from zhisuan.api.platform import platform_of
from zhisuan.base.db import Database
from zhisuan.base.errors import Forbidden, NotAuthenticated
from zhisuan.base.text import Text
from zhisuan.supply import service as supply
from zhisuan.tenancy import service as tenancy
from zhisuan.tenancy.roles import allows
from zhisuan.tenancy.service import Principal

GATEWAY_SECRET = "gateway"  # noqa: S105 - the name of a secret, not one


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and how far the permission that let them in reaches."""

    principal: Principal
    scope: str

    @property
    def org_scope(self) -> str | None:
        """The organisation that records must belong to; None where the permission spans the platform."""
        return None if self.scope in ("platform", "city") else self.principal.org_id


class Rule:
    """Base of the rules, so that a test can find a route without one."""


class Public(Rule):
    """Anyone may call."""

    def __call__(self) -> None:
        return None


class Allow(Rule):
    """Lets in a caller whose role holds one of ``permissions``; the first one held decides the scope."""

    def __init__(self, *permissions: str) -> None:
        self.permissions = permissions

    def __call__(self, request: Request) -> Caller:
        with platform_of(request).database.begin() as tx:
            principal = tenancy.authenticate(tx, bearer(request))
        for permission in self.permissions:
            if allows(principal.role, permission):
                return Caller(principal, permission.partition(":")[0])
        raise Forbidden(
            Text(
                f"The role {principal.role.value} does not allow this ({self.permissions[0]}).",
                f"角色 {principal.role.value} 无权执行此操作（{self.permissions[0]}）。",
            ),
            Text("Ask an owner of your organisation, or use another key.", "请联系组织所有者，或换用其他密钥。"),
        )


class SiteAgent(Rule):
    """Lets in a site's agent by its credential; gives the site's id."""

    async def __call__(self, request: Request) -> str:
        here = platform_of(request)
        return await here.in_own_thread(_site_id, here.database, bearer(request))


def _site_id(database: Database, secret: str | None) -> str:
    with database.begin() as tx:
        return supply.site_id_of_credential(tx, secret)


class Gateway(Rule):
    """Lets in the installation's gateway."""

    def __call__(self, request: Request) -> None:
        with platform_of(request).database.begin() as tx:
            if not tenancy.is_platform_secret(tx, GATEWAY_SECRET, bearer(request) or ""):
                raise NotAuthenticated(
                    Text("This gateway credential is not valid.", "网关凭证无效。"),
                    Text(
                        "Start the gateway with the credential that the server gave out.",
                        "请使用服务器签发的凭证启动网关。",
                    ),
                )


def bearer(request: Request) -> str | None:
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" and secret.strip() else None
