"""Which nodes and variables a run gets of each vendor: those of its lease and no others."""

from pathlib import Path

import pytest

from zhisuan.engines.contract import AcceleratorGrant
from zhisuan.engines.errors import InvalidSpec
from zhisuan.engines.local.accelerators import VENDORS, view
from zhisuan.site.discovery.accelerators import ADAPTERS

NODES = {
    "nvidia": ("nvidia{n}", "CUDA_VISIBLE_DEVICES"),
    "huawei": ("davinci{n}", "ASCEND_RT_VISIBLE_DEVICES"),
    "cambricon": ("cambricon_dev{n}", "MLU_VISIBLE_DEVICES"),
    "hygon": ("dri/renderD{d}", "HIP_VISIBLE_DEVICES"),
    "metax": ("dri/renderD{d}", "MACA_VISIBLE_DEVICES"),
    "mthreads": ("mtgpu.{n}", "MUSA_VISIBLE_DEVICES"),
    "iluvatar": ("iluvatar{n}", "CUDA_VISIBLE_DEVICES"),
    "enflame": ("gcu{n}", "TOPS_VISIBLE_DEVICES"),
    "kunlun": ("xpu{n}", "XPU_VISIBLE_DEVICES"),
    "amd": ("dri/renderD{d}", "ROCR_VISIBLE_DEVICES"),
    "intel": ("dri/renderD{d}", "ZE_AFFINITY_MASK"),
}
CARDS = 4


def bus(number: int) -> str:
    return f"0000:{number + 10:02x}:00.0"


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    """A /dev with four cards of every vendor. DRM numbers run against the order of the cards, as they may."""
    by_path = tmp_path / "dri" / "by-path"
    by_path.mkdir(parents=True)
    for number in range(CARDS):
        render, card = tmp_path / f"dri/renderD{131 - number}", tmp_path / f"dri/card{3 - number}"
        for node in (render, card, *(tmp_path / pattern.format(n=number, d=0) for pattern, _ in NODES.values())):
            node.touch()
        (by_path / f"pci-{bus(number)}-render").symlink_to(render)
        (by_path / f"pci-{bus(number)}-card").symlink_to(card)
    for control in ("nvidiactl", "davinci_manager", "cambricon_ctl", "kfd", "mkfd", "mxcd", "xpuctrl", "itrctl"):
        (tmp_path / control).touch()
    (tmp_path / "cambricon_ipcm2").touch()
    return tmp_path


def test_what_is_found_can_be_handed_over() -> None:
    assert {vendor for vendor, _ in ADAPTERS} == set(VENDORS) == set(NODES)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_lease_of_one_card_opens_that_card_alone(vendor: str, dev: Path) -> None:
    pattern, variable = NODES[vendor]
    found = view([AcceleratorGrant(vendor, 2, bus_id=bus(2))], isolated=True, dev=dev)
    names = {str(node.relative_to(dev)) for node in found.nodes}
    assert pattern.format(n=2, d=129) in names
    assert not {pattern.format(n=n, d=131 - n) for n in range(CARDS) if n != 2} & names
    assert not {f"dri/card{3 - n}" for n in range(CARDS) if n != 2} & names
    assert found.env[variable] == "0"
    assert all(value in ("", "0", "2") for value in found.env.values())


@pytest.mark.parametrize("vendor", VENDORS)
def test_without_a_sandbox_the_hosts_number_is_the_word(vendor: str, dev: Path) -> None:
    grants = [AcceleratorGrant(vendor, 3, bus_id=bus(3)), AcceleratorGrant(vendor, 1, bus_id=bus(1))]
    assert view(grants, isolated=False, dev=dev).env[NODES[vendor][1]] == "3,1"


@pytest.mark.parametrize("isolated", [True, False])
def test_hip_counts_what_rocr_has_left(isolated: bool, dev: Path) -> None:
    grants = [AcceleratorGrant("amd", n, bus_id=bus(n)) for n in (3, 1)]
    env = view(grants, isolated=isolated, dev=dev).env
    assert (env["ROCR_VISIBLE_DEVICES"], env["HIP_VISIBLE_DEVICES"]) == ("0,1" if isolated else "3,1", "0,1")


@pytest.mark.parametrize("vendor", VENDORS)
def test_no_grant_shows_none(vendor: str, dev: Path) -> None:
    variable = NODES[vendor][1]
    found = view([], isolated=True, dev=dev)
    assert found.nodes == ()
    assert found.env.get(variable) == ("" if variable != "ZE_AFFINITY_MASK" else None)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_card_that_is_not_there_is_refused(vendor: str, dev: Path) -> None:
    with pytest.raises(InvalidSpec, match=f"{vendor} 9"):
        view([AcceleratorGrant(vendor, 9, bus_id="0000:ff:00.0")], isolated=True, dev=dev)


def test_an_address_with_a_long_domain_finds_the_same_nodes(dev: Path) -> None:
    found = view([AcceleratorGrant("mthreads", 0, bus_id="0000" + bus(0).upper())], isolated=True, dev=dev)
    assert [str(node.relative_to(dev)) for node in found.nodes] == ["mtgpu.0", "dri/renderD131", "dri/card3"]


def test_a_card_known_by_its_address_needs_it(dev: Path) -> None:
    with pytest.raises(InvalidSpec, match="PCI address"):
        view([AcceleratorGrant("amd", 0)], isolated=True, dev=dev)


def test_control_and_spare_nodes_come_along(dev: Path) -> None:
    found = view([AcceleratorGrant("cambricon", 2)], isolated=True, dev=dev)
    assert [node.name for node in found.nodes] == ["cambricon_dev2", "cambricon_ipcm2", "cambricon_ctl"]


def test_two_vendors_that_read_one_variable_are_refused(dev: Path) -> None:
    grants = [AcceleratorGrant("nvidia", 0), AcceleratorGrant("kunlun", 0)]
    with pytest.raises(InvalidSpec, match="CUDA_VISIBLE_DEVICES"):
        view(grants, isolated=True, dev=dev)


def test_two_vendors_that_do_not_meet_are_fine(dev: Path) -> None:
    grants = [AcceleratorGrant("nvidia", 1), AcceleratorGrant("huawei", 3)]
    env = view(grants, isolated=True, dev=dev).env
    assert (env["CUDA_VISIBLE_DEVICES"], env["ASCEND_RT_VISIBLE_DEVICES"]) == ("0", "0")
