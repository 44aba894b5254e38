"""What every command prints, in both languages, at 80 columns, beside a page that a person has read.

``ZHISUAN_UPDATE_GOLDEN=1`` writes the pages anew; read them before keeping them.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import INVOICE, JOB, LINE, ORG, OVERVIEWS, SITE, CannedPlatform
from typer.testing import Result

from zhisuan.cli.cells import width_of

GOLDEN = Path(__file__).parent / "golden"
PAGES: dict[str, list[str]] = {
    "help": ["--help"],
    "help-launch": ["launch", "--help"],
    "help-jobs": ["jobs", "--help"],
    "overview": ["overview"],
    "jobs": ["jobs"],
    "jobs-show": ["jobs", "show", JOB],
    "jobs-events": ["jobs", "events", JOB],
    "jobs-artefacts": ["jobs", "artefacts", JOB],
    "jobs-cancel": ["jobs", "cancel", JOB],
    "logs": ["logs", JOB],
    "why": ["why", JOB],
    "quote": ["quote", "job.yaml"],
    "launch-detach": ["launch", "job.yaml", "--detach"],
    "models": ["models"],
    "models-show": ["models", "show", "huangshan"],
    "models-register": ["models", "register", "huangshan", "--from", JOB],
    "models-deploy": ["models", "deploy", "huangshan"],
    "wallet": ["wallet"],
    "buy": ["buy", "pack-20"],
    "catalog": ["catalog"],
    "bill": ["bill"],
    "bill-invoice": ["bill", "--invoice", str(INVOICE["id"])],
    "bill-charges": ["bill", "--charges"],
    "trace": ["trace", str(LINE["id"])],
    "site": ["site"],
    "site-show": ["site", "show", SITE],
    "site-create": ["site", "create", "合肥一号", "--region", "CN-AH", "--pue", "1.25"],
    "site-drain": ["site", "drain", SITE],
    "earnings": ["earnings"],
    "keys": ["keys"],
    "keys-create": ["keys", "create", "ci"],
    "org": ["org"],
    "org-topup": ["org", "topup", ORG, "20.00", "--reference", "r"],
    "prices": ["prices"],
    "invoice-issue": ["invoice", "issue", ORG],
    "settle": ["settle", str(INVOICE["id"])],
    "payout": ["payout", ORG, "12.34", "--reference", "r"],
    "checks": ["checks"],
}


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
    from conftest import WORKLOAD

    return WORKLOAD | {"name": name}
