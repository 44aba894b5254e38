"""One list of vendors for discovery, the local engine and the clusters' engines."""

import pytest
from pydantic import ValidationError

from zhisuan.engines.contract import AcceleratorGrant, NodeGrant, RunSpec
from zhisuan.engines.local.accelerators import VENDORS as SHOWN_TO_RUNS
from zhisuan.engines.ray.config import ACCELERATOR_RESOURCES, RayEngineConfig
from zhisuan.engines.slurm.plan import visible_variables
from zhisuan.engines.vendors import VENDORS, vendor_named, vendor_of
from zhisuan.site.discovery.accelerators import ADAPTERS


def test_what_discovery_finds_and_what_runs_are_shown_are_the_vendors_of_the_list() -> None:
    found = [name for name, _ in ADAPTERS]
    assert set(found) == set(SHOWN_TO_RUNS)
    assert set(found) <= set(VENDORS)
    assert set(VENDORS) - set(found) == {"google", "aws"}


def test_clusters_use_no_name_of_their_own() -> None:
    assert set(ACCELERATOR_RESOURCES.values()) <= set(VENDORS)
    assert dict(RayEngineConfig().accelerator_resources) == dict(ACCELERATOR_RESOURCES)


def test_no_cluster_name_leads_to_two_vendors() -> None:
    called = [(word, name) for name, vendor in VENDORS.items() for word in vendor.called]
    for word, name in called:
        assert [other for start, other in called if word.startswith(start)] == [name] * sum(
            word.startswith(start) for start, _ in called
        )
        assert vendor_of(word.upper() + "-64g") == name


@pytest.mark.parametrize(
    ("called", "vendor"),
    [("ascend910b", "huawei"), ("NPU", "huawei"), ("MooreThreads-S4000", "mthreads"), ("mtt-s80", "mthreads"), ("dcu", "hygon"),
     ("mlu370", "cambricon"), ("a100-80g", "nvidia"), ("gpu", ""), ("xpu", ""), ("", ""), ("fpga", "")],
)  # fmt: skip
def test_cards_are_known_by_what_clusters_call_them(called: str, vendor: str) -> None:
    assert vendor_of(called) == vendor


def test_an_operators_word_for_a_vendor_is_taken_or_refused_by_name() -> None:
    config = RayEngineConfig(accelerator_resources={"NPU": "ascend", "MTT": "MooreThreads", "MLU": "cambricon"})
    assert dict(config.accelerator_resources) == {"NPU": "huawei", "MTT": "mthreads", "MLU": "cambricon"}
    with pytest.raises(ValidationError, match="'acme' is no vendor"):
        RayEngineConfig(accelerator_resources={"X": "acme"})
    assert all(vendor_named(name) == name for name in VENDORS)


@pytest.mark.parametrize(
    ("gres", "variables"),
    [("gpu:ascend910b", ["ASCEND_RT_VISIBLE_DEVICES"]), ("npu", ["ASCEND_RT_VISIBLE_DEVICES"]), ("gpu:mtt-s4000", ["MUSA_VISIBLE_DEVICES"]),
     ("gcu", ["TOPS_VISIBLE_DEVICES"]), ("gpu:a100", []), ("gpu", [])],
)  # fmt: skip
def test_on_slurm_the_runtime_of_each_vendor_counts_by_its_own_variable(gres: str, variables: list[str]) -> None:
    node = NodeGrant("n1", (AcceleratorGrant(gres, 0),))
    assert visible_variables(RunSpec("lease_a", 1, None, "true", {}, 1000, 64, nodes=(node,))) == variables
