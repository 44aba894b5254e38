"""Orders that come at the same time are taken in one transaction, and each is as if it had come alone."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from api_world import Person, SiteAgentTwin, World, number, open_world
from sqlalchemy import select

from zhisuan.api.ordering import Desk, Ordered
from zhisuan.base.db import QueryCount
from zhisuan.base.errors import Unavailable
from zhisuan.base.text import Text
from zhisuan.base.vault import Vault
from zhisuan.execution.tables import Allocation, Lease
from zhisuan.supply.tables import Device
from zhisuan.testing.database import TestServer
from zhisuan.workload.tables import Workload, WorkloadEvent


@pytest.fixture
def world(postgres: TestServer, tmp_path: Path) -> Iterator[World]:
    with open_world(postgres, tmp_path) as made:
        yield made


def file(cpus: int = 1, **more: object) -> str:
    lines = [f"name: n{number()}", f"resources: {{cpus: {cpus}, memory: 1}}", "run: 'true'"]
    return "\n".join([*lines, *(f"{name}: {value}" for name, value in more.items())])


def order(who: Person, text: str, key: str) -> tuple[int, Any]:
    answer = who.call("POST", "/workloads", key=key, json={"file": text})
    return answer.status_code, answer.json()


@contextmanager
def one_batch(world: World, monkeypatch: pytest.MonkeyPatch, count: int) -> Iterator[list[int]]:
    """Holds the first order back until ``count`` have come, so that all of them are one batch after it; the sizes of batches."""
    sizes: list[int] = []
    desk: Desk = world.client.app.state.desk  # type: ignore[attr-defined]
    taken = desk._in_one
    waiting = desk._together._waiting

    def take(orders: Sequence[Ordered]) -> Any:
        if not sizes:
            for _ in range(20_000):
                if len(waiting) >= count - 1:
                    break
                threading.Event().wait(0.001)
        sizes.append(len(orders))
        return taken(orders)

    monkeypatch.setattr(desk, "_in_one", take)
    yield sizes


def at_once(calls: Sequence[Callable[[], tuple[int, Any]]]) -> list[tuple[int, Any]]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [f.result(60) for f in [pool.submit(call) for call in calls]]


def test_each_of_a_batch_has_its_own_answer_and_what_is_wrong_with_one_is_nothing_to_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    SiteAgentTwin(world, cores=8)
    one, other = world.tenant(), world.tenant()
    unknown = file().replace("memory: 1", "memory: 1, accelerators: 'XX9:1'")
    asked = [(one, file()), (other, file(2)), (one, file(1000)), (other, file(1)), (one, unknown), (one, file()), (other, file())]
    with one_batch(world, monkeypatch, len(asked)) as sizes:
        said = at_once([lambda a=a, n=n: order(a[0], a[1], f"key-{n}") for n, a in enumerate(asked)])  # type: ignore[misc]
    assert sizes == [1, 6]
    assert [status for status, _ in said] == [201, 201, said[2][0], 201, said[4][0], 201, 201]
    assert (said[2][1]["code"], said[4][1]["code"]) == ("cannot_fit", "unknown_device_class")
    leases = [body["placement"]["chosen"]["site_id"] for status, body in said if status == 201]
    assert all(leases)
    with world.database.begin() as tx:
        for status, body in said:
            if status == 201:
                workload = tx.session.get_one(Workload, body["workload"]["id"])
                assert workload.state == "placed"
                events = tx.session.scalars(
                    select(WorkloadEvent).where(WorkloadEvent.workload_id == workload.id).order_by(WorkloadEvent.number)
                ).all()
                assert [(e.number, e.state, e.actor) for e in events] == [
                    (1, "pending", workload.created_by), (2, "placed", workload.created_by),
                ]  # fmt: skip
        whose = dict(tx.session.execute(select(Workload.id, Workload.org_id)).all())
    for n, (who, _) in enumerate(asked):
        if said[n][0] == 201:
            assert whose[said[n][1]["workload"]["id"]] == who.org_id
    again = [order(who, text, f"key-{n}") for n, (who, text) in enumerate(asked)]
    assert [a for a in again if a[0] == 201] == [s for s in said if s[0] == 201]


def test_a_key_that_comes_twice_in_a_batch_is_one_order_and_one_with_another_body_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    SiteAgentTwin(world, cores=8)
    who, text = world.tenant(), file()
    with one_batch(world, monkeypatch, 5) as sizes:
        said = at_once([
            lambda: order(who, file(), "first"),
            *([lambda: order(who, text, "same")] * 3), lambda: order(who, file(), "another"),
        ])  # fmt: skip
    # Four where one of the same key was the first to come.
    assert sizes[0] == 1 and sum(sizes) in (3, 4), "those that repeat a key come after, each alone"
    assert [s for s, _ in said] == [201] * 5
    assert len({body["workload"]["id"] for _, body in said[1:4]}) == 1
    assert order(who, file(), "same")[0] == 409
    assert len(who.get("/workloads")["items"]) == 3


def test_a_batch_never_takes_more_than_there_is_and_what_has_no_place_waits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sites = [SiteAgentTwin(world, cores=3), SiteAgentTwin(world, cores=2)]
    who = world.tenant()
    with one_batch(world, monkeypatch, 12) as sizes:
        said = at_once([lambda n=n: order(who, file(1 + n % 2), f"k{n}") for n in range(12)])  # type: ignore[misc]
    assert sizes[0] == 1 and [s for s, _ in said] == [201] * 12
    with world.database.begin() as tx:
        held: dict[str, int] = {}
        for device, amount in tx.session.execute(
            select(Allocation.device_id, Allocation.amount).join(Lease, Lease.id == Allocation.lease_id)
        ):
            held[device] = held.get(device, 0) + amount
        devices = {d.id: d for d in tx.session.scalars(select(Device))}
        assert all(devices[i].allocated == amount <= devices[i].capacity for i, amount in held.items())
        assert sum(a for i, a in held.items() if devices[i].kind == "cpu") == 5000, "all five cores are taken"
        states = sorted(tx.session.scalars(select(Workload.state)))
        assert set(states) == {"placed", "pending"}
    offers = [offer for site in sites for offer in site.sync()]
    assert len({o["workload_id"] for o in offers}) == len(offers) == states.count("placed")


def test_what_the_database_refuses_of_one_ends_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of a batch that cannot be written: all of it is rolled back, and each is taken alone."""
    SiteAgentTwin(world, cores=8)
    who = world.tenant()
    with world.database.begin() as tx:
        tx.session.connection().exec_driver_sql(
            "ALTER TABLE workload_workload ADD CONSTRAINT ck_none_of_these CHECK (name <> 'refused')"
        )
    files = [file(), file(), file().replace("name: n", "name: refused\n#"), file()]
    with one_batch(world, monkeypatch, 4) as sizes:
        said = at_once([lambda n=n: order(who, files[n], f"k{n}") for n in range(4)])  # type: ignore[misc]
    assert sizes[0] == 1
    assert [s for s, _ in said][:2] == [201, 201] and said[3][0] == 201 and said[2][0] >= 500
    assert len(who.get("/workloads")["items"]) == 3


