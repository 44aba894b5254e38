"""Volumes in a workload file: three ways to write them, and what cannot be."""

import pytest

from zhisuan.base.errors import InvalidInput
from zhisuan.workload.reading.file import parse_workload
from zhisuan.workload.spec import WorkloadSpec
from zhisuan.workload.volume_mounts import VolumeMount


def test_the_three_forms_and_that_they_survive_the_record() -> None:
    spec = parse_workload(
        "run: x\nvolumes: {/data: 老数据, /m: {name: base, version: 3, mode: rw}}\n"
        "file_mounts: {ref: 'volume://老数据@2/图/深', all: 'volume://b', local: ./here}\n"
    )
    assert spec.volumes == (
        VolumeMount("/data", "老数据"), VolumeMount("/m", "base", 3, "rw"), VolumeMount("ref", "老数据", 2, "ro", "图/深"),
        VolumeMount("all", "b"),
    )  # fmt: skip
    assert spec.file_mounts == {"local": "./here"}
    assert WorkloadSpec.from_dict(spec.as_dict()) == spec
    older = spec.as_dict()
    del older["volumes"]
    assert WorkloadSpec.from_dict(older).volumes == (), "a record of the release before"


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ("volumes: {/d: 3}", "volumes./d", "name of a volume"),
        ("volumes: {/d: a/b}", "volumes./d", "needs the name"),
        ("volumes: {/d: {name: a, store: s3}}", "volumes./d.store", "not a field"),
        ("volumes: {/d: {name: a, version: 0}}", "volumes./d.version", "from 1"),
        ("volumes: {/d: {name: a, mode: w}}", "volumes./d.mode", "ro or rw"),
        ("volumes: {/d: {name: a, path: ../x}}", "volumes./d.path", "without"),
        ("volumes: {/d: {name: a, path: x, mode: rw}}", "volumes./d", "as a whole"),
        ("volumes: {../d: a}", "volumes.../d", "folder of the work"),
        ("volumes: {/: a}", "volumes./", "folder of the work"),
        ("volumes: {/d: {name: a, mode: rw}}\nnum_nodes: 2", "volumes./d", "one node"),
        ("volumes: {/d: {name: a, mode: rw}}\nservice: {}\nresources: {ports: 8080}", "volumes./d", "one node"),
        ("volumes: {d: a}\nfile_mounts: {d: ./x}", "volumes.d", "file_mounts too"),
        ("file_mounts: {d: 'volume://a@x/y'}", "file_mounts.d", "volume://name@3/path"),
        ("file_mounts: {d: 's3://bucket/x'}", "file_mounts.d", "put the files of a bucket into a volume"),
    ],
)
def test_what_cannot_be_is_named_with_its_place(text: str, where: str, said: str) -> None:
    with pytest.raises(InvalidInput) as told:
        parse_workload(f"run: x\n{text}\n")
    found = [(p.where, p.problem.en) for p in told.value.problems]
    assert len(found) == 1 and found[0][0] == where and said in found[0][1], found
