"""Workspaces in the workload file, and the scripts that start them."""

import shutil
import subprocess
from typing import Any

import pytest
import yaml

from zhisuan.base.errors import InvalidInput
from zhisuan.wire.workspaces import workspace_address
from zhisuan.workload import workspace
from zhisuan.workload.reading.file import parse_workload
from zhisuan.workload.spec import WorkloadSpec


def parsed(**more: Any) -> WorkloadSpec:
    return parse_workload(yaml.safe_dump({"zhisuan": {"workspace": "jupyter"}} | more))


def problems(**more: Any) -> list[str]:
    with pytest.raises(InvalidInput) as refused:
        parsed(**more)
    return [p.where for p in refused.value.problems]


def test_a_workspace_needs_no_run_and_is_a_kind_of_its_own() -> None:
    spec = parsed(resources={"cpus": 2}, setup="pip --version", workdir=".")
    assert (spec.kind, spec.workspace, spec.cpus_milli, spec.service) == ("workspace", "jupyter", 2000, None)
    assert WorkloadSpec.from_dict(spec.as_dict()) == spec
    old = spec.as_dict()
    del old["workspace"]
    assert WorkloadSpec.from_dict(old | {"run": "x"}).kind == "job", "a record from before there were workspaces"


def test_what_does_not_go_with_one_is_named() -> None:
    assert problems(run="x") == ["run"]
    assert problems(service={"port": 8080}) == ["service"]
    assert problems(num_nodes=2) == ["num_nodes"]
    for kind in ("lab", "", 5, ["jupyter"], {"kind": "shell"}):
        assert "zhisuan.workspace" in problems(zhisuan={"workspace": kind}), kind


@pytest.mark.parametrize("kind", workspace.KINDS)
def test_the_scripts_are_bash_and_show_the_token_on_no_command_line(kind: str) -> None:
    script = workspace.script(kind)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert "ZHISUAN_WORKSPACE_TOKEN" not in "\n".join(line for line in script.split("\n") if "exec" in line)


def test_without_jupyterlab_the_work_says_what_to_do() -> None:
    done = subprocess.run(
        ["bash"], input=workspace.script("jupyter"), text=True, capture_output=True, check=False,
        env={"PATH": "/nonexistent", "ZHISUAN_WORKSPACE_TOKEN": "t"}, executable=shutil.which("bash"),
    )  # fmt: skip
    assert done.returncode == 127 and "pip install jupyterlab" in done.stderr


@pytest.mark.parametrize(
    ("template", "gateway", "address"),
    [
        (None, "http://127.0.0.1:8621", "http://wsp-1.localhost:8621"),
        (None, "http://[::1]:8621", "http://wsp-1.localhost:8621"),
        (None, "https://gateway.example.com", None),
        ("https://{id}.ws.example.com/", "http://127.0.0.1:8621", "https://wsp-1.ws.example.com"),
        ("https://{id}.ws.example.com:8443", "x", "https://wsp-1.ws.example.com:8443"),
        ("https://ws.example.com", "http://127.0.0.1:1", None),
        ("https://ws.example.com/{id}", "http://127.0.0.1:1", None),
        ("ftp://{id}.example.com", "http://127.0.0.1:1", None),
    ],
)
def test_every_workspace_has_a_host_name_of_its_own_or_none(template: str | None, gateway: str, address: str | None) -> None:
    assert workspace_address(template, gateway, "wsp_1") == address
