"""`zhisuan simulate jobs`: bad rows are named, what is written is the same again, wrong command lines say so."""

import json
from pathlib import Path

import pytest

from zhisuan.app.simulate.jobs import jobs
from zhisuan.base.errors import InvalidInput

HEAD = "timestamp,duration,num_gpus,gpu_time,cluster\n"
GOOD = "".join(f"2017-09-0{1 + n % 9} 00:00:{n:02d},{60 + n}.0,{1 + n % 2},0,{'ab'[n % 2]}\n" for n in range(40))
BAD = (
    "2017-09-04 00:00:00,-5,1,0,a\nyesterday,5,1,0,a\n2017-09-04 00:00:00,nan,1,0,a\n2017-09-04 00:00:00,5,0,0,a\n"
    "2017-09-04 00:00:00,5\n2017-09-04 00:00:00,5,99,0,a\n"
)


def test_bad_rows_are_counted_and_named_and_the_rest_is_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "t.csv"
    file.write_text(HEAD + GOOD + BAD)
    told = []
    for folder in ("one", "two"):
        jobs(file, gpus=[4], out=tmp_path / folder, plot=tmp_path / folder / "p.svg", as_json=True)
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    names = sorted(p.name for p in (tmp_path / "one").iterdir())
    assert len(names) == 8 and all(
        (tmp_path / "one" / n).read_bytes() == (tmp_path / "two" / n).read_bytes() for n in names
    )
    found = json.loads(told[0])
    assert found["skipped"]["count"] == 6 and found["cases"][0]["jobs"] == 40
    assert [one["line"] for one in found["skipped"]["first"]][:5] == [42, 43, 44, 45, 46]
    assert {"a", "b"} == set(found["cases"][0]["policies"]["zhisuan"]["by_group"])


def test_a_table_is_shown_for_each_capacity(capsys: pytest.CaptureFixture[str]) -> None:
    jobs(made=60, gpus=[64, 96], policy=["zhisuan"], users=2, seed=5)
    out = capsys.readouterr().out
    assert out.count("JCT MEAN BY CARDS") == 2 and "g0/u1" in out and "sjf" not in out


@pytest.mark.parametrize("wrong", [{}, {"made": 5, "trace": Path("x.csv")}, {"made": 5, "policy": ["best"]}, {"made": 5, "shape": "round"}, {"trace": Path("absent.csv")}])  # fmt: skip
def test_a_wrong_command_says_what_is_wrong(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        jobs(**wrong)  # type: ignore[arg-type]


def test_a_trace_without_a_usable_job_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text(HEAD + BAD)
    with pytest.raises(InvalidInput) as told:
        jobs(file, gpus=[4])
    assert told.value.code == "trace_empty"
