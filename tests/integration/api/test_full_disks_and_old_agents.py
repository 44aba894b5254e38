"""A server whose disk is full, and agents of other versions, at the real API."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_world import SiteAgentTwin, World
from sqlalchemy import text

from zhisuan.base.store import Store
from zhisuan.wire.versions import OLDEST_AGENT

MIB = 1024**2
FILE = "name: it\nresources: {cpus: 1, memory: 1}\nrun: 'true'\nzhisuan: {artefacts: ['*']}\n"


def running(world: World) -> tuple[Any, SiteAgentTwin, dict[str, Any]]:
    """(tenant, its site, work that runs there)."""
    site, tenant = SiteAgentTwin(world), world.tenant()
    tenant.post("/workloads", {"file": FILE})
    world.reconcile("place")
    (offer,) = site.sync()
    return tenant, site, site.start(offer)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("mounting takes rights that this run does not have")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_artefact_store_is_said_and_leaves_nothing_half_made(world: World, small_disk: Path) -> None:
    tenant, site, work = running(world)
    whole, world.platform.store = world.platform.store, Store(f"file://{small_disk}")
    before = world.row_counts()
    refused = site.deliver(work, "big.bin", bytes(3 * MIB))
    assert (refused.status_code, refused.json()["code"]) == (507, "storage_full")
    assert "room" in refused.json()["detail"] and "空间" in refused.json()["zh"]["detail"]
    assert world.row_counts() == before
    assert site.deliver(work, "small.bin", bytes(1000)).status_code == 200, "what fits is taken"
    world.platform.store = whole
    assert site.deliver(work, "big.bin", bytes(3 * MIB)).status_code == 200, "sent again once there is room"
    listed = tenant.get(f"/workloads/{tenant.get('/workloads')['items'][0]['id']}/artefacts")["items"]
    assert sorted(a["path"] for a in listed) == ["big.bin", "small.bin"]


def test_a_full_store_keeps_output_in_the_database(world: World, small_disk: Path) -> None:
    tenant, site, work = running(world)
    said = bytes(n * n % 251 for n in range(3 * MIB))
    for place in range(0, len(said), MIB):
        site.log(work, place, said[place : place + MIB])
    site.end(work)
    whole, world.platform.store = world.platform.store, Store(f"file://{small_disk}")
    (small_disk / "ballast").write_bytes(bytes(MIB - 8192))
    with pytest.raises(OSError, match="No space left"):
        world.reconcile("output")
    world.platform.store = whole
    world.reconcile("output")
    job = tenant.get("/workloads")["items"][0]["id"]
    assert tenant.get(f"/workloads/{job}/logs?offset={3 * MIB}")["complete"]


def test_a_read_only_database_is_said_and_changes_nothing(world: World) -> None:
    tenant, site, work = running(world)
    before = world.row_counts()
    with world.database.engine.connect() as connection:
        name = connection.scalar(text("SELECT current_database()"))
    _alter(world, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    answers = [
        tenant.call("POST", "/workloads", json={"file": FILE}),
        site.agent.call("POST", "/wire/v1/usage", json={"windows": [window(work)]}),
    ]
    for refused in answers:
        assert (refused.status_code, refused.json()["code"]) == (503, "database_read_only"), refused.text
        assert refused.headers["retry-after"]
    assert tenant.get("/workloads")["items"], "reading goes on"
    _alter(world, f"ALTER DATABASE {name} RESET default_transaction_read_only")
    assert world.row_counts() == before


def window(work: dict[str, Any]) -> dict[str, Any]:
    began = work["started_at"][:19]
    until = f"{began[:-2]}{int(began[-2:]) + 5:02d}"
    return {"lease_id": work["lease_id"], "generation": 1, "id": "w", "start": f"{began}Z", "end": f"{until}Z"}


def _alter(world: World, statement: str) -> None:
    with world.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET default_transaction_read_only = off"))
        connection.execute(text(statement))
    world.database.engine.dispose()


def test_output_of_one_run_has_a_limit_that_is_said(world: World) -> None:
    _, site, work = running(world)
    world.platform.settings.output_bytes_max = 2 * MIB
    assert site.log(work, 0, bytes(MIB)) == MIB
    assert site.log(work, MIB, bytes(MIB)) == 2 * MIB
    body = {"lease_id": work["lease_id"], "generation": 1, "offset": 2 * MIB, "data": "eA=="}
    refused = site.agent.call("POST", "/wire/v1/logs", json=body)
    assert (refused.status_code, refused.json()["code"]) == (413, "too_large")
    assert "2 MiB" in refused.json()["detail"]


def test_an_agent_that_is_too_old_is_told_and_loses_nothing(world: World) -> None:
    _, site, work = running(world)
    before = world.row_counts()
    old = {"user-agent": "zhisuan-agent/0.0.7"}
    sync = {"agent_boot": "b", "sequence": 9, "at": world.clock.now().isoformat(), "leases": []}
    for path, body in (("/wire/v1/sync", sync), ("/wire/v1/usage", {"windows": []}), ("/wire/v1/hello", {})):
        refused = site.agent.call("POST", path, json=body, headers=old)
        assert (refused.status_code, refused.json()["code"]) == (426, "agent_too_old"), path
    told = refused.json()
    assert "0.0.7" in told["detail"] and ".".join(map(str, OLDEST_AGENT)) in told["detail"]
    assert "Upgrade" in told["remedy"] and "升级" in told["zh"]["remedy"]
    assert world.row_counts() == before
    assert site.sync(work), "upgraded, it goes on where it was"


@pytest.mark.parametrize("version", ["0.1.0", "0.1.9", "0.2.0", "7.0.0"])
def test_agents_of_near_and_newer_versions_work(world: World, version: str) -> None:
    """With the fewest fields that 0.1 may send, and with fields that this server does not know."""
    site = SiteAgentTwin(world)
    headers = {"user-agent": f"zhisuan-agent/{version}", "x-unknown": "1"}
    bare = {"agent_boot": "b", "sequence": 1, "at": world.clock.now().isoformat()}
    more = bare | {"sequence": 2, "mood": {"good": True}, "leases": [{"lease_id": "x", "generation": 1, "phase": "running", "new": 1}]}
    for body in (bare, more):
        answer = site.agent.call("POST", "/wire/v1/sync", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
