"""The processor, from ``/proc/cpuinfo`` and ``/sys/devices/system/cpu`` (proc(5), kernel ``cputopology.rst``)."""

import re
from dataclasses import dataclass

from zhisuan.site.discovery.reader import HostReader

# Instruction sets that decide what numeric work runs well; the rest of some hundred flags tells a scheduler nothing.
NUMERIC_FLAGS = (
    "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16",
    "avx_vnni", "amx_tile", "amx_bf16", "amx_fp16", "amx_int8",
    "asimd", "asimdhp", "asimddp", "sve", "sve2", "i8mm", "bf16", "sme",
    "lsx", "lasx",
)  # fmt: skip

# "CPU implementer" of Arm processors: Linux ``arch/arm64/include/asm/cputype.h``.
_ARM_IMPLEMENTERS = {
    0x41: "Arm",
    0x48: "HiSilicon",
    0x4E: "NVIDIA",
    0x50: "Applied Micro",
    0x61: "Apple",
    0x70: "Phytium",
    0xC0: "Ampere",
}
# "CPU part", same header; a model name for machines whose kernel gives none.
_ARM_PARTS = {
    (0x48, 0xD01): "Kunpeng 920 (TaiShan v110)",
    (0x48, 0xD02): "Kunpeng (TaiShan v120)",
    (0x41, 0xD0C): "Neoverse N1",
    (0x41, 0xD40): "Neoverse V1",
    (0x41, 0xD49): "Neoverse N2",
    (0x41, 0xD4F): "Neoverse V2",
    (0x70, 0x662): "FTC662",
    (0x70, 0x663): "FTC663",
}
_X86_VENDORS = {
    "GenuineIntel": "Intel",
    "AuthenticAMD": "AMD",
    "HygonGenuine": "Hygon",
    "CentaurHauls": "Zhaoxin",
    "  Shanghai  ": "Zhaoxin",
}
_CPU_FOLDER = re.compile(r"cpu\d+")
_SYS = "/sys/devices/system/cpu"


@dataclass(frozen=True, slots=True)
class Processor:
    """Identity and layout; ``None`` where the kernel does not say."""

    model: str
    vendor: str
    sockets: int | None
    cores_physical: int | None
    flags: tuple[str, ...]


def parse_records(cpuinfo: str) -> tuple[dict[str, str], ...]:
    """The blank-line separated records of ``/proc/cpuinfo``; keys in lower case."""
    records = []
    for block in re.split(r"\n\s*\n", cpuinfo):
        record = {}
        for line in block.splitlines():
            key, separator, value = line.partition(":")
            if separator:
                # Only the one blank after the colon is layout: a vendor's name may begin with blanks itself.
                record[key.strip().lower()] = value.removeprefix(" ")
        if record:
            records.append(record)
    return tuple(records)


def read_processor(reader: HostReader) -> Processor:
    records = parse_records(reader.read_text("/proc/cpuinfo") or "")
    model, vendor = identify(records)
    layout = _layout_from_sys(reader) or _layout_from_records(records)
    sockets, cores = layout if layout else (None, None)
    return Processor(model, vendor, sockets, cores, numeric_flags(records))


def identify(records: tuple[dict[str, str], ...]) -> tuple[str, str]:
    """``(model, vendor)`` as people call them; ``"unknown"`` where nothing says."""
    first: dict[str, str] = {}
    for record in records:
        first = {**record, **first}
    vendor_text = first.get("vendor_id", "")
    vendor = _X86_VENDORS.get(vendor_text, vendor_text.strip())
    model = " ".join((first.get("model name") or first.get("cpu model") or "").split())
    implementer, part = _hex(first.get("cpu implementer")), _hex(first.get("cpu part"))
    if implementer is not None:
        vendor = vendor or _ARM_IMPLEMENTERS.get(implementer, f"Arm implementer {implementer:#04x}")
        model = model or _ARM_PARTS.get((implementer, part or 0), f"{vendor} part {part or 0:#05x}")
    return model or "unknown", vendor or "unknown"


def _hex(text: str | None) -> int | None:
    try:
        return None if text is None else int(text.strip(), 16)
    except ValueError:
        return None


def numeric_flags(records: tuple[dict[str, str], ...]) -> tuple[str, ...]:
    """The numeric instruction sets that every core has, in the order of ``NUMERIC_FLAGS``."""
    sets = [set((record.get("flags") or record.get("features") or "").split()) for record in records]
    listed = [flags for flags in sets if flags]
    common = set.intersection(*listed) if listed else set()
    return tuple(flag for flag in NUMERIC_FLAGS if flag in common)


def _layout_from_sys(reader: HostReader) -> tuple[int, int] | None:
    """``(sockets, physical cores)`` from the kernel's topology folders of the processors that are on line."""
    seen: set[tuple[str, str]] = set()
    for name in reader.list_dir(_SYS):
        if _CPU_FOLDER.fullmatch(name):
            package = reader.read_text(f"{_SYS}/{name}/topology/physical_package_id")
            # Arm numbers cores from 0 in every cluster: siblings, not the core number, tell cores apart.
            core = reader.read_text(f"{_SYS}/{name}/topology/thread_siblings_list")
            if package is not None and core is not None:
                seen.add((package.strip(), core.strip()))
    if not seen:
        return None
    return len({package for package, _ in seen}), len(seen)


def _layout_from_records(records: tuple[dict[str, str], ...]) -> tuple[int, int] | None:
    pairs = {
        (record["physical id"].strip(), record["core id"].strip())
        for record in records
        if "physical id" in record and "core id" in record
    }
    if not pairs:
        return None
    return len({package for package, _ in pairs}), len(pairs)
