"""Transactions, idempotency, notifications, the store and the embedded server: on the real thing."""

import asyncio
import hashlib
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import func, select, text

from zhisuan.base.clock import SystemClock
from zhisuan.base.db import Database, QueryCount, driver_url
from zhisuan.base.errors import IdempotencyConflict, InvalidInput, NotFound, TooLarge, Unavailable
from zhisuan.base.idempotency import IdempotencyKey, Keyed, body_hash, earlier_answer, remember_answer
from zhisuan.base.notify import Hub
from zhisuan.base.outbox import OutboxEvent
from zhisuan.base.postgres import EmbeddedPostgres, with_password
from zhisuan.base.secrets import NO_PASSWORD, digest, hash_password, password_matches, same
from zhisuan.base.store import Store
from zhisuan.testing.database import TestServer


def call(database: Database, key: str, body: object, effect: str, *, fails: bool = False) -> dict[str, object]:
    """A change as the API makes one: its effect is an event."""
    with database.begin() as tx:
        asked = Keyed("org", "POST /x", key, body_hash(body))
        earlier = earlier_answer(tx, asked)
        if earlier is not None:
            return earlier[1]
        tx.emit("effect", effect)
        if fails:
            raise RuntimeError("after the effect")
        remember_answer(tx, asked, 201, {"made": effect})
        return {"made": effect}


def effects(database: Database) -> int:
    with database.begin() as tx:
        return tx.session.scalar(select(func.count()).select_from(OutboxEvent)) or 0


def test_one_key_from_many_threads_is_one_effect(database: Database) -> None:
    barrier = threading.Barrier(6)

    def caller(n: int) -> dict[str, object]:
        barrier.wait()
        return call(database, "k", {"a": 1, "b": 2}, f"e{n}")

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(caller, range(6)))
    assert len({str(a) for a in answers}) == 1 and effects(database) == 1
    assert call(database, "k", {"b": 2, "a": 1}, "again") == answers[0], "the order of names does not matter"


def test_one_key_with_another_body_is_a_conflict_and_a_failure_leaves_no_key(database: Database) -> None:
    call(database, "k", 1, "e")
    with pytest.raises(IdempotencyConflict):
        call(database, "k", 2, "e")
    with pytest.raises(RuntimeError):
        call(database, "other", 1, "e", fails=True)
    assert effects(database) == 1
    assert call(database, "other", 2, "later") == {"made": "later"}
    with database.begin() as tx:
        assert tx.session.scalar(select(func.count()).select_from(IdempotencyKey)) == 2


@pytest.mark.parametrize("key", ["", "a\nb", "x" * 201, "\x00"])
def test_a_key_that_cannot_be_one_is_refused(database: Database, key: str) -> None:
    with pytest.raises(InvalidInput):
        call(database, key, 1, "e")


def test_a_transaction_is_all_or_nothing_and_says_who_and_when(database: Database) -> None:
    def fails() -> None:
        with database.begin("me") as tx:
            tx.emit("a", "s")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    with database.begin("me") as tx:
        tx.emit("b", "s", {"n": 1})
    with database.begin() as tx:
        only = tx.session.scalars(select(OutboxEvent)).one()
        assert (only.kind, only.actor, only.at, only.data) == ("b", "me", database.clock.now(), {"n": 1})
        assert tx.session.scalar(text("SHOW timezone")).lower() == "utc"


def test_the_query_counter_counts(database: Database) -> None:
    with database.begin() as tx, QueryCount(database.engine) as count:
        tx.session.execute(text("SELECT 1"))
        tx.session.execute(text("SELECT 2"))
    assert count.statements == ["SELECT 1", "SELECT 2"]


@pytest.mark.parametrize("url", ["mysql://x", "sqlite:///x", "nothing"])
def test_only_postgresql_is_taken(url: str) -> None:
    with pytest.raises(ValueError, match="PostgreSQL"):
        driver_url(url)
    assert driver_url("postgres://h/d") == "postgresql+psycopg://h/d"


def test_a_hub_wakes_the_right_waiters_and_all_of_them_after_a_lost_connection(database: Database) -> None:
    async def scene() -> None:
        hub = Hub(database.url, ["zs_test"])
        hub.start()
        try:
            with (
                hub.listening("zs_test", "a") as a,
                hub.listening("zs_test", "*") as every,
                hub.listening("zs_test", "b") as b,
            ):
                assert await a.wait(20), "woken once when the listening begins"
                await every.wait(1)
                await b.wait(1)
                with database.begin() as tx:
                    tx.notify("zs_test", "a")
                    assert not await a.wait(0.05), "not before the commit"
                assert await a.wait(20) and await every.wait(20) and not await b.wait(0.05)
                await asyncio.to_thread(_cut_listeners, database)
                assert await b.wait(20), "a notification may have passed unheard"
                with database.begin() as tx:
                    tx.notify("zs_test", "b")
                assert await b.wait(20)
            assert hub._waiting == {}
        finally:
            await asyncio.to_thread(hub.stop)

    asyncio.run(scene())


