"""Figures for people, exact: whole numbers in, text out, no float on the way.

A rounded figure is only ever shown where its exact value stands beside it (as the tooltip).
"""

from datetime import datetime

from zhisuan.base.clock import SHANGHAI
from zhisuan.base.money import UCNY_PER_FEN, decimal_text, div_half_even
from zhisuan.console.speech import Language

ZONE = "UTC+8"
UWH_PER_KWH = 10**9
UG_PER_KG = 10**9
UG_PER_TONNE = 10**12
GIB = 1024


def grouped(number: str) -> str:
    """A decimal text with its whole part in groups of three."""
    sign, digits = ("-", number[1:]) if number.startswith("-") else ("", number)
    whole, dot, part = digits.partition(".")
    groups: list[str] = []
    while len(whole) > 3:
        whole, last = whole[:-3], whole[-3:]
        groups.insert(0, last)
    return sign + ",".join([whole, *groups]) + dot + part


def rounded(value: int, places: int, keep: int) -> str:
    """``value × 10^-places`` to ``keep`` places, half to even."""
    if keep >= places:
        return grouped(decimal_text(value, places))
    return grouped(decimal_text(div_half_even(value, 10 ** (places - keep)), keep))


def count(value: int) -> str:
    return grouped(str(value))


def yuan(ucny: int) -> str:
    """Exact: to the fen where it is whole fen, such as ``¥1,234.50``, else all six places, such as ``¥64.998000``: three
    places would read as thousands."""
    text = grouped(decimal_text(abs(ucny), 6, at_least=6 if ucny % UCNY_PER_FEN else 2))
    return f"-¥{text}" if ucny < 0 else f"¥{text}"


def fen(value: int) -> str:
    text = grouped(decimal_text(abs(value), 2, at_least=2))
    return f"-¥{text}" if value < 0 else f"¥{text}"


def price(e8_per_du: int) -> str:
    """The price of one 度, such as ``¥2.00``."""
    return f"¥{grouped(decimal_text(e8_per_du, 8, at_least=2))}"


def du(udu: int) -> str:
    """Exact 度 without the unit."""
    return grouped(decimal_text(udu, 6))


def du_unit(udu: int) -> str:
    return f"{du(udu)} 度"


def du_chart(udu: int) -> str:
    """A decimal text that a chart reads as a number."""
    return decimal_text(udu, 6)


def percent(ppm: int, keep: int = 1) -> str:
    return f"{rounded(ppm, 4, keep)}%"


def share_ppm(part: int, whole: int) -> int:
    """``part / whole`` in parts per million, within 0 … 1,000,000; an empty whole has no share."""
    return max(0, min(1_000_000, part * 1_000_000 // whole)) if whole > 0 else 0


def tflops(mflops: int) -> str:
    """Measured speed: 10⁶ operations a second in, TFLOPS out, or GFLOPS below one TFLOPS."""
    return f"{rounded(mflops, 6, 3)} TFLOPS" if mflops >= 10**6 else f"{rounded(mflops, 3, 3)} GFLOPS"


def tflops_of_milli(milli: int) -> str:
    return grouped(decimal_text(milli, 3))


def memory(mib: int) -> str:
    if mib < GIB:
        return f"{mib} MiB"
    return f"{rounded(mib * 1000 // GIB, 3, 1)} GiB"


def bytes_text(size: int) -> str:
    if size < 1024:
        return f"{size} B"
    for unit, scale in (("KiB", 1024), ("MiB", 1024**2), ("GiB", 1024**3), ("TiB", 1024**4)):
        if size < scale * 1024 or unit == "TiB":
            return f"{rounded(size * 1000 // scale, 3, 1)} {unit}"
    raise AssertionError("every size has a unit")


def amount(kind: str, value: int) -> str:
    """A device's capacity or an allocation in the unit of its kind: milli-cores, MiB or milli-cards."""
    return memory(value) if kind == "memory" else grouped(decimal_text(value, 3))


def energy(uwh: int) -> str:
    """10⁻⁶ Wh in, Wh or kWh out, to three places."""
    return f"{rounded(uwh, 9, 3)} kWh" if abs(uwh) >= UWH_PER_KWH else f"{rounded(uwh, 6, 3)} Wh"


def energy_exact(uwh: int) -> str:
    return f"{decimal_text(uwh, 9)} kWh"


def carbon(ug: int) -> str:
    """10⁻⁶ g in, g, kg or t of CO₂ out, to three places."""
    if abs(ug) >= UG_PER_TONNE:
        return f"{rounded(ug, 12, 3)} tCO₂"
    return f"{rounded(ug, 9, 3)} kgCO₂" if abs(ug) >= UG_PER_KG else f"{rounded(ug, 6, 3)} gCO₂"


def carbon_exact(ug: int) -> str:
    return f"{decimal_text(ug, 6)} gCO₂"


def duration(seconds: int, language: Language) -> str:
    """``1 小时 02 分`` or ``1h 02m``: the two largest units that are not zero at the top."""
    day, hour, minute, second = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60, seconds % 60
    d, h, m, s = ("d", "h", "m", "s") if language == "en" else (" 天", " 小时", " 分", " 秒")
    if day:
        return f"{day}{d} {hour}{h}"
    if hour:
        return f"{hour}{h} {minute:02}{m}"
    if minute:
        return f"{minute}{m} {second:02}{s}"
    return f"{second}{s}"


def moment(text: str | None) -> str:
    """A time of the API in Asia/Shanghai: ``2026-08-02 14:03:22``; the zone stands in the heading or is added."""
    if not text:
        return "–"
    return datetime.fromisoformat(text).astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


def moment_zoned(text: str | None) -> str:
    return f"{moment(text)} ({ZONE})" if text else "–"


def short_moment(text: str | None) -> str:
    """Month, day and minute, for lists."""
    return moment(text)[5:16] if text else "–"


def short_id(ident: str) -> str:
    """The prefix and the last six characters of an id, whose first ones are time and look alike; the head of a digest."""
    head, _, tail = ident.partition("_")
    if not tail:
        return f"{ident[:12]}…" if len(ident) > 16 else ident
    return f"{head}_…{tail[-6:]}" if len(tail) > 10 else ident
