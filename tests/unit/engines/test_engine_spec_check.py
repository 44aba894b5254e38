"""A specification that cannot be carried out is refused before anything exists, with the field's name."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.engines.contract import FileMount, RunSpec, ServicePort
from zhisuan.engines.errors import InvalidSpec
from zhisuan.engines.local.spec_check import Target, check, target


def spec(**changes: Any) -> RunSpec:
    values: dict[str, Any] = {
        "lease_id": "lease_1", "generation": 1, "setup": None, "run": "true", "env": {}, "cpus_milli": 500, "memory_mib": 64,
    }  # fmt: skip
    return RunSpec(**{**values, **changes})


def test_a_plain_specification_is_accepted() -> None:
    check(spec(env={"A_1": "x"}, max_seconds=1, service=ServicePort(80)), [], isolated=True)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"run": " \n"}, "run"),
        ({"run": "a\0b"}, "run"),
        ({"setup": "\0"}, "setup"),
        ({"env": {"1A": "x"}}, "1A"),
        ({"env": {"A=B": "x"}}, "A=B"),
        ({"env": {"": "x"}}, "''"),
        ({"env": {"A": "\0"}}, "A"),
        ({"env": {"BIG": "x" * 140_000}}, "BIG"),
        ({"env": {f"V{i}": "x" * 100_000 for i in range(12)}}, "environment"),
        ({"cpus_milli": 9}, "cpus_milli"),
        ({"memory_mib": 31}, "memory_mib"),
        ({"max_seconds": 0}, "max_seconds"),
        ({"service": ServicePort(0)}, "port"),
        ({"service": ServicePort(65536)}, "port"),
        ({"generation": -1}, "generation"),
        ({"lease_id": "a.b"}, "lease id"),
        ({"workdir_archive": Path("/nowhere/a.tgz")}, "/nowhere/a.tgz"),
        ({"mounts": (FileMount(Path("/nowhere/b.tgz"), "x"),)}, "/nowhere/b.tgz"),
    ],
)
def test_each_fault_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidSpec, match=field):
        check(spec(**changes), [], isolated=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data", Target("/work", "data")),
        ("./a//b/", Target("/work", "a/b")),
        (".", Target("/work", "")),
        ("~", Target("/work", "")),
        ("~/data", Target("/work", "data")),
        ("/work/x", Target("/work", "x")),
        ("/data/x", Target("/data/x", "")),
        ("//data", Target("/data", "")),
        ("/tmp/x", Target("/tmp/x", "")),
        ("/usrlocal", Target("/usrlocal", "")),
    ],
)
def test_targets(text: str, expected: Target) -> None:
    assert target(text, ["/opt/venv"], isolated=True) == expected


@given(
    st.lists(st.sampled_from(["", "/", "..", "usr", "work", "opt", "venv", "x", "~", "."]), min_size=1, max_size=6).map(
        "/".join
    )
)
def test_no_target_covers_the_system_or_leads_out(text: str) -> None:
    try:
        found = target(text, ["/opt/venv"], isolated=True)
    except InvalidSpec:
        return
    assert found.base.startswith("/")
    assert ".." not in f"{found.base}/{found.below}".split("/")
    for system in ("/usr", "/etc", "/opt/venv", "/artifacts"):
        assert found.base != system
        assert not found.base.startswith(system + "/")
    assert found.base not in ("/", "/tmp", "/var")


def test_without_a_sandbox_only_the_work_folder_can_be_filled() -> None:
    assert target("x", [], isolated=False) == Target("/work", "x")
    with pytest.raises(InvalidSpec, match="/data"):
        target("/data", [], isolated=False)
