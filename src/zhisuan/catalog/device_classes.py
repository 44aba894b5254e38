"""Device classes: what a card or a core is rated at, and which device names belong to it.

One 度 is 312 TFLOPS (FP16/BF16 dense) for one hour. A class carries its *nominal* peak (data sheet) and its *published*
rate (what bills use) as two fields; what a site measures is a third one and lives with the device. The table ships in
``catalog/data/device_classes.csv``; its README says where the figures come from.
"""

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, cast

from zhisuan.base.text import Text

TFLOPS_MILLI_PER_DU_HOUR = 312_000
RATE_STEP_UDU = 10_000

COLUMNS = (
    "class_id",
    "kind",
    "vendor",
    "model",
    "name_en",
    "name_zh",
    "memory_mib",
    "match_memory_mib_min",
    "match_memory_mib_max",
    "match_patterns",
    "example_name",
    "example_memory_mib",
    "nominal_fp16_tflops_milli",
    "published_rate_udu_per_hour",
    "rate_basis",
    "power_watts_rated",
    "embodied_kgco2e",
    "embodied_source",
    "confidence",
    "source",
    "note",
)
_REQUIRED = ("class_id", "kind", "vendor", "model", "name_en", "name_zh", "rate_basis", "confidence", "source")
_NUMBERS = (
    "memory_mib",
    "match_memory_mib_min",
    "match_memory_mib_max",
    "example_memory_mib",
    "nominal_fp16_tflops_milli",
    "published_rate_udu_per_hour",
    "power_watts_rated",
    "embodied_kgco2e",
)
_MATCHING = ("match_patterns", "match_memory_mib_min", "match_memory_mib_max", "example_name", "example_memory_mib")
_CHOICES = {
    "kind": ("cpu", "accelerator"),
    "rate_basis": ("reference-cloud", "nominal/312", "unrated"),
    "confidence": ("high", "medium", "low"),
}

Kind = Literal["cpu", "accelerator"]
RateBasis = Literal["reference-cloud", "nominal/312", "unrated"]
Confidence = Literal["high", "medium", "low"]


