"""Amounts, times and sizes as people read them: exact, with their units."""

from datetime import datetime

from zhisuan.base.clock import SHANGHAI
from zhisuan.base.money import decimal_text

NONE = "–"


def yuan(ucny: int | None) -> str:
    """Without a sign of currency, for a column that says yuan."""
    return NONE if ucny is None else decimal_text(ucny, 6, at_least=2)


def cny(ucny: int | None) -> str:
    return NONE if ucny is None else ("-¥" if ucny < 0 else "¥") + decimal_text(abs(ucny), 6, at_least=2)


def fen(amount: int | None) -> str:
    return NONE if amount is None else decimal_text(amount, 2, at_least=2)


def cny_fen(amount: int | None) -> str:
    return NONE if amount is None else ("-¥" if amount < 0 else "¥") + decimal_text(abs(amount), 2, at_least=2)


def du(udu: int | None) -> str:
    return NONE if udu is None else decimal_text(udu, 6)


def price_per_du(e8: int | None) -> str:
    return NONE if e8 is None else f"¥{decimal_text(e8, 8, at_least=2)}/度"


def milli(value: int | None) -> str:
    return NONE if value is None else decimal_text(value, 3)


def grams(ug: int | None) -> str:
    """10⁻⁶ g as grams."""
    return NONE if ug is None else decimal_text(ug, 6)


def kwh(uwh: int | None) -> str:
    """10⁻⁶ Wh as kWh."""
    return NONE if uwh is None else decimal_text(uwh, 9)


def tflops(mflops: int | None) -> str:
    return NONE if mflops is None else decimal_text(mflops, 6)


def percent(ppm: int | None) -> str:
    return NONE if ppm is None else f"{decimal_text(ppm // 1000, 1)}%"


def count(value: int | None) -> str:
    return NONE if value is None else str(value)


def time_of_day(at: datetime | None) -> str:
    """Asia/Shanghai without its zone, for a column that names it."""
    return NONE if at is None else at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


def moment(at: datetime | None) -> str:
    """Asia/Shanghai with its zone."""
    return NONE if at is None else time_of_day(at) + " UTC+8"


def minute(at: datetime) -> str:
    return at.astimezone(SHANGHAI).strftime("%H:%M:%S")


def milliseconds(us: int | None) -> str:
    return NONE if us is None else f"{us // 1000}.{us % 1000:03d} ms"
