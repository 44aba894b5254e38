"""A platform to call: people with keys, and sites that speak the wire without running anything."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from zhisuan.api.platform import Platform
from zhisuan.app.bootstrap import OPERATOR_EMAIL, prepare
from zhisuan.app.installation import Secrets
from zhisuan.app.reconcilers import STEPS
from zhisuan.app.server import ServerConfig, build_server
from zhisuan.base.clock import ManualClock
from zhisuan.base.db import Database, Table
from zhisuan.base.ids import TimeOrderedIds
from zhisuan.base.secrets import digest
from zhisuan.base.settings import Settings
from zhisuan.testing.database import START, TestServer

PASSWORD = "correct horse battery"
GATEWAY_CREDENTIAL = "gateway-credential"
_NUMBERS = itertools.count(1)


def number() -> int:
    """A number nobody had before, for names."""
    return next(_NUMBERS)


class Person:
    """Someone with a key, and the calls they make."""

    def __init__(self, client: TestClient, key: str | None, org_id: str = "", email: str = "") -> None:
        self.client, self.key, self.org_id, self.email = client, key, org_id, email

    def call(self, method: str, path: str, *, key: str | None = None, **more: Any) -> httpx.Response:
        """Any call; a change gets a new idempotency key unless one is given (an empty one: none is sent)."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        if method != "GET" and key != "":
            headers["Idempotency-Key"] = key or f"test-{number()}"
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
        if "content" not in more:
            more["json"] = {} if json is None else json
        answer = self.call("POST", path, key=key, **more)
        allowed = status if isinstance(status, tuple) else (status,)
        assert answer.status_code in allowed, answer.text
        return answer.json()


@dataclass
class World:
    """A platform with an operator; makes tenants, providers and sites on request."""

    client: TestClient
    platform: Platform
    clock: ManualClock
    operator: Person

    @property
    def database(self) -> Database:
        return self.platform.database

    def anyone(self) -> Person:
        return Person(self.client, None)

    def gateway(self) -> Person:
        return Person(self.client, GATEWAY_CREDENTIAL)

    def sign_up(self, kind: str, name: str | None = None) -> Person:
        n = number()
        email = f"p{n}@example.cn"
        body = {
            "kind": kind, "organisation": name or f"{kind} {n}", "name": "某人", "email": email, "password": PASSWORD,
        }  # fmt: skip
        path, who = ("/sign-up", self.anyone()) if kind in ("tenant", "provider") else ("/organisations", self.operator)
        made = who.post(path, body)
        return Person(self.client, made["key"]["secret"], made["organisation_id"], email)

    def tenant(self, yuan: str | None = "20.00") -> Person:
        person = self.sign_up("tenant")
        if yuan is not None:
            self.top_up(person, yuan)
        return person

    def top_up(self, person: Person, yuan: str) -> Any:
        body = {"amount_yuan": yuan, "reference": f"ref-{number()}"}
        return self.operator.post(f"/organisations/{person.org_id}/top-ups", body)

    def member(self, owner: Person) -> Person:
        """A further person of a tenant, by a session of their own."""
        email = f"m{number()}@example.cn"
        owner.post("/members", {"email": email, "name": "成员", "password": PASSWORD, "role": "tenant_member"})
        made = self.anyone().post("/sessions", {"email": email, "password": PASSWORD})
        return Person(self.client, made["secret"], owner.org_id, email)

    def reconcile(self, *names: str) -> None:
        """Run these steps once (all of them without names), each until it has no more to do."""
        for step in STEPS:
            if not names or step.name in names:
                while step.run(self.platform):
                    pass

    def pass_time(self, seconds: int) -> datetime:
        return self.clock.advance(timedelta(seconds=seconds))

    def row_counts(self) -> dict[str, int]:
        with self.database.begin() as tx:
            return {
                table.name: tx.session.scalar(select(func.count()).select_from(table)) or 0
                for table in Table.metadata.sorted_tables
            }


@contextmanager
def open_world(postgres: TestServer, folder: Path) -> Iterator[World]:
    """A server on a database of its own, its clock standing still until told."""
    clock = ManualClock(START)
    with postgres.database(clock=clock) as fresh:
        prepare(fresh, Secrets(GATEWAY_CREDENTIAL, "storage", PASSWORD))
        config = ServerConfig(
            settings=Settings(data_dir=folder, console=False, upload_bytes_max=1_000_000), database_url=fresh.url,
            server_url="http://testserver", gateway_url="http://gateway.test", storage_secret="storage", reconcile=False,
        )  # fmt: skip
        app: FastAPI = build_server(config)
        platform: Platform = app.state.platform
        platform.database.close()
        platform.database = Database(fresh.url, clock, TimeOrderedIds(clock))
        with TestClient(app, raise_server_exceptions=False) as client:
            made = Person(client, None).post("/sessions", {"email": OPERATOR_EMAIL, "password": PASSWORD})
            yield World(client, platform, clock, Person(client, made["secret"], email=OPERATOR_EMAIL))
        platform.database.close()