class DeviceClassTableError(ValueError):
    """The table is not valid; ``problems`` lists every fault as ``line N, column: what``."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("The device class table is not valid:\n" + "\n".join(f"  {p}" for p in self.problems))


class AmbiguousDevice(ValueError):
    """A device name fits several classes: the table (or an operator's own class) must be made narrower."""

    def __init__(self, name: str, memory_mib: int, class_ids: tuple[str, ...]) -> None:
        self.class_ids = class_ids
        super().__init__(
            f"{name!r} with {memory_mib} MiB fits the device classes {', '.join(class_ids)}: "
            "narrow their patterns or memory bounds so that one is left."
        )


@dataclass(frozen=True, slots=True)
class DeviceClass:
    """One class. ``None`` means not published or not confirmed, never zero.

    ``published_rate_udu_per_hour`` is 10⁻⁶ 度 per card-hour, or per core-hour for kind ``cpu``; without one the class
    cannot be sold until the operator sets a rate. ``power_watts_rated`` is per card or core. ``match_memory_mib`` is
    the inclusive range of memory that the vendor's tool reports, which is below the nominal size on many cards.
    """

    class_id: str
    kind: Kind
    vendor: str
    model: str
    name: Text
    memory_mib: int | None
    match_memory_mib: tuple[int, int] | None
    match_patterns: tuple[str, ...]
    example_name: str | None
    example_memory_mib: int | None
    nominal_fp16_tflops_milli: int | None
    published_rate_udu_per_hour: int | None
    rate_basis: RateBasis
    power_watts_rated: int | None
    embodied_kgco2e: int | None
    embodied_source: str
    confidence: Confidence
    source: str
    note: str

    @property
    def is_rated(self) -> bool:
        return self.published_rate_udu_per_hour is not None

    def matches(self, name: str, memory_mib: int) -> bool:
        """Whether a device of this reported name and memory belongs here; case and runs of blanks do not count."""
        if self.match_memory_mib is None:
            return False
        low, high = self.match_memory_mib
        plain = " ".join(name.split())
        return low <= memory_mib <= high and any(
            re.fullmatch(pattern, plain, re.IGNORECASE) for pattern in self.match_patterns
        )


def rate_from_nominal_udu(nominal_fp16_tflops_milli: int) -> int:
    """Nominal TFLOPS ÷ 312, cut down to whole 0.01 度, in 10⁻⁶ 度 per hour.

    >>> rate_from_nominal_udu(989_000)
    3160000
    """
    hundredths = nominal_fp16_tflops_milli * 100 // TFLOPS_MILLI_PER_DU_HOUR
    return hundredths * RATE_STEP_UDU


def match_class(name: str, memory_mib: int, classes: Iterable[DeviceClass]) -> str | None:
    """The class of a discovered accelerator by its reported name and memory.

    ``None`` means an unknown device: it is shown, and not sold until the operator classifies it. Raises
    ``AmbiguousDevice`` when more than one class fits.
    """
    fitting = tuple(c.class_id for c in classes if c.matches(name, memory_mib))
    if len(fitting) > 1:
        raise AmbiguousDevice(name, memory_mib, fitting)
    return fitting[0] if fitting else None


@cache
def load_device_classes() -> tuple[DeviceClass, ...]:
    """The shipped table in file order."""
    text = files("zhisuan.catalog").joinpath("data/device_classes.csv").read_text(encoding="utf-8")
    return parse_device_classes(text)


def parse_device_classes(text: str) -> tuple[DeviceClass, ...]:
    """The classes of a table. Raises ``DeviceClassTableError`` with every fault there is."""
    rows = list(csv.reader(io.StringIO(text)))
    if not rows or tuple(rows[0]) != COLUMNS:
        raise DeviceClassTableError([f"line 1: the columns must be {', '.join(COLUMNS)}"])
    problems: list[str] = []
    classes: list[DeviceClass] = []
    lines: dict[str, int] = {}
    for number, values in enumerate(rows[1:], start=2):
        if len(values) != len(COLUMNS):
            problems.append(f"line {number}: {len(values)} values instead of {len(COLUMNS)}")
            continue
        row = dict(zip(COLUMNS, (value.strip() for value in values), strict=True))
        faults = _faults(row)
        if row["class_id"] in lines:
            faults.append(f"class_id: {row['class_id']} is also on line {lines[row['class_id']]}")
        lines.setdefault(row["class_id"], number)
        problems += [f"line {number}, {fault}" for fault in faults]
        if not faults:
            classes.append(_build(row))
    if not problems:
        overlaps = ((c, fault) for c in classes for fault in _overlap(c, classes))
        problems = [f"line {lines[c.class_id]}, example_name: {fault}" for c, fault in overlaps]
    if problems:
        raise DeviceClassTableError(problems)
    return tuple(classes)


def _faults(row: dict[str, str]) -> list[str]:
    faults = [f"{column}: must not be empty" for column in _REQUIRED if not row[column]]
    if row["class_id"] and not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", row["class_id"]):
        faults.append("class_id: lower-case letters, digits and single hyphens only")
    for column, choices in _CHOICES.items():
        if row[column] and row[column] not in choices:
            faults.append(f"{column}: {row[column]!r} is not one of {', '.join(choices)}")
    bad_numbers = [column for column in _NUMBERS if row[column] and not re.fullmatch(r"[1-9][0-9]*", row[column])]
    faults += [f"{column}: {row[column]!r} is not a positive whole number" for column in bad_numbers]
    faults += _pattern_faults(row)
    if not bad_numbers:
        faults += _matching_faults(row) + _rate_faults(row)
    if bool(row["embodied_kgco2e"]) != bool(row["embodied_source"]):
        faults.append("embodied_source: a figure needs its source, and a source its figure")
    return faults


def _pattern_faults(row: dict[str, str]) -> list[str]:
    faults = []
    for pattern in _patterns(row):
        try:
            re.compile(pattern)
        except re.error as error:
            faults.append(f"match_patterns: {pattern!r} is not a regular expression: {error}")
    return faults


def _matching_faults(row: dict[str, str]) -> list[str]:
    given = [column for column in _MATCHING if row[column]]
    if row["kind"] == "cpu":
        return [f"{column}: must be empty for kind cpu" for column in ("memory_mib", *_MATCHING) if row[column]]
    faults = [] if row["memory_mib"] else ["memory_mib: an accelerator needs its memory"]
    if not given:
        return faults
    faults += [f"{column}: needed where a class is matched by name" for column in _MATCHING if column not in given]
    if not faults and int(row["match_memory_mib_min"]) > int(row["match_memory_mib_max"]):
        faults.append("match_memory_mib_min: is above match_memory_mib_max")
    return faults


def _rate_faults(row: dict[str, str]) -> list[str]:
    basis, rate, nominal = row["rate_basis"], row["published_rate_udu_per_hour"], row["nominal_fp16_tflops_milli"]
    if basis == "unrated" and rate:
        return ["published_rate_udu_per_hour: must be empty where rate_basis is unrated"]
    if basis == "reference-cloud" and not rate:
        return ["published_rate_udu_per_hour: needed where rate_basis is reference-cloud"]
    if basis == "nominal/312":
        if not nominal or row["confidence"] == "low":
            return ["rate_basis: nominal/312 needs a nominal peak of high or medium confidence"]
        expected = rate_from_nominal_udu(int(nominal))
        if rate != str(expected):
            return [f"published_rate_udu_per_hour: nominal/312 gives {expected}"]
    return []


def _patterns(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(pattern.strip() for pattern in row["match_patterns"].split(";") if pattern.strip())


def _overlap(device_class: DeviceClass, classes: list[DeviceClass]) -> list[str]:
    """A class that can be matched must claim its own example, alone."""
    name, memory = device_class.example_name, device_class.example_memory_mib
    if name is None or memory is None:
        return []
    fitting = [c.class_id for c in classes if c.matches(name, memory)]
    if fitting == [device_class.class_id]:
        return []
    return [f"{name!r} with {memory} MiB fits {', '.join(fitting) or 'no class'}, not {device_class.class_id} alone"]


def _build(row: dict[str, str]) -> DeviceClass:
    number = {column: int(row[column]) if row[column] else None for column in _NUMBERS}
    low, high = number["match_memory_mib_min"], number["match_memory_mib_max"]
    return DeviceClass(
        class_id=row["class_id"],
        kind=cast(Kind, row["kind"]),
        vendor=row["vendor"],
        model=row["model"],
        name=Text(row["name_en"], row["name_zh"]),
        memory_mib=number["memory_mib"],
        match_memory_mib=None if low is None or high is None else (low, high),
        match_patterns=_patterns(row),
        example_name=row["example_name"] or None,
        example_memory_mib=number["example_memory_mib"],
        nominal_fp16_tflops_milli=number["nominal_fp16_tflops_milli"],
        published_rate_udu_per_hour=number["published_rate_udu_per_hour"],
        rate_basis=cast(RateBasis, row["rate_basis"]),
        power_watts_rated=number["power_watts_rated"],
        embodied_kgco2e=number["embodied_kgco2e"],
        embodied_source=row["embodied_source"],
        confidence=cast(Confidence, row["confidence"]),
        source=row["source"],
        note=row["note"],
    )
