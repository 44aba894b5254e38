"""Secrets on the command line: from the environment, a file or written out; shown nowhere."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cli_canned import JOB, CannedPlatform
from typer.testing import Result

Run = Callable[..., Result]


def test_they_come_from_the_environment_a_file_or_the_line(
    run: Run, platform: CannedPlatform, workload_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROM_SHELL", "hidden-1")
    lines = tmp_path / "secrets.env"
    lines.write_text("# tokens\n\nIN_FILE=hidden-2\nexport QUOTED='hidden 3'\nBOTH=hidden-4\n")
    result = run(
        "launch", "job.yaml", "--detach", "--secret", "FROM_SHELL", "--secret", "BOTH=hidden=5", "--secret-file", str(lines)
    )
    assert result.exit_code == 0, result.stderr
    assert platform.sent("POST /workloads")["secrets"] == {
        "IN_FILE": "hidden-2", "QUOTED": "hidden 3", "BOTH": "hidden=5", "FROM_SHELL": "hidden-1",
    }  # fmt: skip
    assert "hidden" not in result.stdout + result.stderr


@pytest.mark.parametrize("given", [("--secret", "NOT_SET_ANYWHERE"), ("--secret-file", "none.env")])
def test_what_is_not_there_is_said_and_nothing_is_sent(
    run: Run, platform: CannedPlatform, workload_file: Path, given: tuple[str, str]
) -> None:
    result = run("launch", "job.yaml", *given)
    assert result.exit_code == 2 and given[1] in result.stderr
    assert not platform.calls


def test_a_line_that_is_no_secret_is_named_by_its_number(
    run: Run, platform: CannedPlatform, workload_file: Path, tmp_path: Path
) -> None:
    lines = tmp_path / "secrets.env"
    lines.write_text("A=1\nhidden-value\n")
    result = run("launch", "job.yaml", "--secret-file", str(lines))
    assert result.exit_code == 2 and "line 2" in result.stderr and "hidden-value" not in result.stderr


def test_a_copy_takes_them_anew(run: Run, platform: CannedPlatform) -> None:
    result = run("jobs", "copy", JOB, "--detach", "--secret", "T=hidden", "--env", "A=b")
    assert result.exit_code == 0, result.stderr
    sent = platform.sent("POST /workloads")
    assert sent["secrets"] == {"T": "hidden"} and 'A: "b"' in sent["file"]


def test_a_template_is_written_once(run: Run, platform: CannedPlatform, tmp_path: Path) -> None:
    target = tmp_path / "new.yaml"
    assert run("templates", "hello", "--write", str(target)).exit_code == 0
    assert target.read_text() == "name: hello\nrun: echo hello\n"
    again = run("templates", "hello", "--write", str(target))
    assert again.exit_code == 2 and "exists already" in again.stderr
    assert "There is no template nothing" in run("templates", "nothing").stderr
