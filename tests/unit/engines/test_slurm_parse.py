"""Slurm's outputs are read as documented, and anything else is called nonsense rather than believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.engines.slurm import parse
from zhisuan.engines.slurm.cluster import read_nodes
from zhisuan.engines.slurm.parse import Gres, Nonsense, QueuedJob

NODE = (
    "NodeName=n1 Arch=x86_64 CoresPerSocket=1  CPUAlloc=0 CPUEfctv=62 CPUTot=64 CPULoad=8.05 AvailableFeatures=(null) "
    "Gres=gpu:ascend910b:2(S:0-1),nic:1,gpu:tesla:1 NodeAddr=10.0.0.7 NodeHostName=n1 Port=6818 Version=22.05.8 "
    "OS=Linux 6.1.0 #1 SMP PREEMPT_DYNAMIC Debian  RealMemory=16000 AllocMem=0 FreeMem=15 State={state} MemSpecLimit=1000 "
    "Partitions=npu,short  BootTime=2026-11-21T08:55:17{reason}\n"
)
GRES = ("gpu", "npu")


def test_a_node_is_read_whole() -> None:
    (found,) = read_nodes(NODE.format(state="IDLE", reason=""), None, GRES)
    node = found.node
    assert (node.hostname, node.cpus_milli, node.memory_mib, node.usable, node.note) == ("n1", 62_000, 15_000, True, "")
    assert [(card.key, card.index, card.kind, card.vendor) for card in node.accelerators] == [
        ("gpu:ascend910b:0", 0, "ascend910b", "huawei"),
        ("gpu:ascend910b:1", 1, "ascend910b", "huawei"),
        ("gpu:tesla:0", 2, "tesla", "nvidia"),
    ]
    assert found.gres == ("gpu:ascend910b", "gpu:ascend910b", "gpu:tesla")
    assert (found.address, node.os) == ("10.0.0.7", "Linux 6.1.0 #1 SMP PREEMPT_DYNAMIC Debian")


@pytest.mark.parametrize(
    ("state", "usable"),
    [
        ("IDLE", True), ("MIXED", True), ("ALLOCATED", True), ("IDLE+PLANNED", True), ("MIXED+DRAIN", False), ("DOWN*", False),
        ("IDLE*", False), ("IDLE+DRAIN", False), ("DOWN+NOT_RESPONDING", False), ("IDLE+MAINTENANCE", True), ("UNKNOWN", False),
        ("IDLE+MAINT", False), ("SOMETHING_NEW", False), ("ALLOCATED+DRAINING", False), ("IDLE+CLOUD+POWERED_DOWN", True),
    ],
)  # fmt: skip
def test_a_nodes_state_says_whether_work_starts_there(state: str, usable: bool) -> None:
    text = NODE.format(state=state, reason=" Reason=fan broken [root@2026-11-21T09:00:00]")
    (found,) = read_nodes(text, None, GRES)
    assert found.node.usable is usable
    assert ("fan broken" in found.node.note) is not usable
    assert "root" not in found.node.note


def test_only_the_partitions_nodes_count() -> None:
    assert read_nodes(NODE.format(state="IDLE", reason=""), "other", GRES) == ()
    assert len(read_nodes(NODE.format(state="IDLE", reason=""), "short", GRES)) == 1


@pytest.mark.parametrize("output", ["hello\n", "<html>", "NodeName", "slurm_load_node: ok\n"])
def test_what_is_no_node_is_nonsense(output: str) -> None:
    with pytest.raises(Nonsense):
        read_nodes(output, None, GRES)


def test_the_queue_is_read_with_arrays_and_reasons() -> None:
    lines = "7|PENDING|ab12|N/A|N/A|N/A|0:00|1|Resources\n9|COMPLETED|cd34|3|1795779877|1795779939|1:02|2|None\n"
    assert parse.queue(lines) == [
        QueuedJob(7, "PENDING", "ab12", None, "Resources", None, None, 0, 1),
        QueuedJob(9, "COMPLETED", "cd34", 3, "None", 1795779877, 1795779939, 62, 2),
    ]
    assert parse.queue("") == []


@given(st.text(max_size=60))
def test_no_text_is_taken_for_a_queue_by_accident(text: str) -> None:
    try:
        jobs = parse.queue(text)
    except Nonsense:
        return
    assert len(jobs) == len(text.splitlines())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(null)", None),
        ("gpu:4", [Gres("gpu", "", 4)]),
        ("gpu:a100:8(S:0-1),gpu:v100:2", [Gres("gpu", "a100", 8), Gres("gpu", "v100", 2)]),
        ("craynetwork:2K", [Gres("craynetwork", "", 2048)]),
    ],
)
def test_gres(text: str, expected: list[Gres] | None) -> None:
    assert parse.gres("" if expected is None else text) == (expected or [])


@pytest.mark.parametrize("text", ["gpu", "gpu:many", "a b:1"])
def test_a_gres_that_is_none_is_nonsense(text: str) -> None:
    with pytest.raises(Nonsense):
        parse.gres(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("00:00:04", 4),
        ("1-00:00:00", 86_400),
        ("02:03", 123),
        ("UNLIMITED", None),
        ("INVALID", None),
        ("10:00:00", 36_000),
    ],
)
def test_durations(text: str, expected: int | None) -> None:
    assert parse.seconds(text) == expected


def test_a_job_number_is_what_sbatch_prints_and_nothing_else() -> None:
    assert parse.job_id("123\n") == 123
    assert parse.job_id("123;cluster\n") == 123
    for text in ("", "Submitted batch job 12", "12 13", "abc"):
        with pytest.raises(Nonsense):
            parse.job_id(text)
