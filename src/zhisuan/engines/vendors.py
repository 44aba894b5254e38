"""Makers of accelerators: one name for each, whoever finds the card, and how clusters' names for cards lead to it.

| vendor | what clusters call its cards by (GRES types and names, Ray resources) | counted by |
| --- | --- | --- |
| nvidia | `nvidia…`, `tesla…`, `a100`, `h800` and the like | `CUDA_VISIBLE_DEVICES` (set by Slurm itself) |
| huawei | `ascend…`, `npu`, `huawei…` | `ASCEND_RT_VISIBLE_DEVICES` |
| cambricon | `cambricon…`, `mlu…` | `MLU_VISIBLE_DEVICES` |
| hygon | `hygon…`, `dcu…` | `HIP_VISIBLE_DEVICES` |
| metax | `metax…`, `mxc…` | `MACA_VISIBLE_DEVICES` |
| mthreads | `moorethreads…`, `mthreads…`, `mtt…`, `musa…` | `MUSA_VISIBLE_DEVICES` |
| iluvatar | `iluvatar…`, `bi-v…`, `mr-v…` | `CUDA_VISIBLE_DEVICES` (set by Slurm itself) |
| enflame | `enflame…`, `gcu…` | `TOPS_VISIBLE_DEVICES` |
| kunlun | `kunlun…` | `XPU_VISIBLE_DEVICES` |
| amd | `amd…`, `mi300…`, `mi250…`, `mi210…` | `ROCR_VISIBLE_DEVICES` (set by Slurm itself) |
| intel | `intel…`, `hpu`, `gaudi…` | `ZE_AFFINITY_MASK` (set by Slurm itself) |

Google's TPU and AWS Neuron are cards that Ray counts too; no adapter of ours finds them on a host.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Vendor:
    """``called``: how a cluster's names for its cards begin, in small letters. ``counted_by``: the variable by which its
    runtime counts the devices it sees, where Slurm sets none itself; "" where it does."""

    called: tuple[str, ...]
    counted_by: str = ""


VENDORS: Mapping[str, Vendor] = MappingProxyType(
    {
        "nvidia": Vendor(("nvidia", "tesla", "geforce", "a100", "a800", "a10", "a30", "a40", "h100", "h200", "h800", "h20",
                          "v100", "l40", "l20", "rtx", "b200", "b300")),
        "huawei": Vendor(("ascend", "npu", "huawei"), "ASCEND_RT_VISIBLE_DEVICES"),
        "cambricon": Vendor(("cambricon", "mlu"), "MLU_VISIBLE_DEVICES"),
        "hygon": Vendor(("hygon", "dcu"), "HIP_VISIBLE_DEVICES"),
        "metax": Vendor(("metax", "mxc"), "MACA_VISIBLE_DEVICES"),
        "mthreads": Vendor(("moorethreads", "moore_threads", "mthreads", "mtt", "musa"), "MUSA_VISIBLE_DEVICES"),
        "iluvatar": Vendor(("iluvatar", "bi-v", "mr-v")),
        "enflame": Vendor(("enflame", "gcu"), "TOPS_VISIBLE_DEVICES"),
        "kunlun": Vendor(("kunlun",), "XPU_VISIBLE_DEVICES"),
        "amd": Vendor(("amd", "mi210", "mi250", "mi300", "mi325", "mi355")),
        "intel": Vendor(("intel", "hpu", "gaudi")),
        "google": Vendor(("google", "tpu")),
        "aws": Vendor(("aws", "neuron", "trainium", "inferentia")),
    }
)  # fmt: skip


def vendor_of(called: str) -> str:
    """The vendor of a card that a cluster calls so; "" when the name does not say it."""
    name = called.strip().lower()
    return next((vendor for vendor, known in VENDORS.items() if name.startswith(known.called)), "")


def vendor_named(name: str) -> str:
    """The vendor that somebody wrote into a configuration, by our name or a cluster's. Raises ValueError for none we know."""
    found = name.strip().lower()
    if found not in VENDORS:
        found = vendor_of(found)
    if not found:
        raise ValueError(f"{name!r} is no vendor of accelerators known here; known are {', '.join(VENDORS)}")
    return found
