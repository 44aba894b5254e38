"""``launch`` and ``logs -f``: output as it comes, the end as it was, Ctrl-C that lets go."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from cli_canned import JOB, PLACEMENT, WHY, WORKLOAD, CannedPlatform
from rich.console import Console
from typer.testing import Result

from zhisuan.cli.follow import BarView
from zhisuan.sdk.types import Workload

WATCH = f"GET /workloads/{JOB}/watch"
Run = Callable[..., Result]


def stream(*events: tuple[str, Any]) -> httpx.Response:
    body = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)
    return httpx.Response(200, content=body.encode())


def log(text: str, to: int) -> tuple[str, Any]:
    return "log", {"text": text, "next_offset": to}


def state(name: str, event: str = "state", **more: Any) -> tuple[str, Any]:
    return event, WORKLOAD | {"state": name, **more}


ENDED = {"ended_at": "2026-08-01T01:03:06Z"}
WHOLE = (
    state("running"),
    log("第一行\n", 10),
    log("half ", 15),
    log("line\n", 20),
    state("succeeded", "end", exit_code=0, **ENDED),
)


def test_output_goes_to_standard_output_and_changes_beside_it(
    run: Run, platform: CannedPlatform, workload_file: Path
) -> None:
    platform.answers[WATCH] = stream(*WHOLE)
    result = run("launch", "job.yaml", "--project", "p", "--env", "A=b=c", "--idempotency-key", "k")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.endswith("第一行\nhalf line\n")
    assert "Placed on" in result.stdout
    assert "Compared by: price an hour" in result.stdout
    assert f"{JOB} running" in result.stderr
    assert f"{JOB} succeeded after 61 s" in result.stderr
    body = platform.sent("POST /workloads")
    assert body["project"] == "p"
    assert 'A: "b=c"' in body["file"]
    keys = [headers["Idempotency-Key"] for route, _, headers, _ in platform.calls if route == "POST /workloads"]
    assert keys == ["k"]


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ({"state": "failed", "exit_code": 3}, 3),
        ({"state": "failed", "exit_code": 137}, 137),
        ({"state": "failed", "exit_code": None, "reason": "lost"}, 1),
        ({"state": "failed", "exit_code": 1000}, 1),
        ({"state": "cancelled", "exit_code": None}, 1),
        ({"state": "succeeded", "exit_code": 0}, 0),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_the_exit_status_is_the_jobs_own(
    run: Run, platform: CannedPlatform, workload_file: Path, end: dict[str, Any], status: int, as_json: bool
) -> None:
    platform.answers[WATCH] = stream(log("out\n", 4), ("end", WORKLOAD | end | ENDED))
    result = run("launch", "job.yaml", *(["--json"] if as_json else []))
    assert result.exit_code == status
    if as_json:
        document = json.loads(result.stdout)
        assert document["workload"]["state"] == end["state"]
        assert document["placement"]["reason"] == PLACEMENT["reason"]
        assert "out\n" in result.stderr


def test_ctrl_c_lets_go_and_says_how_to_go_on(run: Run, platform: CannedPlatform, workload_file: Path) -> None:
    class Interrupted(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            yield b'event: log\ndata: {"text": "begun\\n", "next_offset": 6}\n\n'
            raise KeyboardInterrupt

    platform.answers[WATCH] = httpx.Response(200, stream=Interrupted())
    result = run("launch", "job.yaml")
    assert result.exit_code == 130
    assert "begun" in result.stdout
    assert f"zhisuan logs {JOB} -f" in result.stderr
    assert f"zhisuan cancel {JOB}" in result.stderr
    assert not any(route.endswith("/cancel") for route, *_ in platform.calls)


def test_a_service_is_left_running_once_it_runs(run: Run, platform: CannedPlatform, workload_file: Path) -> None:
    platform.answers[WATCH] = stream(
        state("starting", kind="service"), state("running", kind="service"), log("never", 5)
    )
    result = run("launch", "job.yaml")
    assert result.exit_code == 0
    assert "goes on" in result.stdout
    assert "never" not in result.stdout


def test_work_that_waits_says_why_and_what_would_help(run: Run, platform: CannedPlatform, workload_file: Path) -> None:
    waiting = PLACEMENT | {"chosen": None, "candidates": [], "reason": WHY["reason"]}
    platform.answers["POST /workloads"] = {"workload": WORKLOAD | {"state": "pending"}, "placement": waiting}
    result = run("launch", "job.yaml", "--detach")
    assert "Not placed yet" in result.stdout
    assert "No node has 64 cores free." in result.stdout
    assert "What would help: Ask for fewer cores." in result.stdout


def test_logs_show_what_there_is_and_the_last_lines(run: Run, platform: CannedPlatform) -> None:
    assert run("logs", JOB).stdout == "第一行\nline 2\nline 3\n"
    assert run("logs", JOB, "--tail", "2").stdout == "line 2\nline 3\n"
    assert run("logs", JOB, "--tail", "0").stdout == ""
    assert run("logs", JOB, "--tail", "99").stdout == "第一行\nline 2\nline 3\n"


@pytest.mark.parametrize("tail", [1, 2, 3])
def test_lines_cut_over_parts_are_counted_once(run: Run, platform: CannedPlatform, tail: int) -> None:
    texts = ["a\nb", "b\n", "c\nunfinished"]
    offsets = [0, 3, 5, 16]
    platform.answers[f"GET /workloads/{JOB}/logs"] = [
        {"text": x, "offset": offsets[n], "next_offset": offsets[n + 1], "complete": n == 2}
        for n, x in enumerate(texts)
    ]
    shown = run("logs", JOB, "--tail", str(tail)).stdout
    assert shown == "".join(["a\n", "bb\n", "c\n", "unfinished"][-tail:])


def test_following_goes_on_where_the_log_ended(run: Run, platform: CannedPlatform) -> None:
    part = {"text": "so far\n", "offset": 0, "next_offset": 7, "complete": False}
    platform.answers[f"GET /workloads/{JOB}/logs"] = [part, part | {"text": "", "offset": 7}]
    platform.answers[WATCH] = stream(log("and on\n", 14), state("succeeded", "end"))
    result = run("logs", JOB, "-f")
    assert result.stdout == "so far\nand on\n"
    assert platform.calls[-1][3] == {"offset": "7"}


def test_logs_of_what_is_over_do_not_wait(run: Run, platform: CannedPlatform) -> None:
    assert run("logs", JOB, "-f").exit_code == 0
    assert WATCH not in [route for route, *_ in platform.calls]


def test_logs_as_one_document(run: Run, platform: CannedPlatform) -> None:
    assert json.loads(run("logs", JOB, "--json").stdout) == {
        "id": JOB, "text": "第一行\nline 2\nline 3\n", "next_offset": 24, "complete": True,
    }  # fmt: skip


def test_on_a_terminal_lines_stay_whole_above_the_bar() -> None:
    screen = io.StringIO()
    view = BarView(Console(file=screen, force_terminal=True, width=80, color_system=None))
    with view.progress:
        view.workload(Workload.model_validate(WORKLOAD | {"progress_message": "[red]epoch[/red] 3"}))
        view.log("one\ntw")
        view.log("o\n 10%\r 50%\r100%\n\x1b[2Jbold")
        view.finish()
    shown = screen.getvalue()
    for line in ("one", "two", "100%", "bold"):
        assert line in shown
    assert "50%" not in shown
    assert "\x1b[2J" not in shown
    assert "[red]epoch[/red] 3" in shown
