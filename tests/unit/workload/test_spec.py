"""The workload file: what SkyPilot users write runs, what is not supported is refused by name, nothing else ever happens."""

import itertools
import time
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from zhisuan.base.errors import InvalidInput, TooLarge, ZhisuanError
from zhisuan.workload.reading.file import TOP, parse_workload
from zhisuan.workload.reading.refused import RESOURCES_REFUSED, TOP_REFUSED
from zhisuan.workload.spec import ServiceSpec, WorkloadSpec

TRAIN = """\
# a SkyPilot task
name: train-gpt
resources:
  accelerators: A100:8
  cpus: 16+
  memory: 64+
num_nodes: 1
workdir: .
envs:
  MODEL: gpt2
  EPOCHS: 3
  LR: 1e-4
  DEBUG: false
file_mounts:
  ~/data: ./data
setup: |
  pip install -r requirements.txt
run: |
  cd ~/sky_workdir
  python train.py --model $MODEL
"""
SERVE = """\
service:
  readiness_probe: {path: /v1/models}
  replicas: 1
resources:
  ports: 8080
  accelerators: {H20: 1}
  memory: 24GB
run: python -m serve --port 8080
"""


def problems_of(text: str) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        parse_workload(text)
    assert all(p.problem.en and any("\u4e00" <= ch <= "\u9fff" for ch in p.problem.zh) for p in caught.value.problems)
    return {p.where: p.problem.en for p in caught.value.problems}


def test_a_training_task_as_people_write_it() -> None:
    spec = parse_workload(TRAIN)
    assert (spec.name, spec.kind, spec.cpus_milli, spec.memory_mib) == ("train-gpt", "job", 16_000, 65_536)
    assert spec.accelerators == (("A100", 8),)
    assert spec.envs == {"MODEL": "gpt2", "EPOCHS": "3", "LR": "1e-4", "DEBUG": "False"}
    assert (spec.workdir, spec.file_mounts) == (".", {"~/data": "./data"})
    assert spec.setup == "pip install -r requirements.txt\n" and spec.run.startswith("cd ~/sky_workdir\n")


def test_a_service_as_people_write_it() -> None:
    spec = parse_workload(SERVE)
    assert spec.service == ServiceSpec(8080, "/v1/models") and spec.kind == "service"
    assert spec.memory_mib == 24 * 1024 and spec.accelerators == (("H20", 1),)


def test_our_own_fields_and_chinese_names() -> None:
    spec = parse_workload(
        "name: 黄山 问答-1\nrun: 'true'\nzhisuan: {artefacts: [model, 评测.json], max_duration: 2h, restarts: 0}\n"
    )
    assert (spec.name, spec.artefacts, spec.max_seconds, spec.restarts) == (
        "黄山 问答-1",
        ("model", "评测.json"),
        7200,
        0,
    )


@pytest.mark.parametrize(
    "field", sorted({*TOP_REFUSED, "anything", "Run", "zhisuan.typo"} | {f"resources.{n}" for n in RESOURCES_REFUSED})
)
def test_a_field_that_is_not_supported_is_refused_by_its_name(field: str) -> None:
    outer, _, inner = field.partition(".")
    data: dict[str, Any] = {"run": "x", outer: {inner: 1} if inner else 1}
    assert field in problems_of(yaml.safe_dump(data))


