"""The real API over a real PostgreSQL, called through ASGI."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from zhisuan.app.bootstrap import prepare
from zhisuan.app.installation import Secrets
from zhisuan.app.server import ServerConfig, build_server
from zhisuan.base.clock import SystemClock
from zhisuan.base.db import Database
from zhisuan.base.ids import TimeOrderedIds
from zhisuan.base.settings import Settings
from zhisuan.testing.database import TestServer

PASSWORD = "correct horse battery"
_NUMBERS = itertools.count(1)


class Person:
    """Someone with a key, and the calls they make."""

    def __init__(self, client: TestClient, key: str | None, org_id: str = "") -> None:
        self.client, self.key, self.org_id = client, key, org_id

    def call(self, method: str, path: str, *, key: str | None = None, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        if method != "GET":
            headers["Idempotency-Key"] = key or f"test-{next(_NUMBERS)}"
        headers |= more.pop("headers", {})
        full = path if path.startswith("/wire") else f"/api/v1{path}"
        return self.client.request(method, full, headers=headers, **more)

    def get(self, path: str, **more: Any) -> Any:
        answer = self.call("GET", path, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(
        self,
        path: str,
        json: Any = None,
        *,
        status: int | tuple[int, ...] = (200, 201),
        key: str | None = None,
        **more: Any,
    ) -> Any:
        answer = self.call("POST", path, json={} if json is None else json, key=key, **more)
        allowed = status if isinstance(status, tuple) else (status,)
        assert answer.status_code in allowed, answer.text
        return answer.json()


@dataclass
class World:
    """A platform with an operator; makes tenants, providers and sites on request."""

    client: TestClient
    database: Database
    operator: Person

    def anyone(self) -> Person:
        return Person(self.client, None)

    def sign_up(self, kind: str, name: str | None = None) -> Person:
        number = next(_NUMBERS)
        body = {
            "kind": kind, "organisation": name or f"{kind} {number}", "name": "某人", "email": f"p{number}@example.cn",
            "password": PASSWORD,
        }  # fmt: skip
        made = self.anyone().post("/sign-up", body)
        return Person(self.client, made["key"]["secret"], made["organisation_id"])

    def tenant(self, yuan: str | None = "20.00") -> Person:
        person = self.sign_up("tenant")
        if yuan is not None:
            self.operator.post(
                f"/organisations/{person.org_id}/top-ups", {"amount_yuan": yuan, "reference": f"ref-{next(_NUMBERS)}"}
            )
        return person


@pytest.fixture
def world(postgres: TestServer, tmp_path: Path) -> Iterator[World]:
    with postgres.database() as fresh:
        clock = SystemClock()
        database = Database(fresh.url, clock, TimeOrderedIds(clock))
        prepare(database, Secrets("gateway-credential", "storage", PASSWORD))
        config = ServerConfig(
            settings=Settings(data_dir=tmp_path, console=False), database_url=fresh.url, server_url="http://testserver",
            gateway_url="http://gateway.test", storage_secret="storage", reconcile=False,
        )  # fmt: skip
        with TestClient(build_server(config), raise_server_exceptions=False) as client:
            signed_in = Person(client, None).post("/sessions", {"email": "operator@localhost", "password": PASSWORD})
            yield World(client, database, Person(client, signed_in["secret"]))
        database.close()


@pytest.fixture
def make_site(world: World) -> Callable[..., "SiteAgentTwin"]:
    """Joins a site as its agent would: by the wire."""
    return lambda **more: SiteAgentTwin(world, **more)


class SiteAgentTwin:
    """Speaks the wire of one site without running anything: for tests of the server's side alone."""

    def __init__(
        self,
        world: World,
        *,
        cores: int = 4,
        memory_mib: int = 8192,
        cards: tuple[str, ...] = (),
        isolation: str = "sandbox",
        verify: bool = True,
    ) -> None:
        from zhisuan.base.secrets import digest

        number = next(_NUMBERS)
        self.world = world
        self.provider = world.sign_up("provider")
        made = self.provider.post("/sites", {"name": f"site {number}", "region": "CN-AH", "pue_milli": 1400})
        self.id = made["site"]["id"]
        credential = f"zsc_{number:040d}"
        joined = world.anyone().post(
            "/wire/v1/join",
            {
                "token": made["join_token"],
                "agent_version": "test",
                "hostname": "h",
                "credential_digest": digest(credential),
            },
        )
        assert joined["site_id"] == self.id
        self.agent = Person(world.client, credential)
        devices = [
            {"key": "cpu", "kind": "cpu", "name": "Test CPU", "capacity": cores * 1000,
             "measurements": [{"precision": "fp32", "mflops": 67_000, "method": "gemm", "at": "2026-07-01T00:00:00Z"}]},
            {"key": "memory", "kind": "memory", "name": "memory", "capacity": memory_mib},
            *({"key": f"gpu{n}", "kind": "accelerator", "name": name, "capacity": 1000, "memory_mib": 81920} for n, name in enumerate(cards)),
        ]  # fmt: skip
        self.agent.post(
            "/wire/v1/inventory",
            {
                "engine": {"engine": "local", "version": "1", "isolation": isolation},
                "nodes": [
                    {
                        "hostname": f"host{number}",
                        "os": "linux",
                        "architecture": "x86_64",
                        "boot_id": "b",
                        "devices": devices,
                    }
                ],
            },
        )
        if verify:
            world.operator.post(f"/sites/{self.id}/verify")

    def sync(self, *leases: dict[str, Any]) -> list[dict[str, Any]]:
        from datetime import UTC, datetime

        answer = self.agent.post(
            "/wire/v1/sync",
            {"agent_boot": "boot", "sequence": 1, "at": datetime.now(UTC).isoformat(), "leases": list(leases)},
        )
        found: list[dict[str, Any]] = answer["leases"]
        return found
