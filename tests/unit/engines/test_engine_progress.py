"""Progress is the tenant's text: anything may be in it, and nothing of it may hurt."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.engines.contract import Progress
from zhisuan.engines.local.progress import parse_progress, read_progress


@given(st.binary(max_size=300))
def test_any_bytes_give_a_progress_or_none(tail: bytes) -> None:
    found = parse_progress(tail)
    assert found is None or found.fraction_ppm is None or 0 <= found.fraction_ppm <= 1_000_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["fraction", "message", "loss", "x"]), JSON, max_size=4))
def test_whatever_object_is_written_can_be_sent_on(value: dict[str, object]) -> None:
    found = parse_progress(json.dumps(value).encode() + b"\n")
    assert found is not None
    json.dumps(found.extra, allow_nan=False, ensure_ascii=False).encode("utf-8")
    assert (found.message or "").encode("utf-8").count(b"\0") == 0


@given(st.integers(0, 1_000_000))
def test_a_fraction_is_kept_to_the_millionth(ppm: int) -> None:
    found = parse_progress(json.dumps({"fraction": ppm / 1_000_000}).encode())
    assert found is not None
    assert found.fraction_ppm == ppm


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"fraction": 2}\n', Progress(1_000_000, None)),
        (b'{"fraction": -1}\n', Progress(0, None)),
        (b'{"fraction": true}\n', Progress(None, None)),
        (b'{"fraction": "half"}\n', Progress(None, None)),
        (b'{"fraction": NaN, "message": null}\n', Progress(None, None)),
        (b'{"message": "a"}\n{"message": "b', Progress(None, "a")),
        (b'{"message": "a"}\n[1]\n"x"\n\n', Progress(None, "a")),
        (b"[" * 100_000, None),
        (b"", None),
    ],
)
def test_cases(text: bytes, expected: Progress | None) -> None:
    assert parse_progress(text) == expected


def test_only_the_end_of_a_long_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    path.write_bytes(b'{"message": "old"}\n' * 100_000 + b'{"message": "last"}\n')
    assert read_progress(str(path)) == Progress(None, "last")


def test_a_link_or_a_pipe_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text('{"message": "secret"}')
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "pipe")
    assert read_progress(str(tmp_path / "link")) is None
    assert read_progress(str(tmp_path / "pipe")) is None
    assert read_progress(str(tmp_path / "none")) is None
