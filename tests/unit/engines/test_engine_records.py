"""Records keep whatever is put into them, and a reader never finds a part of one."""

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.engines.local import records

KEYS = st.text(st.characters(codec="utf-8", exclude_characters="=\n\\"), min_size=1, max_size=20)
VALUES = st.text(st.characters(codec="utf-8"), max_size=60)


@given(st.lists(st.tuples(KEYS, VALUES | st.text("\\nr\n\r=", max_size=12)), max_size=8))
def test_what_is_written_is_read(pairs: records.Pairs) -> None:
    assert records.decode(records.encode(pairs)) == pairs


def test_bytes_that_are_no_text_survive() -> None:
    odd = b"\xff\xfe".decode("utf-8", "surrogateescape")
    assert records.decode(records.encode([("path", odd)])) == [("path", odd)]


@pytest.mark.parametrize("key", ["", "a=b", "a\nb", "a\\b"])
def test_a_key_that_could_be_misread_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="record key"):
        records.encode([(key, "x")])


def test_a_line_that_is_no_record_is_refused() -> None:
    with pytest.raises(ValueError, match="not a record"):
        records.decode(b"hello\n")


def test_nothing_is_read_where_nothing_is(tmp_path: Path) -> None:
    assert records.read(str(tmp_path / "none")) is None


def test_the_first_writer_wins_for_ever(tmp_path: Path) -> None:
    path = str(tmp_path / "once")
    wins: list[bool] = []
    gate = threading.Barrier(8)

    def write(number: int) -> None:
        gate.wait()
        wins.append(records.write_once(path, [("by", str(number))]))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wins.count(True) == 1
    first = records.read(path)
    assert not records.write_once(path, [("by", "late")])
    assert records.read(path) == first
    assert [entry.name for entry in tmp_path.iterdir()] == ["once"]


def test_a_reader_sees_the_old_or_the_new_and_never_a_mixture(tmp_path: Path) -> None:
    path = str(tmp_path / "state")
    records.write_atomic(path, [("n", "0")] * 200)
    torn: list[records.Pairs] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            pairs = records.read(path)
            if pairs is None or len(pairs) != 200 or len(set(pairs)) != 1:
                torn.append(pairs or [])

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(100):
        records.write_atomic(path, [("n", str(number))] * 200, durable=False)
    done.set()
    reader.join()
    assert torn == []
