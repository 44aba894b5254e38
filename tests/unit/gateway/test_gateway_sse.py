"""Cutting a byte stream into events does not depend on where the bytes were cut before."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.gateway import sse
from zhisuan.gateway.sse import EventTooLong, SseSplitter, as_event, event_data

line_ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
texts = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12).map(str.encode)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A stream that keeps to one line end, and the data of its events as the standard reads them."""
    end = draw(line_ends)
    out, data = b"", []
    for _ in range(draw(st.integers(0, 6))):
        lines = draw(st.lists(texts, min_size=1, max_size=3))
        out += draw(st.sampled_from([b"", b": a comment" + end, b"event: delta" + end]))
        out += b"".join(b"data: " + line + end for line in lines) + end
        data.append(b"\n".join(lines))
    return out, data


def split_at(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(places)]


def read(chunks: list[bytes]) -> list[bytes]:
    splitter = SseSplitter()
    events = [event for chunk in chunks for event in splitter.feed(chunk)]
    left = splitter.rest()
    return events + ([left] if left else [])


@given(streams(), st.lists(st.integers(0, 300), max_size=20))
def test_events_do_not_depend_on_chunks(stream: tuple[bytes, list[bytes]], cuts: list[int]) -> None:
    raw, data = stream
    assert [event_data(event) for event in read(split_at(raw, cuts))] == data


@given(st.lists(st.sampled_from([b"\r", b"\n", b"a", b"data: ", b":"]), max_size=25).map(b"".join))
def test_any_bytes_give_the_same_events_whole_and_byte_by_byte(raw: bytes) -> None:
    assert read([raw]) == read([raw[i : i + 1] for i in range(len(raw))])


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=8))
def test_no_byte_but_line_ends_is_lost(raw: bytes, cuts: list[int]) -> None:
    def bare(parts: list[bytes]) -> bytes:
        return b"".join(parts).replace(b"\r", b"").replace(b"\n", b"")

    assert bare(read(split_at(raw, cuts))) == bare([raw])


@pytest.mark.parametrize(
    "event, data",
    [
        (b"data: x", b"x"),
        (b"data:x", b"x"),
        (b"data:  x", b" x"),
        (b"data: a\ndata: b", b"a\nb"),
        (b"event: e\r\ndata: a\r\nid: 1", b"a"),
        (b": keep-alive", None),
        (b"retry: 1", None),
        (b"data:", b""),
    ],
)
def test_the_data_of_an_event(event: bytes, data: bytes | None) -> None:
    assert event_data(event) == data


def test_an_event_written_is_an_event_read() -> None:
    assert read([as_event(b'{"a":1}')]) == [b'data: {"a":1}']


def test_an_event_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "EVENT_BYTES_MAX", 100)
    splitter = SseSplitter()
    splitter.feed(b"x" * 100)
    with pytest.raises(EventTooLong):
        splitter.feed(b"x")
