"""What a Ray cluster's answer means in nodes and accelerators, and what a lease means in Ray's resources."""

from typing import Any

import pytest
from pydantic import ValidationError

from zhisuan.engines.contract import AcceleratorGrant, NodeGrant, RunSpec
from zhisuan.engines.errors import InvalidSpec
from zhisuan.engines.ray.client import RayNode
from zhisuan.engines.ray.cluster import Member, members, shares
from zhisuan.engines.ray.config import RayEngineConfig

VENDORS = {"GPU": "nvidia", "NPU": "huawei"}


def row(number: int, **changes: Any) -> RayNode:
    ip = f"10.0.0.{number}"
    values: dict[str, Any] = {
        "node_id": f"id{number}", "node_ip": ip, "node_name": ip, "state": "ALIVE",
        "resources_total": {"CPU": 8.0, "memory": 16.0 * (1 << 30), f"node:{ip}": 1.0},
    }  # fmt: skip
    return RayNode(**{**values, **changes})


def cards(**resources: float) -> dict[str, float]:
    return {"CPU": 8.0, "memory": 16.0 * (1 << 30), **resources}


def spec(*nodes: NodeGrant) -> RunSpec:
    return RunSpec("lease_a", 1, None, "true", {}, 1500, 512, nodes=nodes)


def named(rows: list[RayNode]) -> dict[str, Member]:
    return {member.node.hostname: member for member in members(rows, VENDORS)}


def test_a_node_goes_by_its_name_and_its_address_is_kept() -> None:
    found = named([row(2), row(1, node_name="trainer")])
    assert list(found) == ["10.0.0.2", "trainer"]
    assert found["trainer"].address == "10.0.0.1"
    assert (found["trainer"].node.cpus_milli, found["trainer"].node.memory_mib) == (8000, 16384)


def test_names_that_are_given_twice_are_told_apart() -> None:
    found = named([row(1, node_name="gpu"), row(2, node_name="gpu"), row(3, node_name="gpu", node_ip="10.0.0.2")])
    assert list(found) == ["gpu@10.0.0.1", "gpu@10.0.0.2", "gpu@id3"]


def test_a_dead_node_is_shown_with_the_reason_until_it_is_back() -> None:
    dead = row(1, state="DEAD", state_message="heartbeat missed", resources_total={})
    assert not named([dead, row(2)])["10.0.0.1"].node.usable
    assert "heartbeat missed" in named([dead, row(2)])["10.0.0.1"].node.note
    assert named([dead, row(1, node_id="new")])["10.0.0.1"].node.usable
    assert list(named([dead, row(1, node_id="new", node_name="renamed")])) == ["renamed"]


def test_accelerators_are_numbered_through_over_all_kinds() -> None:
    mixed = named([row(1, resources_total=cards(GPU=2.0, NPU=1.0, licence=5.0))])["10.0.0.1"].node
    assert [(one.key, one.index, one.kind, one.vendor) for one in mixed.accelerators] == [
        ("GPU-0", 0, "GPU", "nvidia"), ("GPU-1", 1, "GPU", "nvidia"), ("NPU-0", 2, "NPU", "huawei"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "told",
    [
        {"resources_total": cards(**{"GPU": 1.0, "accelerator_type:A100": 1.0})},
        {"resources_total": cards(GPU=1.0), "labels": {"ray.io/accelerator-type": "A100"}},
    ],
)
def test_the_type_is_the_one_that_ray_found(told: dict[str, Any]) -> None:
    assert [one.kind for one in named([row(1, **told)])["10.0.0.1"].node.accelerators] == ["A100"]


def test_a_share_asks_for_the_node_and_for_what_its_cards_are_called() -> None:
    cluster = members([row(1, resources_total=cards(GPU=2.0, NPU=2.0)), row(2)], VENDORS)
    granted = (AcceleratorGrant("nvidia", 1), AcceleratorGrant("huawei", 2), AcceleratorGrant("huawei", 3))
    first, second = shares(spec(NodeGrant("10.0.0.1", granted), NodeGrant("10.0.0.2")), cluster, VENDORS)
    assert first.bundle() == {"CPU": 1.5, "memory": 512 << 20, "GPU": 1, "NPU": 2, "node:10.0.0.1": 0.001}
    assert first.options() == {
        "num_cpus": 1.5, "memory": 512 << 20, "num_gpus": 1, "resources": {"NPU": 2, "node:10.0.0.1": 0.001},
    }  # fmt: skip
    assert second.bundle() == {"CPU": 1.5, "memory": 512 << 20, "node:10.0.0.2": 0.001}


def test_a_node_that_is_not_chosen_is_left_to_ray() -> None:
    (share,) = shares(
        spec(NodeGrant("localhost", (AcceleratorGrant("huawei", 0),))), members([row(1)], VENDORS), VENDORS
    )
    assert (share.resources, share.address) == ({"NPU": 1}, None)


@pytest.mark.parametrize(
    ("nodes", "match"),
    [
        ((NodeGrant("10.0.0.9"),), "no node '10.0.0.9'"),
        ((NodeGrant("10.0.0.3"),), "cannot be used"),
        ((NodeGrant("10.0.0.1"), NodeGrant("10.0.0.1")), "twice"),
        ((NodeGrant("10.0.0.1"), NodeGrant("10.0.0.2"), NodeGrant("10.0.0.3")), "3 nodes"),
        ((NodeGrant("10.0.0.1", (AcceleratorGrant("nvidia", 0),)),), "nvidia 0"),
        ((NodeGrant("localhost", (AcceleratorGrant("unheard", 0),)),), "unheard"),
    ],
)
def test_what_cannot_be_had_is_named(nodes: tuple[NodeGrant, ...], match: str) -> None:
    cluster = members([row(1), row(2), row(3, state="DEAD")], VENDORS)
    with pytest.raises(InvalidSpec, match=match):
        shares(spec(*nodes), cluster, VENDORS)


def test_the_card_of_another_vendor_is_not_taken_for_the_one_granted() -> None:
    cluster = members([row(1, resources_total=cards(GPU=1.0))], VENDORS)
    with pytest.raises(InvalidSpec, match="huawei 0"):
        shares(spec(NodeGrant("10.0.0.1", (AcceleratorGrant("huawei", 0),))), cluster, VENDORS)


@pytest.mark.parametrize(
    "wrong", [{"address": "ray://head:10001"}, {"unheard": 1}, {"answer_seconds": 0}, {"runtime_dir": "run"}]
)
def test_a_setting_that_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RayEngineConfig(**wrong)


def test_a_token_is_not_shown() -> None:
    assert "hidden" not in repr(RayEngineConfig(token="hidden", headers={"X-Key": "hidden"}))
