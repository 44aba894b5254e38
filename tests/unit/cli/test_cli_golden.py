"""What every command prints, in both languages, at 80 columns, beside a page that a person has read.

``ZHISUAN_UPDATE_GOLDEN=1`` writes the pages anew; read them before keeping them.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_canned import INVOICE, JOB, OVERVIEWS, PAGES, SITE, WHY_BINDS, WHY_PLACED, WORKLOAD, CannedPlatform
from typer.testing import Result

from zhisuan.cli.cells import width_of

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("page", sorted(PAGES))
def test_a_page_reads_as_it_was_read(
    run: Callable[..., Result], platform: CannedPlatform, workload_file: Path, page: str, language: str
) -> None:
    check(run(*PAGES[page], lang=language), f"{page}.{language}.txt")


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", ["provider", "operator", "city"])
def test_each_kind_of_organisation_has_its_own_overview(
    run: Callable[..., Result], platform: CannedPlatform, kind: str, language: str
) -> None:
    platform.answers["GET /overview"] = OVERVIEWS[kind]
    check(run("overview", lang=language), f"overview-{kind}.{language}.txt")


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("name", "answer"), [("binds", WHY_BINDS), ("placed", WHY_PLACED)])
def test_why_counts_what_is_left_and_names_runners_up(
    run: Callable[..., Result], platform: CannedPlatform, name: str, answer: Any, language: str
) -> None:
    platform.answers[f"GET /workloads/{JOB}/why"] = answer
    check(run("why", JOB, lang=language), f"why-{name}.{language}.txt")


def check(result: Result, name: str) -> None:
    assert result.exit_code == 0, result.stderr
    shown = plain(result.stdout) + ("--- standard error\n" + plain(result.stderr) if result.stderr else "")
    file = GOLDEN / name
    if os.environ.get("ZHISUAN_UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(shown, "utf-8")
    assert shown == file.read_text("utf-8")
    assert "\x1b" not in shown
    # A command to copy is one line however long.
    assert all(width_of(line) <= 80 for line in plain(result.stdout).splitlines() if "--token" not in line)


def plain(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def test_where_nobody_looks_a_row_is_one_line_and_nothing_is_cut(
    run: Callable[..., Result], platform: CannedPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")
    long = "名" * 60
    platform.answers["GET /workloads"] = {"items": [job(long)], "next_cursor": None}
    result = run("jobs")
    assert len(result.stdout.splitlines()) == 2
    assert JOB in result.stdout
    assert long in result.stdout


@pytest.mark.parametrize("columns", [20, 40, 60, 79])
def test_ids_and_names_are_whole_however_narrow_it_is(
    run: Callable[..., Result], platform: CannedPlatform, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for words in (["jobs"], ["wallet"], ["earnings"], ["site", "show", SITE], ["bill"]):
        result = run(*words)
        joined = "".join(result.stdout.split())
        assert "…" not in joined
        expected = {
            "jobs": JOB,
            "wallet": "grt_01k3x9t0qd6jv2m4c8w5r7n1ez",
            "earnings": INVOICE["id"],
            "site": SITE,
            "bill": JOB,
        }
        # Over two lines at worst, and then with nothing between.
        assert str(expected[words[0]]) in (result.stdout if columns >= 40 else joined)


def test_names_of_others_cannot_steer_the_terminal(run: Callable[..., Result], platform: CannedPlatform) -> None:
    platform.answers["GET /workloads"] = {"items": [job("\x1b]0;owned\x07[bold]x[/bold]\x1b[31m")], "next_cursor": None}
    result = run("jobs", COLUMNS="200")
    assert "\x1b" not in result.stdout
    assert "\x07" not in result.stdout
    assert "[bold]x[/bold]" in result.stdout


def job(name: str) -> dict[str, Any]:
    return WORKLOAD | {"name": name}