def test_every_problem_is_told_at_once_with_its_place() -> None:
    found = problems_of(
        "name: a/b\nrnu: x\nnum_nodes: 2\nresources: {cpus: many, cloud: aws, accelerators: [A100, H20], ports: 80}\n"
        "envs: {1A: x, ZHISUAN_X: y, EMPTY: , LIST: [1]}\nfile_mounts: {../x: ./a, b: s3://bucket}\n"
        "service: {replicas: 2, readiness_probe: health}\nzhisuan: {restarts: 99, max_duration: 31d, artefacts: [/etc]}\n"
    )
    assert set(found) == {
        "name", "rnu", "run", "num_nodes", "resources.cpus", "resources.cloud", "resources.ports",
        "envs.1A", "envs.ZHISUAN_X", "envs.EMPTY", "envs.LIST", "file_mounts.../x", "file_mounts.b", "service.replicas",
        "service.readiness_probe", "service.port", "zhisuan.restarts", "zhisuan.max_duration", "zhisuan.artefacts",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "file"), ("- run", "file"), ("just text", "file"), ("run: [", "file"), ("run: x\nrun: y", "run"),
        ("run: x\nenvs: {A: 1, A: 2}", "envs.A"), ('run: "a\\0b"', "run"), ('run: "\\ud800"', "run"), ("run: \ud800", "file"),
        ("run: x\nname: 2026-99-99", "file"), ("run: x\nresources: {cpus: " + "9" * 5000 + "}", "file"),
        ("run: x\nresources: {cpus: '" + "9" * 5000 + "'}", "resources.cpus"), ("run: x\nresources: {cpus: 0}", "resources.cpus"),
        ("run: x\nresources: {cpus: -1}", "resources.cpus"), ("run: x\nresources: {cpus: .inf}", "resources.cpus"),
        ("run: x\nresources: {cpus: true}", "resources.cpus"), ("run: x\nresources: {memory: ²}", "resources.memory"),
        ("run: x\nresources: {accelerators: 'A100:²'}", "resources.accelerators"), ("run: x\nresources: {accelerators: 'A100:0'}", "resources.accelerators"),
        ("run: x\nresources: {ports: ²}", "resources.ports"), ("run: x\nresources: [1]", "resources"), ("run: {a: b}", "run"),
        ("run: x\nname: 'a\n\n'", "name"), ("run: x\nname: 0.5/", "name"), ("run: x\nname: {a: b}", "name"), ("run: ' '", "run"),
        ("run: x\nnum_nodes: true", "num_nodes"), ("run: x\nzhisuan: {max_duration: 0s}", "zhisuan.max_duration"),
        ("run: x\nzhisuan: {artefacts: [a], artifacts: [b]}", "zhisuan.artifacts"), ("a: &a [*a]", "file"),
        ("run: x\nenvs: {A: !!binary aGk=}", "envs.A"), ("!!python/object/apply:os.system ['x']", "file"), ("? {a: b}\n: c", "file"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_at_its_place(text: str, where: str) -> None:
    assert where in problems_of(text)


def test_a_small_file_that_stands_for_a_huge_one_is_refused_quickly() -> None:
    names = "abcdefgh"
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{here}: &{here} [{', '.join([f'*{before}'] * 9)}]" for before, here in itertools.pairwise(names)]
    merges = [
        "a: &a {k1: v}",
        *(f"{y}: &{y} {{<<: [{', '.join([f'*{x}'] * 9)}]}}" for x, y in itertools.pairwise(names)),
    ]
    for text in (
        "\n".join(lines),
        "\n".join(merges),
        "[" * 100_000,
        "[" + "x," * 100_000 + "]",
        "- " * 100_000,
        "{" * 50,
    ):
        began = time.process_time()
        assert "stands for too much" in problems_of(text)["file"]
        assert time.process_time() - began < 20, "it is stopped at its bounds"


def test_a_file_over_its_limit_is_too_large() -> None:
    with pytest.raises(TooLarge):
        parse_workload("run: " + "字" * 100_000)


def test_messages_do_not_repeat_a_long_value() -> None:
    assert len(problems_of("run: x\nresources: {cpus: '" + "a" * 10_000 + "'}")["resources.cpus"]) < 200


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates() | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(sorted({*TOP, *TOP_REFUSED, "x"}))
nested = st.fixed_dictionaries({}, optional={
    "resources": st.dictionaries(st.sampled_from(("cpus", "memory", "accelerators", "ports", "cloud", "any_of", "ordered")), anything, max_size=3),
    "service": st.dictionaries(st.sampled_from(("port", "replicas", "readiness_probe")), anything, max_size=3),
    "zhisuan": st.dictionaries(st.sampled_from(("artefacts", "artifacts", "max_duration", "restarts", "sites", "standby", "avoid_sites", "region")), anything, max_size=3),
    "envs": st.dictionaries(st.text(max_size=5), anything, max_size=3),
    "file_mounts": st.dictionaries(st.text(max_size=5), anything, max_size=3),
})  # fmt: skip


def _parse(text: str) -> WorkloadSpec | None:
    try:
        return parse_workload(text)
    except ZhisuanError:
        return None


@pytest.mark.slow
@settings(max_examples=300)
@given(data=st.dictionaries(fields, anything, max_size=4), inner=nested)
def test_any_values_at_any_field_give_a_specification_or_a_problem(data: dict[str, Any], inner: dict[str, Any]) -> None:
    spec = _parse(yaml.dump({"run": "x"} | data | inner, allow_unicode=True))
    if spec is not None:
        assert WorkloadSpec.from_dict(spec.as_dict()) == spec
        assert 0 < spec.cpus_milli <= 10**9 and 0 < spec.memory_mib <= 10**9 and 0 <= spec.restarts <= 20


@settings(max_examples=300)
@given(
    text=st.text(alphabet=st.sampled_from("run: x\n-[]{}&*a!|>'\"%@`#?,~<\t\x00\ud8001.e0_中"), max_size=60)
    | st.text(max_size=60)
)
def test_any_text_gives_a_specification_or_a_problem(text: str) -> None:
    _parse(text)
    _parse("run: x\n" + text)


@pytest.mark.parametrize("text", [TRAIN, SERVE, "run: x"])
def test_what_is_kept_reads_back_as_it_was(text: str) -> None:
    import orjson

    spec = parse_workload(text)
    assert WorkloadSpec.from_dict(orjson.loads(orjson.dumps(spec.as_dict()))) == spec