def test_secrets_of_one_that_cannot_be_sealed_end_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    SiteAgentTwin(world, cores=8)
    who = world.tenant()

    def refuse(*_: object) -> bytes:
        raise Unavailable(Text("no key", "无密钥"), Text("find it", "请查找"), code="seal_key")

    monkeypatch.setattr(Vault, "seal", refuse)
    files = [file(), file(), file(secrets="{TOKEN: abc}"), file()]
    with one_batch(world, monkeypatch, 4):
        said = at_once([lambda n=n: order(who, files[n], f"k{n}") for n in range(4)])  # type: ignore[misc]
    assert [s for s, _ in said] == [201, 201, 503, 201] and said[2][1]["code"] == "seal_key"
    assert len(who.get("/workloads")["items"]) == 3


def test_the_statements_of_a_batch_hardly_grow_with_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    SiteAgentTwin(world, cores=64, memory_mib=65536)
    who = world.tenant()
    order(who, file(), "warm")

    def statements(count: int) -> int:
        with one_batch(world, monkeypatch, 1 + count), QueryCount(world.database.engine) as counted:
            at_once([lambda n=n: order(who, file(), f"c{count}-{n}") for n in range(1 + count)])  # type: ignore[misc]
        return len([s for s in counted.statements if "tenancy_api_key" not in s])

    few, many = statements(2), statements(22)
    assert many - few <= 8, "nothing is asked for each order alone"
