"""What a run needs to see of the accelerators granted to it, by vendor: device nodes and variables.

Sources: NVIDIA container toolkit documentation (device nodes, ``NVIDIA_VISIBLE_DEVICES``), CUDA programming guide
(``CUDA_VISIBLE_DEVICES``), Ascend docker runtime documentation (``/dev/davinci*`` and its control nodes,
``ASCEND_RT_VISIBLE_DEVICES``).
"""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zhisuan.engines.contract import AcceleratorGrant
from zhisuan.engines.errors import InvalidSpec


@dataclass(frozen=True, slots=True)
class _Vendor:
    """``node``: one device's node; ``control``: nodes that every user of the vendor needs, where they exist.
    ``seen``: the variable that counts the devices the run can see; ``host``: the one that names the host's.
    ``by_uuid``: ``seen`` may name devices by their uuid too, which means the same however they are counted."""

    node: str
    control: tuple[str, ...]
    seen: str
    host: str
    by_uuid: bool


_VENDORS = {
    "nvidia": _Vendor(
        "nvidia{index}",
        ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset"),
        "CUDA_VISIBLE_DEVICES",
        "NVIDIA_VISIBLE_DEVICES",
        True,
    ),
    "ascend": _Vendor(
        "davinci{index}",
        ("davinci_manager", "devmm_svm", "hisi_hdc"),
        "ASCEND_RT_VISIBLE_DEVICES",
        "ASCEND_VISIBLE_DEVICES",
        False,
    ),
}


@dataclass(frozen=True, slots=True)
class AcceleratorView:
    """``nodes`` to bind into the sandbox, ``env`` to set, ``groups`` that own nodes closed to others."""

    nodes: tuple[Path, ...]
    env: dict[str, str]
    groups: tuple[int, ...]


def view(grants: Sequence[AcceleratorGrant], *, isolated: bool, dev: Path = Path("/dev")) -> AcceleratorView:
    """Raises InvalidSpec for a vendor not known here or a device that this host does not have.

    Inside a sandbox only the granted devices exist and drivers number them from 0; without one the host's numbers
    hold. A run without a grant sees none: drivers take an empty list for "none", a missing one for "all".
    """
    nodes: list[Path] = []
    env: dict[str, str] = {}
    for name, vendor in _VENDORS.items():
        mine = [grant for grant in grants if grant.vendor == name]
        env.update(_variables(vendor, mine, isolated=isolated))
        for grant in mine:
            node = dev / vendor.node.format(index=grant.index)
            if not node.exists():
                raise InvalidSpec(
                    f"accelerator {name} {grant.index} was granted but {node} does not exist on this host"
                )
            nodes.append(node)
        if mine:
            nodes += [dev / control for control in vendor.control if (dev / control).exists()]
    unknown = sorted({grant.vendor for grant in grants} - set(_VENDORS))
    if unknown:
        known = ", ".join(_VENDORS)
        raise InvalidSpec(f"the local engine cannot hand over accelerators of {unknown[0]!r}; it knows {known}")
    return AcceleratorView(tuple(nodes), env, _groups(nodes))


def _variables(vendor: _Vendor, grants: list[AcceleratorGrant], *, isolated: bool) -> dict[str, str]:
    if not grants:
        return {vendor.seen: ""}
    uuids = [grant.uuid for grant in grants if grant.uuid]
    indexes = [str(grant.index) for grant in grants]
    positions = [str(position) for position in range(len(grants))] if isolated else indexes
    seen = uuids if vendor.by_uuid and len(uuids) == len(grants) else positions
    return {vendor.seen: ",".join(seen), vendor.host: ",".join(indexes)}


def _groups(nodes: Sequence[Path]) -> tuple[int, ...]:
    closed = set()
    for node in nodes:
        status = os.stat(node)
        if stat.S_IMODE(status.st_mode) & 0o006 != 0o006 and status.st_gid != 0:
            closed.add(status.st_gid)
    return tuple(sorted(closed))
