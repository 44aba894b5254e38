"""Server-sent events are read the same however the bytes arrive."""

from hypothesis import example, given
from hypothesis import strategies as st

from zhisuan.sdk.sse import ServerEvent, events_of

LINES = st.text(st.characters(exclude_characters="\r\n", exclude_categories=("Cs",)), max_size=20)
EVENTS = st.lists(
    st.tuples(st.sampled_from(["log", "state", "end"]), st.lists(LINES, min_size=1, max_size=3)), max_size=5
)


def chopped(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(c, len(data)) for c in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@given(events=EVENTS, end=st.sampled_from(["\n", "\r\n", "\r"]), cuts=st.lists(st.integers(0, 400), max_size=12))
@example(events=[("log", ["a\u2028b\x85c\x0bd"])], end="\n", cuts=[])
def test_events_survive_any_chopping_and_any_line_end(
    events: list[tuple[str, list[str]]], end: str, cuts: list[int]
) -> None:
    text = "".join(
        f": remark{end}event: {name}{end}" + "".join(f"data: {line}{end}" for line in lines) + end
        for name, lines in events
    )
    # What follows makes sure that a final CR is not taken for half of a CRLF.
    data = text.encode() + b": more"
    expected = [ServerEvent(name, "\n".join(lines)) for name, lines in events]
    assert list(events_of(chopped(data, cuts))) == expected


def test_an_unfinished_event_is_dropped() -> None:
    assert list(events_of([b"event: log\ndata: whole\n\nevent: log\ndata: ha"])) == [ServerEvent("log", "whole")]


def test_fields_without_value_space_or_name_are_read_by_the_rules() -> None:
    stream = b"data:no space\nid: 7\nretry: 10\n\nevent: empty\n\ndata\ndata\n\n"
    assert list(events_of([stream])) == [ServerEvent("message", "no space"), ServerEvent("message", "\n")]
