"""``jobs tasks`` and ``logs --task``: one order of many tasks."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from cli_canned import JOB, TASKS_JOB, CannedPlatform, page
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import Result

from zhisuan.cli.task_list import OneTask

Run = Callable[..., Result]
LOG = "[task 1] a\n[zhisuan] 1 of 5 tasks done so far.\n[task 11] b\n[0] [task 1] \n[task 1] c [task 1] d\n[1] [task 11] e\n[task 1] 末"


def test_failed_tasks_are_listed_and_asked_for_by_path(run: Run, platform: CannedPlatform) -> None:
    result = run("jobs", "tasks", TASKS_JOB, "--json")
    document = json.loads(result.stdout)
    assert (document["count"], document["done"], document["failed"]) == (5, 3, 2)
    assert [(i["index"], i["tries"], i["exit_status"]) for i in document["items"]] == [(1, 3, 3), (3, 1, 137)]
    asked = next(query for where, _, _, query in platform.calls if where.endswith("/artefacts"))
    assert asked["path"] == "tasks.csv"


def test_pages_go_on_where_they_ended(run: Run, platform: CannedPlatform) -> None:
    first = run("jobs", "tasks", TASKS_JOB, "--all", "--limit", "2")
    assert "--from 3" in first.stderr
    rest = json.loads(run("jobs", "tasks", TASKS_JOB, "--all", "--from", "3", "--json").stdout)
    assert [item["index"] for item in rest["items"]] == [3]


@pytest.mark.parametrize(("lang", "said"), [("en", "logs"), ("zh", "列表")])
def test_while_it_runs_there_is_how_far_it_is(run: Run, platform: CannedPlatform, lang: str, said: str) -> None:
    platform.answers[f"GET /workloads/{TASKS_JOB}"] |= {"state": "running"}
    platform.answers[f"GET /workloads/{TASKS_JOB}/artefacts"] = page()
    result = run("jobs", "tasks", TASKS_JOB, lang=lang)
    assert result.exit_code == 0
    assert "3 of 5 tasks done, 2 failed" in result.stdout and said in result.stderr


def test_a_job_without_tasks_says_so(run: Run, platform: CannedPlatform) -> None:
    result = run("jobs", "tasks", JOB)
    assert result.exit_code == 2 and "has no tasks" in result.stderr


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"index,tries,exit_status,began,ended\nx,1,1,1,1\n", b"\xff"])
def test_a_table_that_is_none_is_named(run: Run, platform: CannedPlatform, content: bytes) -> None:
    import hashlib

    artefact = {"id": "art_2", "path": "tasks.csv", "size_bytes": len(content), "created_at": "2026-08-01T01:02:03Z"}
    artefact["sha256"] = hashlib.sha256(content).hexdigest()
    platform.answers[f"GET /workloads/{TASKS_JOB}/artefacts"] = page(artefact)
    platform.answers["GET /artefacts/art_2/content"] = content
    result = run("jobs", "tasks", TASKS_JOB)
    assert (result.exit_code, "no table of tasks" in result.stderr) == ((0, False) if not content else (1, True))


def log_of(text: str) -> dict[str, Any]:
    return {"text": text, "offset": 0, "next_offset": len(text.encode()), "complete": True}


def test_the_output_of_one_task_is_picked_out(run: Run, platform: CannedPlatform) -> None:
    platform.answers[f"GET /workloads/{TASKS_JOB}/logs"] = log_of(LOG + "\n")
    assert run("logs", TASKS_JOB, "--task", "1").stdout == "a\n\nc [task 1] d\n末\n"
    assert run("logs", TASKS_JOB, "--task", "11", "--tail", "1").stdout == "e\n"
    assert json.loads(run("logs", TASKS_JOB, "--task", "11", "--json").stdout)["text"] == "b\ne\n"
    assert run("logs", TASKS_JOB, "--task", "2").stdout == ""
    assert run("logs", TASKS_JOB).stdout == LOG + "\n"


@given(st.lists(st.integers(0, len(LOG))))
def test_wherever_the_log_is_cut_the_task_is_the_same(cuts: list[int]) -> None:
    import io

    out = io.StringIO()
    picked = OneTask(out, 1)
    edges = [0, *sorted(cuts), len(LOG)]
    for begin, end in pairwise(edges):
        picked.write(LOG[begin:end])
    picked.write("\n")
    assert out.getvalue() == "a\n\nc [task 1] d\n末\n"
