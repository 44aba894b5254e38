"""Child processes: events as they come, threads pinned, failures and hangs told apart."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.base.text import Text
from zhisuan.site.discovery.types import Problem
from zhisuan.site.probes.child import ChildEnd, launch, thread_environment
from zhisuan.site.probes.protocol import Speaker, parse_event, parse_problem

texts = st.builds(Text, st.text(), st.text())


@given(st.builds(Problem, st.text(), st.text(), texts, texts))
def test_a_problem_comes_over_the_line_unchanged(problem: Problem) -> None:
    lines: list[str] = []
    Speaker(as_json=True, write=lines.append).problem(problem)
    (line,) = lines
    assert line.count("\n") == 1
    event = parse_event(line)
    assert event is not None
    assert parse_problem(event["value"]) == problem


@given(st.text() | st.integers().map(str) | st.lists(st.integers()).map(json.dumps))
def test_other_lines_are_no_events(line: str) -> None:
    event = parse_event(line)
    assert event is None or "event" in event


def test_a_person_gets_short_lines() -> None:
    lines: list[str] = []
    speaker = Speaker(as_json=False, write=lines.append)
    speaker.progress(Text("loading torch", "正在加载 torch"))
    speaker.problem(Problem("s", "c", Text("It broke.", "坏了。"), Text("Mend it.", "请修复。")))
    speaker.end()
    assert lines == ["… loading torch\n", "! It broke. Mend it.\n"]


def _launch(tmp_path: Path, body: str, timeout: float = 60) -> tuple[ChildEnd, list[dict[str, Any]]]:
    (tmp_path / "probe_under_test.py").write_text(body, encoding="utf-8")
    events: list[dict[str, Any]] = []
    environment = {**thread_environment(3), "PYTHONPATH": str(tmp_path)}
    return launch("probe_under_test", ["--x=1"], environment, timeout, events.append), events


END = 'print(\'{"event": "end"}\')\n'


def test_events_come_in_order_and_noise_is_passed_over(tmp_path: Path) -> None:
    body = (
        "import json, os, sys\n"
        "print('a library says hello')\n"
        "print(json.dumps({'event': 'a', 'arguments': sys.argv[1:]}))\n"
        "print('{broken')\n"
        "print(json.dumps({'event': 'b', 'threads': os.environ['OPENBLAS_NUM_THREADS'], 'text': '智算'}))\n"
    )
    end, events = _launch(tmp_path, body + END)
    assert end == ChildEnd("finished", 0, "")
    assert [e["event"] for e in events] == ["a", "b"]
    assert events[0]["arguments"] == ["--json", "--x=1"]
    assert (events[1]["threads"], events[1]["text"]) == ("3", "智算")


def test_a_crash_is_failed_with_the_last_words(tmp_path: Path) -> None:
    end, _ = _launch(tmp_path, "raise SystemError('driver went away')\n")
    assert (end.outcome, end.exit_code) == ("failed", 1)
    assert end.error.endswith("SystemError: driver went away")


def test_an_end_without_the_word_end_is_failed(tmp_path: Path) -> None:
    end, events = _launch(tmp_path, 'print(\'{"event": "a"}\')\n')
    assert (end.outcome, end.exit_code, len(events)) == ("failed", 0, 1)


def test_a_failure_after_the_word_end_is_failed(tmp_path: Path) -> None:
    end, _ = _launch(tmp_path, END + "import sys; sys.exit(7)\n")
    assert (end.outcome, end.exit_code) == ("failed", 7)


def test_a_hanging_child_is_killed(tmp_path: Path) -> None:
    end, _ = _launch(tmp_path, "import time\ntime.sleep(600)\n", timeout=0.5)
    assert (end.outcome, end.exit_code) == ("timed_out", -signal.SIGKILL)


def test_an_error_in_the_listener_kills_the_child(tmp_path: Path) -> None:
    body = 'import os, time\nprint(\'{"event": "a", "pid": %d}\' % os.getpid(), flush=True)\ntime.sleep(600)\n'
    (tmp_path / "probe_under_test.py").write_text(body, encoding="utf-8")
    pids: list[int] = []

    def listen(event: dict[str, Any]) -> None:
        pids.append(event["pid"])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch("probe_under_test", [], {"PYTHONPATH": str(tmp_path)}, 60, listen)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_the_current_folder_is_not_on_the_module_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text(
        "raise RuntimeError('a module of the current folder was loaded')\n", encoding="utf-8"
    )
    other = tmp_path / "modules"
    other.mkdir()
    monkeypatch.chdir(tmp_path)
    end, _ = _launch(other, "import json\n" + END)
    assert end.outcome == "finished", end.error
