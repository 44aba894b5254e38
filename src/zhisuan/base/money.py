"""Exact money and quantities: whole numbers of a small unit, one rounding where a rule says so.

Money is 10⁻⁶ yuan (``ucny``), a compute quantity 10⁻⁶ 度 (``udu``), a unit price 10⁻⁸ yuan (``e8``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

UCNY_PER_YUAN = 1_000_000
UCNY_PER_FEN = 10_000
UDU_PER_DU = 1_000_000
E8_PER_UCNY = 100


def div_half_even(numerator: int, denominator: int) -> int:
    """``numerator / denominator`` rounded half to even; the denominator is positive."""
    if denominator <= 0:
        raise ValueError("the denominator must be positive")
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and quotient % 2):
        quotient += 1
    return quotient


def div_half_up(numerator: int, denominator: int) -> int:
    """``numerator / denominator`` rounded half away from zero; the denominator is positive."""
    if denominator <= 0:
        raise ValueError("the denominator must be positive")
    sign = -1 if numerator < 0 else 1
    return sign * ((2 * abs(numerator) + denominator) // (2 * denominator))


def split_exactly(total: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Split ``total`` by ``weights`` with the largest-remainder rule; the parts sum to ``total`` exactly.

    Ties go to the earlier part; a negative total gives the negatives of the positive split. Raises ``ValueError`` on no
    weights, a negative weight, or weights that sum to zero while there is something to split.
    """
    if not weights or any(w < 0 for w in weights):
        raise ValueError("weights must be given and must not be negative")
    weight_sum = sum(weights)
    if weight_sum == 0:
        if total:
            raise ValueError("nothing to split by: the weights sum to zero")
        return tuple(0 for _ in weights)
    sign, magnitude = (-1, -total) if total < 0 else (1, total)
    parts = [magnitude * w // weight_sum for w in weights]
    rests = [magnitude * w % weight_sum for w in weights]
    left = magnitude - sum(parts)
    for index in sorted(range(len(weights)), key=lambda i: (-rests[i], i))[:left]:
        parts[index] += 1
    return tuple(sign * part for part in parts)


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An amount of yuan in whole 10⁻⁶ yuan."""

    ucny: int

    @classmethod
    def yuan(cls, text: str | int) -> "Money":
        """From a decimal string such as ``"18.00"``; more than six places is an error, never rounded."""
        scaled = Decimal(text) * UCNY_PER_YUAN
        if scaled != scaled.to_integral_value():
            raise ValueError(f"{text} yuan has more than six decimal places")
        return cls(int(scaled))

    def __add__(self, other: "Money") -> "Money":
        return Money(self.ucny + other.ucny)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.ucny - other.ucny)

    def __neg__(self) -> "Money":
        return Money(-self.ucny)

    def to_fen(self) -> int:
        """Whole fen, half up: the one rounding of an invoice."""
        return div_half_up(self.ucny, UCNY_PER_FEN)

    def __str__(self) -> str:
        return decimal_text(self.ucny, 6, at_least=2)


def decimal_text(value: int, places: int, *, at_least: int = 0) -> str:
    """``value × 10^-places`` written out exactly, trailing zeros cut down to ``at_least`` places."""
    sign, digits = ("-", -value) if value < 0 else ("", value)
    whole, part = divmod(digits, 10**places)
    fraction = str(part).rjust(places, "0").rstrip("0").ljust(at_least, "0") if places else ""
    return f"{sign}{whole}{'.' + fraction if fraction else ''}"


def cost_ucny(quantity_udu: int, price_e8_per_du: int) -> int:
    """The price of a quantity in 10⁻⁶ yuan, half-even: ``udu·10⁻⁶ × e8·10⁻⁸`` yuan."""
    return div_half_even(quantity_udu * price_e8_per_du, UDU_PER_DU * E8_PER_UCNY)
