"""The store on a real S3-compatible server process: what is there, what happens when it goes away, what is said of it."""

import hashlib
import logging
import random
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from s3_server import BUCKET, S3Server

from zhisuan.app.store_check import store_findings
from zhisuan.base.errors import NotFound, Unavailable
from zhisuan.base.settings import Settings
from zhisuan.base.store import Store


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.kill()


def store_of(settings: Settings) -> Store:
    return Store(settings.artefact_address, settings.artefact_options)


def keep(store: Store, data: bytes) -> str:
    incoming = store.incoming(2**40)
    incoming.write(data)
    digest = incoming.finish(None)
    store.keep(incoming, digest)
    return digest


def test_bytes_are_kept_once_read_from_any_place_and_removed(s3: S3Server) -> None:
    store = store_of(s3.settings())
    data = random.Random(1).randbytes(2_500_000)
    digest = keep(store, data)
    assert keep(store, data) == digest and digest == hashlib.sha256(data).hexdigest()
    assert s3.objects("city/") == [f"city/{digest[:2]}/{digest}"], "one object, and nothing renamed or left"
    assert b"".join(store.chunks(digest)) == data
    assert b"".join(store.chunks(digest, 1_000_000, 17)) == data[1_000_000:1_000_017]
    other = store_of(s3.settings())
    other.remove(digest)
    assert not store.has(digest), "what another server did is seen at once"
    with pytest.raises(NotFound):
        store.open(digest)
    other.remove(digest)


def test_small_files_are_kept_and_read_together(s3: S3Server) -> None:
    store = store_of(s3.settings())
    files = {hashlib.sha256(data).hexdigest(): data for data in (random.Random(n).randbytes(n * 100) for n in range(200))}
    store.keep_small(files)
    store.keep_small(files)
    assert store.missing([*files, "0" * 64]) == ["0" * 64]
    names = list(files)
    assert store.read_small([*names, names[7]]) == b"".join(files.values()) + files[names[7]]
    assert store.read_small(names[3:4]) == files[names[3]]
    with pytest.raises(NotFound):
        store.read_small([names[0], "0" * 64])


def test_unfinished_multipart_uploads_are_aborted_when_they_are_old(s3: S3Server, tmp_path: Path) -> None:
    settings = s3.settings()
    store = Store(settings.artefact_address, settings.artefact_options, tmp_path)
    for key in ("city/ab/half", "other/half"):
        assert httpx.post(f"{s3.url}/{BUCKET}/{key}?uploads", trust_env=False).status_code == 200
    # This service says of all of them that they were begun in 2010.
    assert store.remove_abandoned(datetime(2009, 1, 1, tzinfo=UTC)) == (0, 0)
    assert store.remove_abandoned(datetime(2011, 1, 1, tzinfo=UTC)) == (1, 0)
    assert s3.objects("none/") == ["uploading other/half"], "what is not below the store's address is not ours"


def test_what_is_kept_can_be_listed_with_its_age(s3: S3Server) -> None:
    store = store_of(s3.settings())
    digest = keep(store, b"to be listed")
    (found,) = [f for f in store.listing(digest[:2]) if f.sha256 == digest]
    assert found.size_bytes == 12 and abs((datetime.now(UTC) - found.since).total_seconds()) < 60
    assert list(store.listing("zz")) == []
    assert store.remove(digest) == 12 and store.remove(digest) is None


def test_parts_lie_in_the_store_until_they_are_joined(s3: S3Server, tmp_path: Path) -> None:
    store = store_of(s3.settings())
    for name, data in (("0", b"one"), ("3", b"two")):
        (tmp_path / name).write_bytes(data)
        store.put_piece("upl_x", name, tmp_path / name)
    assert store.uploads() == ["upl_x"]
    incoming = store.incoming(100)
    store.join("upl_x", ["0", "3"], incoming, hashed=False)
    store.keep(incoming, incoming.finish(hashlib.sha256(b"onetwo").hexdigest()))
    store.drop_pieces("upl_x")
    assert store.uploads() == []


@pytest.mark.slow
def test_a_server_killed_in_the_middle_of_an_upload_leaves_nothing_half_made(tmp_path: Path) -> None:
    """A multipart upload of 110 MB: the caller gets 503, no object appears, and the next try succeeds."""
    server = S3Server(tmp_path)
    server.start()
    store = store_of(server.settings())
    data = random.Random(2).randbytes(1_000_000) * 110
    killer = threading.Timer(0.4, server.kill)
    killer.start()

    def until_it_fails() -> None:
        for _ in range(50):
            store.remove(keep(store, data))

    with pytest.raises(Unavailable) as told:
        until_it_fails()
    killer.join()
    assert (told.value.code, told.value.status) == ("store_unavailable", 503)
    server.start()
    digest = hashlib.sha256(data).hexdigest()
    assert not store.has(digest)
    assert keep(store, data) == digest
    assert hashlib.sha256(b"".join(store.chunks(digest))).hexdigest() == digest
    server.kill()


def test_a_store_that_is_away_is_said_soon_and_without_keys(s3: S3Server, caplog: pytest.LogCaptureFixture) -> None:
    away = s3.settings(artefact_endpoint="http://127.0.0.1:9")
    began = time.monotonic()
    with caplog.at_level(logging.DEBUG), pytest.raises(Unavailable) as told:
        store_of(away).has("0" * 64)
    assert time.monotonic() - began < 40
    assert "127.0.0.1" not in str(told.value), "tenants are not shown where it is"
    assert "testing-secret" not in caplog.text + repr(away) and "testing-key" not in repr(away)


def test_doctor_finds_what_is_wrong(s3: S3Server) -> None:
    def look(**more: object) -> tuple[str, str]:
        (found,) = store_findings(s3.settings(**more))
        return found.verdict, f"{found.what.en} {found.remedy.en if found.remedy else ''}"

    assert look()[0] == "ok"
    verdict, said = look(artefact_url="s3://no-such-bucket/x")
    assert verdict == "fail" and "no such bucket" in said
    verdict, said = look(artefact_endpoint="http://127.0.0.1:9")
    assert verdict == "fail" and "ZHISUAN_ARTEFACT_ENDPOINT" in said
    assert "testing" not in said
    assert list(store_findings(Settings(artefact_url=None))) == []
