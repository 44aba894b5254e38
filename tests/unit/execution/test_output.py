"""Output reads the same wherever it is, and the database keeps only what is being written."""

import random
from datetime import timedelta
from pathlib import Path

import pytest
from execution_world import at, launched, node, open_site, place_one, provider, report, say
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from zhisuan.base.clock import ManualClock
from zhisuan.base.db import Database
from zhisuan.base.errors import NotFound
from zhisuan.base.store import Incoming, Store
from zhisuan.execution import packing
from zhisuan.execution import service as execution
from zhisuan.execution.tables import LogPiece, LogVolume

SMALL = 64


@pytest.fixture(autouse=True)
def small_volumes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "VOLUME_BYTES", SMALL)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"file://{tmp_path / 'store'}")


@pytest.fixture
def site_id(database: Database) -> str:
    return open_site(database, provider(database), [node("a", cores=4)])


def write(database: Database, site_id: str, lease_id: str, offset: int, data: bytes, generation: int = 1) -> int:
    with database.begin() as tx:
        return execution.add_log(tx, site_id, lease_id, generation, offset, data)


def read(database: Database, store: Store, workload_id: str, offset: int = 0, limit: int = 10**6) -> execution.Output:
    with database.begin() as tx:
        return execution.read_log(tx, store, workload_id, offset, limit)


def kept_here(database: Database) -> int:
    """Bytes of output in the database."""
    with database.begin() as tx:
        return tx.session.scalar(select(func.coalesce(func.sum(func.length(LogPiece.data)), 0))) or 0


def end(database: Database, site_id: str, lease_id: str) -> None:
    ended = report(lease_id, "exited", reason="completed", exit_code=0, ended_at=at(database, 9), complete=True)
    say(database, site_id, ended)


def pack_all(database: Database, store: Store) -> None:
    while packing.pack(database, store):
        pass


@settings(max_examples=12)
@given(seed=st.integers(0, 10**6))
def test_a_reader_does_not_see_where_output_is(database: Database, tmp_path: Path, seed: int) -> None:
    """Written, moved and read in any order; of running work at most a volume and a piece stay in the database."""
    rng = random.Random(seed)
    store = Store(f"file://{tmp_path / str(seed)}")
    before = kept_here(database)
    site_id = open_site(database, provider(database), [node("a", cores=4)])
    workload_id, lease_id = launched(database, site_id=site_id)
    whole = b""
    for _ in range(rng.randint(1, 25)):
        piece = rng.randbytes(rng.randint(1, 40))
        assert write(database, site_id, lease_id, len(whole), piece) == len(whole) + len(piece)
        whole += piece
        if rng.random() < 0.3:
            pack_all(database, store)
            assert kept_here(database) - before <= SMALL + 80
        place, limit = rng.randint(0, len(whole)), rng.randint(1, 100)
        assert read(database, store, workload_id, place, limit).data == whole[place : place + limit]
    end(database, site_id, lease_id)
    pack_all(database, store)
    assert kept_here(database) == before
    assert read(database, store, workload_id) == execution.Output(whole, len(whole))


def test_an_agent_that_says_it_again_is_told_where_the_end_is(database: Database, store: Store, site_id: str) -> None:
    workload_id, lease_id = launched(database)
    for n in range(4):
        write(database, site_id, lease_id, 40 * n, bytes([n]) * 40)
    pack_all(database, store)
    assert write(database, site_id, lease_id, 0, bytes(40)) == 160
    assert write(database, site_id, lease_id, 120, bytes(40)) == 160
    assert write(database, site_id, lease_id, 160, b"on") == 162
    assert read(database, store, workload_id).data[-4:] == b"\x03\x03on"


def test_output_of_two_attempts_in_the_store(database: Database, store: Store, site_id: str) -> None:
    workload_id, first = launched(database)
    write(database, site_id, first, 0, b"first ")
    say(database, site_id, report(first, "exited", reason="lost", complete=True))
    placed = place_one(database, workload_id)
    assert placed is not None and placed.lease is not None
    pack_all(database, store)
    write(database, site_id, placed.lease.id, 0, b"second", generation=2)
    assert read(database, store, workload_id, 4, 5) == execution.Output(b"t sec", 12)
    end_second = report(placed.lease.id, "exited", generation=2, reason="completed", exit_code=0, complete=True)
    say(database, site_id, end_second)
    pack_all(database, store)
    assert read(database, store, workload_id) == execution.Output(b"first second", 12)


class KilledAfter(Store):
    """A server that dies when the store has the bytes and the database does not know it yet."""

    def keep(self, incoming: Incoming, sha256: str) -> None:
        super().keep(incoming, sha256)
        raise KeyboardInterrupt


def test_a_server_killed_between_store_and_database_changes_nothing(
    database: Database, store: Store, site_id: str, tmp_path: Path
) -> None:
    workload_id, lease_id = launched(database)
    write(database, site_id, lease_id, 0, b"all of it")
    end(database, site_id, lease_id)
    with pytest.raises(KeyboardInterrupt):
        packing.pack(database, KilledAfter(f"file://{tmp_path / 'store'}"))
    assert read(database, store, workload_id).data == b"all of it"
    pack_all(database, store)
    assert read(database, store, workload_id).data == b"all of it"
    assert len([f for f in (tmp_path / "store").rglob("*") if f.is_file()]) == 1, "the same bytes under the same digest"


def test_two_servers_at_the_same_output(database: Database, store: Store, site_id: str, tmp_path: Path) -> None:
    workload_id, lease_id = launched(database)
    write(database, site_id, lease_id, 0, b"all of it")
    end(database, site_id, lease_id)

    class Overtaken(Store):
        def keep(self, incoming: Incoming, sha256: str) -> None:
            packing.pack(database, store)
            super().keep(incoming, sha256)

    packing.pack(database, Overtaken(f"file://{tmp_path / 'store'}"))
    assert read(database, store, workload_id) == execution.Output(b"all of it", 9)
    with database.begin() as tx:
        assert tx.session.scalar(select(func.count()).select_from(LogVolume)) == 1


def test_output_is_kept_for_its_time_and_then_said_to_be_gone(
    database: Database, clock: ManualClock, store: Store, site_id: str, tmp_path: Path
) -> None:
    workload_id, lease_id = launched(database)
    other, other_lease = launched(database)
    for lease in (lease_id, other_lease):
        write(database, site_id, lease, 0, b"the same output")
    end(database, site_id, lease_id)
    pack_all(database, store)
    clock.advance(timedelta(days=2))
    end(database, site_id, other_lease)
    pack_all(database, store)
    packing.remove_old(database, store, clock.now() - timedelta(days=3))
    assert read(database, store, workload_id).data == b"the same output"
    for _ in range(2):
        packing.remove_old(database, store, clock.now() - timedelta(days=1))
    with pytest.raises(NotFound, match="had been kept for its time"):
        read(database, store, workload_id)
    assert read(database, store, other).data == b"the same output", "another's alike output is its own"
