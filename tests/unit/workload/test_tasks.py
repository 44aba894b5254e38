"""Many small tasks in one order: the fields, and what becomes of them on the way to a site."""

import subprocess
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.base.errors import InvalidInput
from zhisuan.workload import tasks
from zhisuan.workload.reading.file import parse_workload
from zhisuan.workload.spec import WorkloadSpec
from zhisuan.workload.tasks import Tasks


def parsed(said: Any, **more: Any) -> WorkloadSpec:
    return parse_workload(yaml.safe_dump({"run": "true", "zhisuan": {"tasks": said}} | more))


def problems(said: Any, **more: Any) -> list[str]:
    with pytest.raises(InvalidInput) as refused:
        parsed(said, **more)
    assert all(p.problem.en and p.problem.zh for p in refused.value.problems)
    return [p.where for p in refused.value.problems]


def test_the_count_is_enough() -> None:
    spec = parsed({"count": 1000})
    assert (spec.kind, spec.tasks) == ("job", Tasks(1000, None, 0))
    assert parsed(None).tasks is None
    assert parsed({"count": 3, "parallel": None}).tasks == Tasks(3)


@given(st.integers(1, 100_000), st.none() | st.integers(1, 1000), st.integers(0, 10))
def test_all_is_kept_in_the_stored_form(count: int, parallel: int | None, retries: int) -> None:
    spec = parsed({"count": count, "parallel": parallel, "retries": retries})
    assert spec.tasks == Tasks(count, parallel, retries)
    assert WorkloadSpec.from_dict(spec.as_dict()) == spec
    before = {k: v for k, v in spec.as_dict().items() if k != "tasks"}
    assert WorkloadSpec.from_dict(before).tasks is None, "a record from before there were tasks"


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ({}, ["count"]),
        ({"count": 0}, ["count"]),
        ({"count": 100_001}, ["count"]),
        ({"count": True}, ["count"]),
        ({"count": "10"}, ["count"]),
        ({"count": 1.5, "parallel": 0, "retries": 11}, ["count", "parallel", "retries"]),
        ({"count": 1, "parallel": 1001}, ["parallel"]),
        ({"count": 1, "parallel": "all"}, ["parallel"]),
        ({"count": 1, "retries": -1}, ["retries"]),
        ({"count": 1, "retries": None}, ["retries"]),
        ({"completions": 5, "parallelism": 2}, ["completions", "parallelism", "count"]),
        ({"count": 1, "array": "0-9"}, ["array"]),
        ({"count": 1, "often": 1}, ["often"]),
    ],
)
def test_a_wrong_field_is_named(said: Any, where: list[str]) -> None:
    assert problems(said) == [f"zhisuan.tasks.{name}" for name in where]


@pytest.mark.parametrize("said", [5, True, "5", [1, 2]])
def test_tasks_are_a_mapping(said: Any) -> None:
    assert "zhisuan.tasks" in problems(said)


def test_what_does_not_go_with_tasks_is_named() -> None:
    assert problems({"count": 5}, service={"port": 8080}) == ["zhisuan.tasks"]
    with pytest.raises(InvalidInput) as refused:
        parse_workload("zhisuan: {workspace: shell, tasks: {count: 5}}")
    assert [p.where for p in refused.value.problems] == ["zhisuan.tasks"]
    with pytest.raises(InvalidInput) as refused:
        parse_workload("run: x\ntasks: {count: 5}\n")
    assert "zhisuan" in refused.value.problems[0].problem.en, "it says where the field belongs"


def test_the_record_is_saved_while_the_tasks_run() -> None:
    assert parsed({"count": 5}).survival.checkpoint_seconds == tasks.CHECKPOINT_SECONDS
    asked = parse_workload("run: x\nzhisuan: {tasks: {count: 5}, checkpoint: {every: 10m}}")
    assert asked.survival.checkpoint_seconds == 600
    assert parse_workload("run: x").survival.checkpoint_seconds is None


def test_the_table_is_kept_beside_what_was_asked_for() -> None:
    assert tasks.artefacts(()) == [], "everything"
    assert tasks.artefacts(("model",)) == ["model", "tasks.csv"]
    assert tasks.artefacts(("tasks.csv",)) == ["tasks.csv"]


@given(st.text(), st.integers(1, 3))
def test_the_script_is_bash_whatever_the_tenant_wrote(run: str, nodes: int) -> None:
    made = tasks.script(Tasks(5), run, share_threads=True, nodes=nodes, token="zsw_secret")
    subprocess.run(["bash", "-n"], input=made.encode(), check=True)
    program = made.split("<<'")[1].partition("\n")[2].rpartition(made.splitlines()[-1])[0]
    compile(program, "program", "exec")
    assert made.splitlines().count(made.splitlines()[-1]) == 1, "nothing in it ends it before its time"


def test_a_site_without_python_says_what_to_do(tmp_path: Any) -> None:
    made = tasks.script(Tasks(5), "true", share_threads=True, nodes=1, token="")
    done = subprocess.run(
        ["/bin/bash"], input=made, text=True, capture_output=True, check=False, env={"PATH": str(tmp_path)}
    )
    assert done.returncode == 127 and "Python 3.9" in done.stderr and "avoid_sites" in done.stderr
