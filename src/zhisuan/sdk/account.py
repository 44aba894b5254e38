"""Signing in, people, keys, projects, and the public pages."""

from collections.abc import Iterator

from zhisuan.sdk.transport import Transport
from zhisuan.sdk.types.account import (
    ApiKey,
    Catalog,
    Health,
    Me,
    Member,
    Platform,
    Project,
    SignedUp,
)
from zhisuan.sdk.types.common import Credential
from zhisuan.sdk.types.overview import Overview


class Account(Transport):
    """Calls about the caller itself; the first five need no key."""

    def health(self) -> Health:
        return self._get(Health, "health")

    def platform(self) -> Platform:
        return self._get(Platform, "platform")

    def catalog(self) -> Catalog:
        return self._get(Catalog, "catalog")

    def sign_up(
        self,
        kind: str,
        organisation: str,
        name: str,
        email: str,
        password: str,
        *,
        language: str | None = None,
        idempotency_key: str | None = None,
    ) -> SignedUp:
        """A new organisation with its first person and first key; ``kind`` is ``tenant`` or ``provider``."""
        body = {
            "kind": kind, "organisation": organisation, "name": name, "email": email, "password": password,
            "language": "zh" if (language or self.language).lower().startswith("zh") else "en",
        }  # fmt: skip
        return self._post(SignedUp, "sign-up", json=body, idempotency_key=idempotency_key)

    def sign_in(self, email: str, password: str) -> Credential:
        """A session; its secret is used like a key until it ends by itself or by ``sign_out``."""
        return self._post(Credential, "sessions", json={"email": email, "password": password})

    def sign_out(self) -> None:
        """End the session whose secret this client carries."""
        self._delete("sessions", "current")

    def me(self) -> Me:
        return self._get(Me, "me")

    def overview(self) -> Overview:
        answer: Overview = self._shaped(Overview, self._get(dict, "overview"), "GET /overview")
        return answer

    def keys(self) -> Iterator[ApiKey]:
        return self._pages(ApiKey, "keys")

    def create_key(
        self, name: str, *, role: str | None = None, project: str | None = None, idempotency_key: str | None = None
    ) -> Credential:
        """A new key; the secret in the answer is shown this once."""
        body = {"name": name, "role": role, "project": project}
        return self._post(Credential, "keys", json=_given(body), idempotency_key=idempotency_key)

    def revoke_key(self, key_id: str) -> None:
        self._delete("keys", key_id)

    def projects(self) -> Iterator[Project]:
        return self._pages(Project, "projects")

    def create_project(self, name: str, *, idempotency_key: str | None = None) -> Project:
        return self._post(Project, "projects", json={"name": name}, idempotency_key=idempotency_key)

    def members(self) -> Iterator[Member]:
        return self._pages(Member, "members")

    def add_member(
        self, email: str, name: str, password: str, role: str, *, idempotency_key: str | None = None
    ) -> Member:
        body = {"email": email, "name": name, "password": password, "role": role}
        return self._post(Member, "members", json=body, idempotency_key=idempotency_key)


def _given(body: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in body.items() if value is not None}