def _cut_listeners(database: Database) -> None:
    with database.begin() as tx:
        tx.session.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"))


def test_the_store_keeps_bytes_once_under_their_digest(tmp_path: Path) -> None:
    store = Store(f"file://{tmp_path}")
    for _ in range(2):
        incoming = store.incoming(100)
        for piece in (b"one ", b"two"):
            incoming.write(piece)
        sha256 = incoming.finish(hashlib.sha256(b"one two").hexdigest().upper())
        store.keep(incoming, sha256)
        assert not incoming.path.exists()
        incoming.discard()
    assert b"".join(store.chunks(sha256)) == store.open(sha256).read() == b"one two"
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == [sha256]
    source = tmp_path / "source"
    source.write_bytes(b"one two")
    assert store.keep_file(source) == (sha256, 7)


def test_the_store_refuses_what_is_wrong(tmp_path: Path) -> None:
    store = Store(f"file://{tmp_path}")
    incoming = store.incoming(3)
    with pytest.raises(TooLarge):
        incoming.write(io.BytesIO(b"four").read())
    incoming.discard()
    wrong = store.incoming(10)
    wrong.write(b"x")
    with pytest.raises(InvalidInput, match="SHA-256"):
        wrong.finish("0" * 64)
    wrong.discard()
    with pytest.raises(NotFound):
        store.open("0" * 64)
    with pytest.raises(NotFound):
        store.chunks("0" * 64)
    for name in ("../../etc/passwd", "A" * 64, ""):
        with pytest.raises(ValueError, match="64 hexadecimal"):
            store.open(name)


def test_secrets_at_rest() -> None:
    hashed = hash_password("correct horse")
    assert password_matches("correct horse", hashed) and not password_matches("wrong", hashed)
    assert not password_matches("x", "no hash") and not password_matches("", NO_PASSWORD)
    assert same(digest("a"), digest("a")) and not same(digest("a"), digest("b"))


def test_the_embedded_server_asks_for_its_password(postgres: TestServer) -> None:
    address = postgres._address
    with psycopg.connect(address) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    for wrong in ("", "wrong"):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(with_password(address, wrong))


@pytest.mark.slow
def test_the_embedded_server_is_taken_up_again_and_keeps_its_data(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "pg")
    address = server.start()
    try:
        assert server.password_file.stat().st_mode & 0o077 == 0
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (x int)")
        assert EmbeddedPostgres(tmp_path / "pg").start() == address, "one that runs is taken up"
    finally:
        server.stop()
    again = EmbeddedPostgres(tmp_path / "pg")
    try:
        with psycopg.connect(again.start()) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    finally:
        again.stop()


def test_a_folder_that_is_no_database_is_named_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "pg").mkdir()
    (tmp_path / "pg" / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(Unavailable) as caught:
        EmbeddedPostgres(tmp_path / "pg").start()
    assert caught.value.code == "corrupt_data_directory"
    assert str(tmp_path / "pg") in caught.value.what.en and "--data-dir" in caught.value.remedy.zh
    assert (tmp_path / "pg" / "holiday.jpg").exists()


@pytest.mark.slow
def test_a_damaged_database_is_named_with_a_way_out(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "pg")
    server.start()
    server.stop()
    (tmp_path / "pg" / "global" / "pg_control").write_bytes(b"damaged")
    with pytest.raises(Unavailable) as caught:
        EmbeddedPostgres(tmp_path / "pg").start()
    assert caught.value.code == "corrupt_data_directory" and "backup" in caught.value.remedy.en


def test_clocks_of_databases_are_their_own(database: Database) -> None:
    other = Database(database.url, SystemClock(), database.ids)
    try:
        with other.begin() as tx:
            assert tx.now != database.clock.now()
    finally:
        other.close()


def test_a_connection_that_the_database_has_ended_is_replaced_before_it_is_used(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zhisuan.base.db.PING_AFTER_SECONDS", 0.0)
    with database.begin() as tx:
        tx.session.execute(text("SELECT 1"))
    with psycopg.connect(database.url) as other:
        ended = other.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchall()
    assert ended
    with database.begin() as tx:
        assert tx.session.scalar(text("SELECT 1")) == 1
