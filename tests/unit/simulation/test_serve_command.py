"""`zhisuan simulate serve`: the same bytes for the same seed, files beside it, and what a wrong command line says."""

import csv
import json
from pathlib import Path

import pytest
from typer.main import get_command

from zhisuan.cli.main import app

SHORT = ["simulate", "serve", "--made", "chat", "--requests", "300", "--replicas", "2", "--seed", "4"]


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        get_command(app).main(list(words))
    shown = capsys.readouterr()
    return int(ended.value.code or 0), shown.out, " ".join(shown.err.split())


def test_one_document_the_same_for_the_same_seed(capsys: pytest.CaptureFixture[str]) -> None:
    policies = ["--routing", "random", "--routing", "zhisuan", "--scaling", "fixed", "--scaling", "forecast"]
    one, two = (said(capsys, *SHORT, *policies, "--json") for _ in range(2))
    assert one[0] == 0 and one == two
    document = json.loads(one[1])
    assert document["simulated"] is True and document["source"] == "made:chat"
    rows = document["policies"]
    assert [(row["routing"], row["scaling"]) for row in rows] == [
        ("random", "fixed"), ("random", "forecast"), ("zhisuan", "fixed"), ("zhisuan", "forecast"),
    ]  # fmt: skip
    for row in rows:
        assert row["completed"] == row["requests"] == 300
        assert row["hit_ppm"] <= document["bound"]["hit_ppm"]
        assert row["first_token_us"]["p50"] <= row["first_token_us"]["p99"]
    fixed = rows[0]
    assert fixed["replica_us"] == 2 * fixed["end_us"]
    assert abs(fixed["cost_ucny"] - fixed["replica_us"] * 120_000_000 / 3_600_000_000) <= 1


def test_a_table_a_picture_and_files_of_all_requests(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pictures = [tmp_path / "one.svg", tmp_path / "two.svg"]
    for picture in pictures:
        status, out, _ = said(capsys, *SHORT, "--plot", str(picture), "--out", str(tmp_path / "out"))
        assert status == 0 and "round-robin" in out and "Simulated" in out
    assert pictures[0].read_bytes() == pictures[1].read_bytes()
    with (tmp_path / "out" / "requests-zhisuan-fixed.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 300 and {row["outcome"] for row in rows} == {"completed"}
    assert (tmp_path / "out" / "looks-zhisuan-fixed.csv").exists()


def test_bad_rows_are_named_and_counted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9,5,2\n2023-11-16 18:17:04.9,-5,2\n")
    status, _, err = said(capsys, "simulate", "serve", str(path), "--routing", "random")
    assert status == 0 and "t.csv:3: ContextTokens is -5, less than 1" in err
    document = json.loads(said(capsys, "simulate", "serve", str(path), "--routing", "random", "--json")[1])
    assert document["skipped"]["count"] == 1 and document["policies"][0]["hit_ppm"] is None


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "either a TRACE or --made"),
        (("x.csv", "--made", "chat"), "either a TRACE or --made"),
        (("none.csv",), "cannot be read"),
        (("--made", "poetry"), "no made trace"),
        (("--made", "chat", "--routing", "best"), "--routing 'best' is not known"),
        (("--made", "chat", "--scaling", "best"), "--scaling 'best' is not known"),
        (("--made", "chat", "--rate", "0"), "--rate is '0'"),
        (("--made", "chat", "--rate", "nan"), "--rate is 'nan'"),
        (("--made", "chat", "--price", "-1"), "--price is '-1'"),
        (("--made", "chat", "--price", "NaN"), "--price is 'NaN'"),
        (("--made", "chat", "--replicas", "0"), "nothing would ever be answered"),
        (("--made", "chat", "--least", "5", "--most", "4"), "--least 5 is more than --most 4"),
        (("--made", "chat", "--plot", "x.gif"), "is none of svg, png, pdf"),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], reason: str
) -> None:
    status, _, err = said(capsys, "simulate", "serve", *words)
    assert status != 0 and reason in err
