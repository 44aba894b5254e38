"""What speaks for a site's devices, class by class: what its provider claims, what was found, and how fast that is by data
sheet, by the published rate and by measurement. Pure.

All speeds are FP16/BF16 dense, in 10⁻³ TFLOPS of one device. The published rate says the same in 度: one 度 is 312 TFLOPS
for an hour. A class whose published rate does not come from its speed (a processor core) is compared with nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median_low
from typing import Any

from zhisuan.base.errors import InvalidInput
from zhisuan.base.text import Text

TFLOPS_MILLI_PER_DU_HOUR = 312_000
UDU = 1_000_000
PPM = 1_000_000
MFLOPS_PER_TFLOPS_MILLI = 1000
COMPARABLE = ("fp16", "bf16")


@dataclass(frozen=True, slots=True)
class ClassSpeed:
    """What the catalogue says of a class."""

    class_id: str
    kind: str
    name: Text
    nominal_tflops_milli: int | None
    published_rate_udu_per_hour: int | None


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """One device of the last report; ``mflops`` is the newest measurement of each precision."""

    class_id: str | None
    kind: str
    name: str
    health: str
    mflops: Mapping[str, int]

    @property
    def tflops_milli(self) -> int | None:
        """The best of the comparable precisions."""
        return max((v for p, v in self.mflops.items() if p in COMPARABLE), default=0) // MFLOPS_PER_TFLOPS_MILLI or None


@dataclass(frozen=True, slots=True)
class Claimed:
    class_id: str
    count: int
    tflops_milli: int | None


@dataclass(frozen=True, slots=True)
class Flag:
    """Something that an operator should not overlook; ``code`` is stable."""

    code: str
    text: Text

    def as_dict(self) -> dict[str, Any]:
        return {"code": self.code, **self.text.as_dict()}


@dataclass(frozen=True, slots=True)
class ClassEvidence:
    """``measured_share_ppm`` is the measured speed over the claimed one (the data sheet's where none was claimed)."""

    class_id: str | None
    kind: str
    name: Text
    claimed_count: int | None
    found_count: int
    healthy_count: int
    measured_count: int
    claimed_tflops_milli: int | None
    nominal_tflops_milli: int | None
    published_rate_udu_per_hour: int | None
    published_tflops_milli: int | None
    measured_tflops_milli: int | None
    measured_min_tflops_milli: int | None
    measured_share_ppm: int | None
    flags: tuple[Flag, ...]

    def as_dict(self) -> dict[str, Any]:
        plain = asdict(self)
        return {**plain, "name": self.name.as_dict(), "flags": [f.as_dict() for f in self.flags]}


def published_tflops_milli(rate_udu_per_hour: int) -> int:
    """The speed that a published rate stands for.

    >>> published_tflops_milli(1_000_000)
    312000
    """
    return rate_udu_per_hour * TFLOPS_MILLI_PER_DU_HOUR // UDU


def weigh(
    claims: Sequence[Claimed],
    devices: Sequence[FoundDevice],
    classes: Mapping[str, ClassSpeed],
    *,
    share_min_ppm: int,
) -> tuple[ClassEvidence, ...]:
    """One row a class, claimed or found; processors first, then by id. Memory has no speed and is left out."""
    found: dict[str, list[FoundDevice]] = {}
    unknown: dict[str, list[FoundDevice]] = {}
    for device in devices:
        if device.kind != "memory":
            group = found if device.class_id in classes else unknown
            group.setdefault(str(device.class_id if device.class_id in classes else device.name), []).append(device)
    claimed = {c.class_id: c for c in claims}
    ids = sorted(found.keys() | (claimed.keys() & classes.keys()), key=lambda i: (classes[i].kind != "cpu", i))
    rows = [
        _row(classes[i], claimed.get(i), found.get(i, []), any_claims=bool(claims), share_min_ppm=share_min_ppm)
        for i in ids
    ]
    return (*rows, *(_unknown_row(name, group) for name, group in sorted(unknown.items())))


def _row(
    facts: ClassSpeed, claim: Claimed | None, devices: Sequence[FoundDevice], *, any_claims: bool, share_min_ppm: int
) -> ClassEvidence:
    speeds = sorted(s for d in devices if (s := d.tflops_milli) is not None)
    accelerator = facts.kind == "accelerator"
    measured = median_low(speeds) if speeds and accelerator else None
    reference = (claim.tflops_milli if claim else None) or facts.nominal_tflops_milli
    share = measured * PPM // reference if measured is not None and reference and accelerator else None
    rate = facts.published_rate_udu_per_hour
    # Nodes report a processor as one device of many cores, so that its claims are not counted.
    count = claim.count if claim else (0 if any_claims and accelerator else None)
    row = ClassEvidence(
        class_id=facts.class_id, kind=facts.kind, name=facts.name, claimed_count=count if accelerator else None,
        found_count=len(devices), healthy_count=sum(d.health != "failed" for d in devices), measured_count=len(speeds),
        claimed_tflops_milli=claim.tflops_milli if claim else None, nominal_tflops_milli=facts.nominal_tflops_milli,
        published_rate_udu_per_hour=rate,
        published_tflops_milli=published_tflops_milli(rate) if rate is not None and accelerator else None,
        measured_tflops_milli=measured, measured_min_tflops_milli=speeds[0] if speeds and accelerator else None,
        measured_share_ppm=share, flags=(),
    )  # fmt: skip
    return _flagged(row, share_min_ppm) if accelerator else row


def _flagged(row: ClassEvidence, share_min_ppm: int) -> ClassEvidence:
    flags = []
    claimed, found = row.claimed_count, row.found_count
    if claimed is not None and found < claimed:
        told = Text(f"{claimed} claimed, {found} found", f"声明 {claimed} 个，实际发现 {found} 个")
        flags.append(Flag("missing", told))
    if claimed is not None and found > claimed:
        told = Text(f"{found} found, {claimed} claimed", f"实际发现 {found} 个，声明 {claimed} 个")
        flags.append(Flag("unclaimed", told))
    if row.healthy_count < found:
        broken = found - row.healthy_count
        flags.append(
            Flag("unhealthy", Text(f"{broken} of {found} report a failure", f"{found} 个中有 {broken} 个故障"))
        )
    if row.measured_count < found:
        left = found - row.measured_count
        told = Text(
            f"{left} of {found} not measured in FP16 or BF16", f"{found} 个中有 {left} 个没有 FP16/BF16 实测结果"
        )
        flags.append(Flag("not_measured", told))
    if row.measured_share_ppm is not None and row.measured_share_ppm < share_min_ppm:
        percent, least = row.measured_share_ppm // 10_000, share_min_ppm // 10_000
        told = Text(
            f"measured at {percent} % of what is claimed, below {least} %",
            f"实测仅为声明值的 {percent}%，低于 {least}%",
        )
        flags.append(Flag("shortfall", told))
    if row.published_rate_udu_per_hour is None:
        flags.append(Flag("unrated", Text("has no published rate: it cannot be sold", "没有公布费率，无法出售")))
    return replace(row, flags=tuple(flags))


def _unknown_row(name: str, devices: Sequence[FoundDevice]) -> ClassEvidence:
    told = Text(
        "the catalogue has no class for it: it is shown and not sold", "目录中没有对应的设备型号：仅展示，不出售"
    )
    healthy = sum(d.health != "failed" for d in devices)
    return ClassEvidence(
        class_id=None, kind=devices[0].kind, name=Text(name, name), claimed_count=None, found_count=len(devices),
        healthy_count=healthy, measured_count=0, claimed_tflops_milli=None, nominal_tflops_milli=None,
        published_rate_udu_per_hour=None, published_tflops_milli=None, measured_tflops_milli=None,
        measured_min_tflops_milli=None, measured_share_ppm=None, flags=(Flag("unknown_class", told),),
    )  # fmt: skip


BLOCKING = frozenset({"missing", "shortfall", "unhealthy"})


def open_flags(rows: Iterable[ClassEvidence]) -> list[dict[str, Any]]:
    """The flags that an operator has to accept by name before such a site is sold."""
    return [{"class_id": row.class_id, **flag.as_dict()} for row in rows for flag in row.flags if flag.code in BLOCKING]


def measured_factor_ppm(row: ClassEvidence) -> int:
    """The measured speed over the one that the published rate stands for, at most one. Raises ``InvalidInput`` where there
    is nothing to compare."""
    if row.published_tflops_milli is None or row.measured_tflops_milli is None:
        raise InvalidInput(
            Text(
                f"{row.name.en} has no published rate, or no FP16 or BF16 measurement, to set a price by.",
                f"{row.name.zh} 没有公布费率或 FP16/BF16 实测结果，无法按实测定价。",
            ),
            Text(
                "Have the site measured (its agent measures at its start), then try again.",
                "请先让站点完成测量（代理启动时会自动测量），然后重试。",
            ),
            code="nothing_measured",
        )
    return max(1, min(PPM, row.measured_tflops_milli * PPM // row.published_tflops_milli))
