"""What a run needs to see of the accelerators granted to it, by vendor: device nodes and variables.

| vendor | a device | of all | counted inside | counted on the host | source |
| --- | --- | --- | --- | --- | --- |
| nvidia | `nvidiaN` | `nvidiactl`, `nvidia-uvm` … | `CUDA_VISIBLE_DEVICES` | `NVIDIA_VISIBLE_DEVICES` | CUDA programming guide; container toolkit |
| huawei | `davinciN` | `davinci_manager`, `devmm_svm`, `hisi_hdc` | `ASCEND_RT_VISIBLE_DEVICES` | `ASCEND_VISIBLE_DEVICES` | Ascend docker runtime |
| cambricon | `cambricon_devN`, `cambricon_ipcmN` | `cambricon_ctl`, `cambricon_gdr` | `MLU_VISIBLE_DEVICES` | `CAMBRICON_VISIBLE_DEVICES` | Cambricon device plugin 2.2 (`pkg/mlu`) |
| hygon | DRM | `kfd`, `mkfd` | `HIP_VISIBLE_DEVICES` | – | gpustack operator, vendor prerequisites; DTK images |
| metax | DRM | `mxcd`, `mxnd`, `mxgd` | `MACA_VISIBLE_DEVICES`, `CUDA_VISIBLE_DEVICES` | – | vLLM-MetaX quick start; gpustack operator |
| mthreads | `mtgpu.N` and DRM | – | `MUSA_VISIBLE_DEVICES` | `MTHREADS_VISIBLE_DEVICES` | ms-swift and FlagOS pages for MUSA |
| iluvatar | `iluvatarN` | `itrctl`, `itrlink` | `CUDA_VISIBLE_DEVICES` | `IX_VISIBLE_DEVICES` | ix-container-toolkit; FlagPerf |
| enflame | `gcuN` | – | `TOPS_VISIBLE_DEVICES` | `ENFLAME_VISIBLE_DEVICES` | Enflame device plugin; vLLM-GCU |
| kunlun | `xpuN` | `xpuctrl` | `XPU_VISIBLE_DEVICES`, `CUDA_VISIBLE_DEVICES` | – | XRE guide of PaddlePaddle; vLLM-Kunlun; FastDeploy |
| amd | DRM | `kfd` | `ROCR_VISIBLE_DEVICES`, in it `HIP_VISIBLE_DEVICES` | – | ROCm, GPU isolation techniques |
| intel | DRM | – | `ZE_AFFINITY_MASK` | – | Level Zero programming guide |

DRM: `dri/by-path/pci-ADDRESS-render` and `…-card`, links that udev keeps.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from zhisuan.engines.contract import AcceleratorGrant
from zhisuan.engines.errors import InvalidSpec


@dataclass(frozen=True, slots=True)
class _Vendor:
    """``nodes``: one device's own; ``drm``: it has DRM nodes too; ``spare``: one device's that some drivers lack;
    ``control``: nodes that every user of the vendor needs, where they exist. ``seen``: variables that count the devices the
    run can see; ``host``: the one that counts the host's; ``nested``: those that count what ``seen`` has left. ``by_uuid``:
    ``seen`` may name devices by their uuid too, which means the same however they are counted."""

    nodes: tuple[str, ...]
    control: tuple[str, ...]
    seen: tuple[str, ...]
    host: str | None = None
    drm: bool = False
    spare: tuple[str, ...] = ()
    nested: tuple[str, ...] = ()
    by_uuid: bool = False

    @property
    def variables(self) -> tuple[str, ...]:
        return (*self.seen, *self.nested)


_VENDORS = {
    "nvidia": _Vendor(
        ("nvidia{index}",),
        ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset"),
        ("CUDA_VISIBLE_DEVICES",),
        "NVIDIA_VISIBLE_DEVICES",
        by_uuid=True,
    ),
    "huawei": _Vendor(
        ("davinci{index}",),
        ("davinci_manager", "devmm_svm", "hisi_hdc"),
        ("ASCEND_RT_VISIBLE_DEVICES",),
        "ASCEND_VISIBLE_DEVICES",
    ),
    "cambricon": _Vendor(
        ("cambricon_dev{index}",),
        ("cambricon_ctl", "cambricon_gdr"),
        ("MLU_VISIBLE_DEVICES",),
        "CAMBRICON_VISIBLE_DEVICES",
        spare=("cambricon_ipcm{index}",),
    ),
    "hygon": _Vendor((), ("kfd", "mkfd"), ("HIP_VISIBLE_DEVICES",), drm=True),
    "metax": _Vendor((), ("mxcd", "mxnd", "mxgd"), ("MACA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"), drm=True),
    "mthreads": _Vendor(("mtgpu.{index}",), (), ("MUSA_VISIBLE_DEVICES",), "MTHREADS_VISIBLE_DEVICES", drm=True),
    "iluvatar": _Vendor(("iluvatar{index}",), ("itrctl", "itrlink"), ("CUDA_VISIBLE_DEVICES",), "IX_VISIBLE_DEVICES"),
    "enflame": _Vendor(("gcu{index}",), (), ("TOPS_VISIBLE_DEVICES",), "ENFLAME_VISIBLE_DEVICES"),
    "kunlun": _Vendor(("xpu{index}",), ("xpuctrl",), ("XPU_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")),
    "amd": _Vendor((), ("kfd",), ("ROCR_VISIBLE_DEVICES",), drm=True, nested=("HIP_VISIBLE_DEVICES",)),
    "intel": _Vendor((), (), ("ZE_AFFINITY_MASK",), drm=True),
}
VENDORS = tuple(_VENDORS)
# An empty list means "none" to all drivers but this one, which has no word for it; without nodes it finds none.
_NO_WORD_FOR_NONE = frozenset({"ZE_AFFINITY_MASK"})


@dataclass(frozen=True, slots=True)
class AcceleratorView:
    """``nodes`` to bind into the sandbox, ``env`` to set, ``groups`` that own nodes closed to others."""

    nodes: tuple[Path, ...]
    env: dict[str, str]
    groups: tuple[int, ...]


def view(grants: Sequence[AcceleratorGrant], *, isolated: bool, dev: Path = Path("/dev")) -> AcceleratorView:
    """Raises InvalidSpec for a vendor not known here, for two vendors that read one variable, or for a device that this
    host does not have.

    Inside a sandbox only the granted devices exist and drivers number them from 0; without one the host's numbers
    hold. A run without a grant sees none: drivers take an empty list for "none", a missing one for "all".
    """
    unknown = sorted({grant.vendor for grant in grants} - set(_VENDORS))
    if unknown:
        known = ", ".join(_VENDORS)
        raise InvalidSpec(f"the local engine cannot hand over accelerators of {unknown[0]!r}; it knows {known}")
    nodes: list[Path] = []
    env = {name: "" for vendor in _VENDORS.values() for name in vendor.variables if name not in _NO_WORD_FOR_NONE}
    for name, vendor in _VENDORS.items():
        mine = [grant for grant in grants if grant.vendor == name]
        if mine:
            taken = [variable for variable in vendor.variables if env.get(variable)]
            if taken:
                raise InvalidSpec(f"accelerators of {name} and of another vendor cannot be used together: {taken[0]}")
            env.update(_variables(vendor, mine, isolated=isolated))
            nodes += (node for grant in mine for node in _nodes_of(vendor, grant, dev))
            nodes += (dev / control for control in vendor.control if (dev / control).exists())
    return AcceleratorView(tuple(nodes), env, _groups(nodes))


def _nodes_of(vendor: _Vendor, grant: AcceleratorGrant, dev: Path) -> Iterator[Path]:
    for pattern in vendor.nodes:
        yield _present(dev / pattern.format(index=grant.index), grant)
    if vendor.drm:
        if grant.bus_id is None:
            raise InvalidSpec(f"accelerator {grant.vendor} {grant.index} was granted without its PCI address")
        # Tools write the domain with four or eight digits; the kernel's links have four.
        link = dev / "dri/by-path" / f"pci-{grant.bus_id.lower()[-12:]}"
        yield _present(Path(f"{link}-render"), grant).resolve()
        card = Path(f"{link}-card")
        if card.exists():
            yield card.resolve()
    yield from (node for p in vendor.spare if (node := dev / p.format(index=grant.index)).exists())


def _present(node: Path, grant: AcceleratorGrant) -> Path:
    if not node.exists():
        raise InvalidSpec(
            f"accelerator {grant.vendor} {grant.index} was granted but {node} does not exist on this host"
        )
    return node


def _variables(vendor: _Vendor, grants: list[AcceleratorGrant], *, isolated: bool) -> dict[str, str]:
    uuids = [grant.uuid for grant in grants if grant.uuid]
    indexes = [str(grant.index) for grant in grants]
    positions = [str(position) for position in range(len(grants))] if isolated else indexes
    seen = ",".join(uuids if vendor.by_uuid and len(uuids) == len(grants) else positions)
    host = {} if vendor.host is None else {vendor.host: ",".join(indexes)}
    left = ",".join(str(position) for position in range(len(grants)))
    return dict.fromkeys(vendor.seen, seen) | dict.fromkeys(vendor.nested, left) | host


def _groups(nodes: Sequence[Path]) -> tuple[int, ...]:
    closed = set()
    for node in nodes:
        status = os.stat(node)
        if stat.S_IMODE(status.st_mode) & 0o006 != 0o006 and status.st_gid != 0:
            closed.add(status.st_gid)
    return tuple(sorted(closed))
