"""Following a workload over connections that break."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.base.errors import NotFound, Unavailable
from zhisuan.sdk import Client, EndEvent, LogEvent, NotReachable, StateEvent, UnexpectedAnswer

WORKLOAD = {"id": "job_1", "kind": "job", "name": "n", "created_at": "2026-08-01T00:00:00Z"}


def sse(name: str, data: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


class Cut(httpx.SyncByteStream):
    """A body that stops short: quietly, or with the connection's error."""

    def __init__(self, data: bytes, rude: bool) -> None:
        self._data, self._rude = data, rude

    def __iter__(self) -> Iterator[bytes]:
        yield self._data
        if self._rude:
            raise httpx.ReadError("reset by peer")


class Platform:
    """Serves ``log`` from any offset, a few bytes a connection, until ``breaks`` are used up."""

    def __init__(self, log: bytes, breaks: list[tuple[int, bool]]) -> None:
        self.log, self.breaks, self.offsets = log, breaks, list[int]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        offset = int(request.url.params["offset"])
        self.offsets.append(offset)
        if self.breaks:
            count, rude = self.breaks.pop(0)
            part = self.log[offset : offset + count]
            head = sse("state", WORKLOAD | {"state": "running"})
            body = head + (sse("log", {"text": part.decode(), "next_offset": offset + len(part)}) if part else b"")
            return httpx.Response(200, stream=Cut(body + b'event: log\ndata: {"te', rude))
        rest = self.log[offset:]
        body = sse("log", {"text": rest.decode(), "next_offset": len(self.log)}) if rest else b""
        return httpx.Response(200, content=body + sse("end", WORKLOAD | {"state": "succeeded"}))


def watcher(handler: Any, **more: Any) -> Client:
    return Client("http://platform.test", "zsk", transport=httpx.MockTransport(handler), pause=lambda _: None, **more)


@given(
    log=st.text("abc\n\u2028", max_size=60).map(lambda s: s.replace("\u2028", "u")),
    breaks=st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=6),
)
def test_every_byte_of_the_log_comes_once_however_often_the_link_breaks(
    log: str, breaks: list[tuple[int, bool]]
) -> None:
    platform = Platform(log.encode(), list(breaks))
    with watcher(platform, retries=1) as client:
        events = list(client.watch("job_1"))
    assert "".join(e.text for e in events if isinstance(e, LogEvent)) == log
    assert isinstance(events[-1], EndEvent)
    assert events[-1].workload.state == "succeeded"
    assert platform.offsets == sorted(platform.offsets)


def test_it_begins_where_it_is_told() -> None:
    platform = Platform(b"0123456789", [])
    with watcher(platform) as client:
        first = next(iter(client.watch("job_1", offset=4)))
    assert isinstance(first, LogEvent)
    assert first.text == "456789"


def test_separators_inside_a_line_do_not_split_it() -> None:
    text = "loss\u2028\x85\x0b0.5"
    body = b"event: log\ndata: " + json.dumps({"text": text, "next_offset": 9}, ensure_ascii=False).encode() + b"\n\n"
    body += sse("end", WORKLOAD | {"state": "failed"})
    with watcher(lambda _: httpx.Response(200, content=body)) as client:
        first = next(iter(client.watch("job_1")))
    assert isinstance(first, LogEvent)
    assert first.text == text


def test_silence_ends_in_not_reachable_after_the_retries() -> None:
    calls = []

    def handler(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        raise httpx.ReadTimeout("silence")

    with watcher(handler, retries=3) as client, pytest.raises(NotReachable):
        list(client.watch("job_1"))
    assert len(calls) == 4


def test_a_refusal_is_final_and_an_unavailable_platform_is_not() -> None:
    def refusal(status: int, title: str) -> httpx.Response:
        body = {"title": title, "detail": "d", "remedy": "r"}
        return httpx.Response(status, json=body, headers={"Content-Type": "application/problem+json"})

    with watcher(lambda _: refusal(404, "not found")) as client, pytest.raises(NotFound):
        list(client.watch("job_1"))
    answers = [refusal(503, "unavailable"), httpx.Response(200, content=sse("end", WORKLOAD | {"state": "succeeded"}))]
    with watcher(lambda _: answers.pop(0)) as client:
        assert client.wait("job_1").state == "succeeded"
    with watcher(lambda _: refusal(503, "unavailable"), retries=1) as client, pytest.raises(Unavailable):
        client.wait("job_1")


def test_kinds_of_a_newer_server_are_passed_over_and_broken_data_is_named() -> None:
    kinds: list[type] = []
    body = sse("weather", {"sun": True}) + sse("state", WORKLOAD | {"state": "running"}) + sse("log", {"text": 1})
    with (
        watcher(lambda _: httpx.Response(200, content=body)) as client,
        pytest.raises(UnexpectedAnswer, match="event log"),
    ):
        kinds.extend(type(event) for event in client.watch("job_1"))
    assert kinds == [StateEvent]
