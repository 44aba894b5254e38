"""Artefacts arrive whole, as announced, and only below the folder they were asked into."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from zhisuan.base.errors import InvalidInput
from zhisuan.sdk import Client, NotReachable, UnexpectedAnswer
from zhisuan.sdk.types import Artefact

DATA = b"weights" * 1000


def artefact(path: str = "model/weights.bin", data: bytes = DATA) -> Artefact:
    return Artefact(id="art_1", path=path, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


class Dead(httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        raise httpx.ReadError("reset")


class Torn(httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        yield DATA[:100]
        raise httpx.ReadError("reset")


def client(*answers: httpx.Response) -> Client:
    left = list(answers)
    return Client(
        "http://p.test", "k", transport=httpx.MockTransport(lambda _: left.pop(0)), pause=lambda _: None, retries=1
    )


def test_a_torn_download_begins_again(tmp_path: Path) -> None:
    with client(httpx.Response(200, stream=Torn()), httpx.Response(200, content=DATA)) as c:
        target = c.download(artefact(), tmp_path)
    assert target == tmp_path / "model" / "weights.bin"
    assert target.read_bytes() == DATA
    assert [p.name for p in target.parent.iterdir()] == ["weights.bin"]


def test_what_is_there_already_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_bytes(DATA)
    with client() as c:
        c.download(artefact(), tmp_path)


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ((httpx.Response(200, content=b"something else"),), UnexpectedAnswer),
        ((httpx.Response(200, content=DATA + b"!"),), UnexpectedAnswer),
    ],
)
def test_a_failed_download_leaves_nothing(
    tmp_path: Path, answers: tuple[httpx.Response, ...], error: type[Exception]
) -> None:
    with client(*answers) as c, pytest.raises(error):
        c.download(artefact(), tmp_path)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_a_download_goes_on_behind_what_came_also_in_another_process(tmp_path: Path) -> None:
    torn = (httpx.Response(200, stream=Torn()), httpx.Response(206, stream=Torn()))
    with client(*torn, *(httpx.Response(206, stream=Dead()) for _ in range(2))) as c, pytest.raises(NotReachable):
        c.download(artefact(), tmp_path)
    assert [p.stat().st_size for p in tmp_path.rglob("*.part")] == [200]
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(206, content=DATA[200:])

    with Client("http://p.test", "k", transport=httpx.MockTransport(answer)) as c, pytest.raises(UnexpectedAnswer):
        c.download(artefact(), tmp_path)
    assert (asked[0].headers["range"], asked[0].headers["if-match"]) == ("bytes=200-", f'"{artefact().sha256}"')
    assert list(tmp_path.rglob("*.part")) == [], "wrong bytes are thrown away"


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "", "a\\..\\x", "a\x00b"])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, path: str) -> None:
    with client() as c, pytest.raises(InvalidInput):
        c.download(artefact(path), tmp_path / "in")
    assert list(tmp_path.iterdir()) == []
