"""Who may do what. A permission reads ``scope:resource:action``; a role is a set of them."""

from enum import StrEnum


class Role(StrEnum):
    """A person's role in an organisation; the kind of the organisation limits which roles it has."""

    operator = "operator"
    provider = "provider"
    tenant_owner = "tenant_owner"
    tenant_member = "tenant_member"
    city_viewer = "city_viewer"


ROLES_OF_KIND = {
    "operator": {Role.operator},
    "provider": {Role.provider},
    "tenant": {Role.tenant_owner, Role.tenant_member},
    "city": {Role.city_viewer},
}

_EVERYONE = {"self:account:read", "self:account:write", "platform:catalog:read"}
_MEMBER = {
    "org:project:read", "org:workload:read", "org:workload:write", "org:workload:enter", "org:model:read", "org:model:write",
    "org:blob:write", "org:bill:read", "org:carbon:read", "org:trace:read", "org:overview:read", "org:wallet:read",
    "org:volume:read", "org:volume:write", "org:quota:read",
}  # fmt: skip
_OWNER = _MEMBER | {"org:wallet:write", "org:key:manage", "org:member:manage", "org:project:write", "org:quota:write"}
_PROVIDER = {
    "provider:site:read", "provider:site:write", "provider:earning:read", "provider:overview:read", "org:key:manage",
}  # fmt: skip
_OPERATOR = {
    "platform:site:read", "platform:site:write", "platform:catalog:write", "platform:bill:read", "platform:bill:close",
    "platform:settlement:read", "platform:settlement:write", "platform:payment:write", "platform:org:read",
    "platform:org:write", "platform:workload:read", "platform:workload:cancel", "platform:trace:read",
    "platform:carbon:read", "platform:overview:read", "platform:audit:read", "platform:quota:read",
    "platform:quota:write", "org:key:manage",
}  # fmt: skip
_CITY = {"city:overview:read", "city:carbon:read", "org:key:manage"}

PERMISSIONS: dict[Role, frozenset[str]] = {
    Role.operator: frozenset(_EVERYONE | _OPERATOR),
    Role.provider: frozenset(_EVERYONE | _PROVIDER),
    Role.tenant_owner: frozenset(_EVERYONE | _OWNER),
    Role.tenant_member: frozenset(_EVERYONE | _MEMBER),
    Role.city_viewer: frozenset(_EVERYONE | _CITY),
}

ALL_PERMISSIONS = frozenset().union(*PERMISSIONS.values())


def allows(role: Role, permission: str) -> bool:
    """Whether ``role`` holds ``permission``. Raises ``ValueError`` for a permission that no role has: a misspelt rule."""
    if permission not in ALL_PERMISSIONS:
        raise ValueError(f"no role has the permission {permission!r}")
    return permission in PERMISSIONS[role]


PRIORITY_MAX = {Role.tenant_owner: 100, Role.tenant_member: 50}
"""The highest priority that a role may give to work of its organisation."""
