"""Request traces: the two shapes, packed or not, and what is wrong with a row."""

import gzip
from pathlib import Path

import pytest

from zhisuan.base.errors import InvalidInput
from zhisuan.simulation.rows import Skips
from zhisuan.simulation.serving.requests import Request, Trace, at_rate, read_trace

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:04.0319600,3180,8
2023-11-16 18:17:03.9799600,4808,10
2023-11-16 18:17:05.0000000,-4,10
2023-11-16 18:17:05.0000000,12,ten
soon,12,10
2023-11-16 18:17:05.0000000,12
2023-11-16 18:17:06.9799600,1,0"""
MOONCAKE = """{"timestamp": 27, "input_length": 600, "output_length": 5, "hash_ids": [4, 5]}
{"timestamp": 30, "input_length": 100, "output_length": 0, "hash_ids": []}

{"timestamp": 30, "input_length": 100, "output_length": 1, "hash_ids": [1, 2]}
{"timestamp": 30, "input_length": 0, "output_length": 1, "hash_ids": []}
{"timestamp": 30, "input_length": 100, "output_length": -1, "hash_ids": []}
{"timestamp": "soon", "input_length": 100, "output_length": 1, "hash_ids": []}
{"timestamp": 30, "input_length": NaN, "output_length": 1, "hash_ids": []}
{"timestamp": 30, "input_length": 100, "output_length": 1, "hash_ids": [true]}
[1]
{"timestamp": 29.0, "input_length": 100, "output_length": 1, "hash_ids": [9]}
"""


@pytest.mark.parametrize("packed", [False, True])
def test_azures_csv(tmp_path: Path, packed: bool) -> None:
    skips = Skips()
    trace = read_trace(written(tmp_path, "a.csv", AZURE, packed), skips)
    assert trace == Trace((Request(0, 4808, 10), Request(52_000, 3180, 8), Request(3_000_000, 1, 0)), moved=1)
    assert [one.line for one in skips.first] == [4, 5, 6, 7]
    assert "-4" in skips.first[0].reason.en and "soon" in skips.first[2].reason.en


@pytest.mark.parametrize("packed", [False, True])
def test_mooncakes_lines_of_json(tmp_path: Path, packed: bool) -> None:
    skips = Skips()
    trace = read_trace(written(tmp_path, "m.jsonl", MOONCAKE, packed), skips)
    assert trace.requests == (
        Request(0, 600, 5, (4, 5)),
        Request(2_000, 100, 1, (9,)),
        Request(3_000, 100, 0),
    )
    assert trace.moved == 1 and [one.line for one in skips.first] == [4, 5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize(
    "content", ["", "\n", "a,b\n1,2\n", "TIMESTAMP,ContextTokens,GeneratedTokens\n", '{"a": 1}\n', "\x00\xff"]
)
def test_a_file_with_nothing_to_use_is_refused_with_what_to_do(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(InvalidInput) as refused:
        read_trace(path, Skips())
    assert refused.value.code in ("trace_empty", "columns_missing", "file_unreadable")


def test_a_cut_archive_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", AZURE * 50, True)
    path.write_bytes(path.read_bytes()[:-20])
    for broken in (path, tmp_path / "none.csv"):
        with pytest.raises(InvalidInput) as refused:
            read_trace(broken, Skips())
        assert refused.value.code == "file_unreadable"


def test_a_faster_trace_keeps_all_but_the_times() -> None:
    trace = Trace((Request(0, 5, 6, (7,)), Request(3_000, 1, 2)))
    assert at_rate(trace, 3, 2).requests == (Request(0, 5, 6, (7,)), Request(2_000, 1, 2))


def written(folder: Path, name: str, content: str, packed: bool) -> Path:
    path = folder / (name + ".gz" if packed else name)
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    return path
