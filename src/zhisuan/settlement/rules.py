"""How the value of an invoice's use is divided: to the fen, exactly, whatever the order the uses come in.

The value of all uses is rounded to whole fen once, half up (half away from zero). That total is split by largest
remainder over the providers in the order of their ids and then the platform, by the whole-number weights
``value × (10⁶ − fee)`` and ``value × fee``. The platform's part is split again over the providers it comes from, and each
provider's parts over the lines, so every figure of every statement is a part of the same total.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from zhisuan.base.money import UCNY_PER_FEN, div_half_up, split_exactly

PPM = 1_000_000
WEIGHT_PER_FEN = UCNY_PER_FEN * PPM


@dataclass(frozen=True, slots=True, order=True)
class Use:
    """What one lease contributed to one invoice line at one fee; negative where credits outweigh charges."""

    provider_id: str
    line_id: str
    lease_id: str
    kind: str
    platform_fee_ppm: int
    seconds: int
    tokens: int
    quantity_udu: int
    value_ucny: int

    @property
    def provider_weight(self) -> int:
        return self.value_ucny * (PPM - self.platform_fee_ppm)

    @property
    def platform_weight(self) -> int:
        return self.value_ucny * self.platform_fee_ppm


@dataclass(frozen=True, slots=True)
class LinePart:
    """A use with what its provider gets and what the platform keeps, in fen."""

    use: Use
    payable_fen: int
    fee_fen: int


@dataclass(frozen=True, slots=True)
class ProviderPart:
    """One provider's part of an invoice; the lines sum to it exactly."""

    provider_id: str
    value_ucny: int
    payable_fen: int
    fee_fen: int
    lines: tuple[LinePart, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """The division of one invoice's use: what providers get and the platform's fee sum to ``total_fen``."""

    value_ucny: int
    total_fen: int
    platform_fen: int
    providers: tuple[ProviderPart, ...]

    @property
    def rounding_ucny(self) -> int:
        """Value left over (or, negative, added) by rounding to whole fen; at most half a fen."""
        return self.value_ucny - self.total_fen * UCNY_PER_FEN


def split_use(uses: Iterable[Use]) -> Split:
    """Divide the uses of one invoice. Raises ``ValueError`` for a fee outside 0 to 10⁶ ppm."""
    ordered = sorted(uses)
    for use in ordered:
        if not 0 <= use.platform_fee_ppm <= PPM:
            raise ValueError(f"the fee of line {use.line_id} is {use.platform_fee_ppm} ppm, outside 0 to {PPM}")
    if not ordered:
        return Split(0, 0, 0, ())
    value_ucny = sum(use.value_ucny for use in ordered)
    total_fen = div_half_up(value_ucny, UCNY_PER_FEN)
    groups = [tuple(group) for _, group in groupby(ordered, key=lambda use: use.provider_id)]
    earned = [sum(use.provider_weight for use in group) for group in groups]
    fees = [sum(use.platform_weight for use in group) for group in groups]
    *payable, platform_fen = split_signed(total_fen, [*earned, sum(fees)], WEIGHT_PER_FEN)
    fee_fen = split_signed(platform_fen, fees, WEIGHT_PER_FEN)
    return Split(
        value_ucny=value_ucny,
        total_fen=total_fen,
        platform_fen=platform_fen,
        providers=tuple(map(_provider_part, groups, payable, fee_fen)),
    )


def _provider_part(uses: tuple[Use, ...], payable_fen: int, fee_fen: int) -> ProviderPart:
    payable = split_signed(payable_fen, [use.provider_weight for use in uses], WEIGHT_PER_FEN)
    fees = split_signed(fee_fen, [use.platform_weight for use in uses], WEIGHT_PER_FEN)
    return ProviderPart(
        provider_id=uses[0].provider_id,
        value_ucny=sum(use.value_ucny for use in uses),
        payable_fen=payable_fen,
        fee_fen=fee_fen,
        lines=tuple(map(LinePart, uses, payable, fees)),
    )


def split_signed(total: int, weights: Sequence[int], weight_per_unit: int) -> tuple[int, ...]:
    """Split ``total`` by weights of either sign; ``weight / weight_per_unit`` is a part's exact amount.

    Weights of one sign: the largest-remainder rule. Of both signs (credits beside charges): the heavier side is rounded
    to whole units, the other takes the rest, and each is split by that rule; no credit ever becomes a payment.
    """
    gains = [max(weight, 0) for weight in weights]
    losses = [max(-weight, 0) for weight in weights]
    gain, loss = sum(gains), sum(losses)
    if not loss:
        return split_exactly(total, gains)
    if not gain:
        return split_exactly(total, losses)
    if gain >= loss:
        up = max(div_half_up(gain, weight_per_unit), total)
    else:
        up = total - min(-div_half_up(loss, weight_per_unit), total)
    ups, downs = split_exactly(up, gains), split_exactly(total - up, losses)
    return tuple(plus + minus for plus, minus in zip(ups, downs, strict=True))