class SiteAgentTwin:
    """Speaks the wire of one site without running anything: for tests of the server's side alone."""

    def __init__(
        self,
        world: World,
        *,
        cores: int = 4,
        memory_mib: int = 8192,
        cards: tuple[str, ...] = (),
        card_memory_mib: int = 81920,
        isolation: str = "sandbox",
        jupyterlab: bool | None = None,
        verify: bool = True,
        provider: Person | None = None,
    ) -> None:
        n = number()
        self.world = world
        self.provider = provider or world.sign_up("provider")
        made = self.provider.post("/sites", {"name": f"site {n}", "region": "CN-AH", "pue_milli": 1400})
        self.id: str = made["site"]["id"]
        credential = f"zsc_{n:040d}"
        world.anyone().post("/wire/v1/join", {
            "token": made["join_token"], "agent_version": "test", "hostname": "h", "credential_digest": digest(credential),
        })  # fmt: skip
        self.agent = Person(world.client, credential)
        measured = [{"precision": "fp32", "mflops": 67_000, "method": "gemm", "at": "2026-07-01T00:00:00Z"}]
        devices = [
            {"key": "cpu", "kind": "cpu", "name": "Test CPU", "capacity": cores * 1000, "measurements": measured},
            {"key": "memory", "kind": "memory", "name": "memory", "capacity": memory_mib},
            *(
                {"key": f"gpu{i}", "kind": "accelerator", "name": name, "capacity": 1000, "memory_mib": card_memory_mib}
                for i, name in enumerate(cards)
            ),
        ]
        node = {"hostname": f"host{n}", "os": "linux", "architecture": "x86_64", "boot_id": "b", "devices": devices}
        self.agent.post(
            "/wire/v1/inventory",
            {"engine": self._engine(isolation, jupyterlab), "nodes": [node]},
        )
        self._node = node
        if verify:
            world.operator.post(f"/sites/{self.id}/verify")

    @staticmethod
    def _engine(isolation: str, jupyterlab: bool | None) -> dict[str, Any]:
        """An agent from before it could say so says nothing of JupyterLab."""
        said = {} if jupyterlab is None else {"jupyterlab": jupyterlab}
        return {"engine": "local", "version": "1", "isolation": isolation, **said}

    def say_shells(self, shells: bool | None, engine: str = "local") -> None:
        said = {} if shells is None else {"shells": shells}
        self.agent.post("/wire/v1/inventory", {"engine": {**self._engine("sandbox", None), "engine": engine, **said}, "nodes": [self._node]})

    def say_jupyterlab(self, there: bool) -> None:
        self.agent.post("/wire/v1/inventory", {"engine": self._engine("sandbox", there), "nodes": [self._node]})

    def sync(self, *leases: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
        """Report these leases and get the list of what should run."""
        body = {"agent_boot": "boot", "sequence": 1, "at": self.world.clock.now().isoformat(), "leases": list(leases)}
        found: list[dict[str, Any]] = self.agent.post("/wire/v1/sync", body | more)["leases"]
        return found

    def start(self, offer: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Say that the work of an offer runs since now; what a later report begins with."""
        said = {
            "lease_id": offer["lease_id"], "generation": offer["generation"], "phase": "running",
            "started_at": self.world.clock.now().isoformat(), **more,
        }  # fmt: skip
        self.sync(said)
        return said

    def meter(self, running: dict[str, Any], seconds: int) -> None:
        """Let time pass and deliver its windows, cut at minutes."""
        start = self.world.clock.now().replace(microsecond=0)
        end = self.world.pass_time(seconds).replace(microsecond=0)
        windows = []
        while start < end:
            cut = min(end, start.replace(second=0) + timedelta(minutes=1))
            windows.append({
                "lease_id": running["lease_id"], "generation": running["generation"], "start": start.isoformat(),
                "end": cut.isoformat(), "id": f"{running['lease_id']}/{start.isoformat()}",
            })  # fmt: skip
            start = cut
        answer = self.agent.post("/wire/v1/usage", {"windows": windows})
        assert answer["accepted"] == len(windows), answer

    def log(self, running: dict[str, Any], offset: int, data: bytes) -> int:
        import base64

        body = {
            "lease_id": running["lease_id"], "generation": running["generation"], "offset": offset,
            "data": base64.b64encode(data).decode(),
        }  # fmt: skip
        wanted: int = self.agent.post("/wire/v1/logs", body)["next_offset"]
        return wanted

    def deliver(self, running: dict[str, Any], path: str, data: bytes) -> httpx.Response:
        where = f"/wire/v1/artefacts/{running['lease_id']}/{running['generation']}"
        return self.agent.call("PUT", where, params={"path": path}, content=data)

    def end(self, running: dict[str, Any], **more: Any) -> None:
        """Say that the work ended now, everything delivered."""
        end = {"phase": "exited", "reason": "completed", "exit_code": 0, "complete": True}
        self.sync(running | end | {"ended_at": self.world.clock.now().isoformat()} | more)
