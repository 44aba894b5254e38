"""Roles and sign-ups; what the API tests do not reach."""

import pytest

from zhisuan.base.db import Database
from zhisuan.base.errors import Conflict, InvalidInput, NotFound
from zhisuan.tenancy import service as tenancy
from zhisuan.tenancy.roles import ALL_PERMISSIONS, PERMISSIONS, ROLES_OF_KIND, Role, allows

GOOD = {"kind": "tenant", "org_name": "文旅", "email": "A@X.cn", "name": "n", "password": "long enough 1"}


def test_roles_and_permissions_are_whole() -> None:
    assert set(PERMISSIONS) == set(Role) == set().union(*ROLES_OF_KIND.values())
    assert PERMISSIONS[Role.tenant_member] < PERMISSIONS[Role.tenant_owner]
    assert all(p.count(":") == 2 for p in ALL_PERMISSIONS)
    assert not any(p.startswith("platform:") and not p.endswith(":read") for p in PERMISSIONS[Role.city_viewer])
    assert not any(p.startswith("org:workload") for p in PERMISSIONS[Role.provider])
    with pytest.raises(ValueError, match="no role has"):
        allows(Role.operator, "platform:typo:read")


@pytest.mark.parametrize(
    ("field", "value", "where"),
    [
        ("kind", "king", "kind"), ("org_name", " ", "organisation"), ("org_name", "x" * 101, "organisation"), ("name", "", "name"),
        ("email", "a", "email"), ("email", "a@b", "email"), ("email", "a b@c.cn", "email"), ("email", "a" * 250 + "@x.cn", "email"),
        ("password", "123456789", "password"),
    ],
)  # fmt: skip
def test_a_sign_up_is_told_what_is_wrong(database: Database, field: str, value: str, where: str) -> None:
    with database.begin() as tx, pytest.raises(InvalidInput) as caught:
        tenancy.sign_up(tx, **(GOOD | {field: value}))
    assert [p.where for p in caught.value.problems] == [where]


def test_an_address_counts_once_in_any_case_and_the_rest_of_the_transaction_goes_on(database: Database) -> None:
    with database.begin() as tx:
        made = tenancy.sign_up(tx, **GOOD)
        for clash in ({"email": "a@x.CN", "org_name": "other"}, {"email": "b@x.cn"}):
            with pytest.raises(Conflict):
                tenancy.sign_up(tx, **(GOOD | clash))
        assert tenancy.authenticate(tx, made.key.secret).role is Role.tenant_owner


def test_projects_are_found_by_name_or_id_within_their_organisation(database: Database) -> None:
    with database.begin() as tx:
        one = tenancy.sign_up(tx, **GOOD)
        two = tenancy.sign_up(tx, **(GOOD | {"org_name": "b", "email": "b@x.cn"}))
        made = tenancy.add_project(tx, one.org_id, " 研究 ")
        assert tenancy.project_named(tx, one.org_id, "研究") is tenancy.project_named(tx, one.org_id, made.id) is made
        assert tenancy.project_named(tx, two.org_id, None).id == two.project_id
        with pytest.raises(NotFound):
            tenancy.project_named(tx, two.org_id, made.id)


def test_a_shared_secret_is_replaced_and_never_kept(database: Database) -> None:
    with database.begin() as tx:
        for secret in ("one", "two"):
            tenancy.keep_platform_secret(tx, "gateway", secret)
        assert tenancy.is_platform_secret(tx, "gateway", "two")
        assert not any(
            tenancy.is_platform_secret(tx, n, s) for n, s in (("gateway", "one"), ("gateway", ""), ("other", "two"))
        )
