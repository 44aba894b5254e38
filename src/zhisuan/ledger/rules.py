"""Which purse pays for what, and the exact amounts. Pure; times are whole seconds since 1970."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from zhisuan.base.money import E8_PER_UCNY, UCNY_PER_FEN, UDU_PER_DU, cost_ucny, div_half_up
from zhisuan.catalog.price_book import DedicatedTokens
from zhisuan.usage.rules import span_quantity_udu

Purse = Literal["free", "pack", "wallet", "arrears"]

TOKENS_PER_MILLION = 1_000_000
PPM = 1_000_000
BOUNDLESS_UDU = 2**62


class Slice(NamedTuple):
    """The part of a charge that one purse paid. ``value_ucny`` is what providers are paid on, ``cash_ucny`` what the
    tenant pays in yuan."""

    purse: Purse
    grant_id: str | None
    quantity_udu: int
    value_ucny: int
    cash_ucny: int


class Terms(NamedTuple):
    """What a lease is rated by: its hourly rate, where its time starts, the price of its quote, and the share of that
    price which the platform pays providers for free 度."""

    rate_udu_per_hour: int
    active_from: int
    price_e8_per_du: int
    free_value_ppm: int


@dataclass(slots=True)
class PaidTotal:
    """度 of one lease and kind of charge that wallet and arrears have paid for so far, what that cost at the lease's price,
    and its tokens in 10⁻¹² 度."""

    paid_udu: int
    paid_ucny: int
    token_udu_e6: int

    @classmethod
    def after(cls, paid_udu: int, token_udu_e6: int, price_e8_per_du: int) -> "PaidTotal":
        return cls(paid_udu, cost_ucny(paid_udu, price_e8_per_du), token_udu_e6)


@dataclass(slots=True)
class GrantState:
    """A grant while a batch is rated: ``left_udu`` and ``deferred_ucny`` go down as it is used."""

    id: str
    priority: int
    starts_at: int
    expires_at: int | None
    created_at: int
    quantity_udu: int
    paid_ucny: int
    left_udu: int
    deferred_ucny: int

    @property
    def is_gifted(self) -> bool:
        return self.paid_ucny == 0


def burn_order(grants: Iterable[GrantState]) -> list[GrantState]:
    """Priority, then expiry (none last), then gifted before paid, then created, then id."""
    return sorted(
        grants,
        key=lambda g: (g.priority, g.expires_at is None, g.expires_at or 0, not g.is_gifted, g.created_at, g.id),
    )


def affordable_udu(paid_udu: int, money_ucny: int, price_e8_per_du: int) -> int:
    """The most 度 that ``money_ucny`` buys after ``paid_udu`` have been bought, with the cumulative rounding."""
    if price_e8_per_du == 0:
        return BOUNDLESS_UDU
    limit = cost_ucny(paid_udu, price_e8_per_du) + money_ucny
    most = (2 * limit + 1) * UDU_PER_DU * E8_PER_UCNY // (2 * price_e8_per_du)
    while cost_ucny(most, price_e8_per_du) > limit:
        most -= 1
    return max(0, most - paid_udu)


def token_udu_e6(prices: DedicatedTokens, input_tokens: int, cached_input_tokens: int, output_tokens: int) -> int:
    """10⁻¹² 度 of one model call: exact, so that many small calls come to the same as one large one."""
    return (
        (input_tokens - cached_input_tokens) * prices.input_udu_per_million
        + cached_input_tokens * prices.cached_input_udu_per_million
        + output_tokens * prices.output_udu_per_million
    )


class Purses:
    """The purses of one organisation while a batch is rated: grants in burn order, then the wallet, then arrears.

    ``pay`` must be called in the order the use happened. Nothing is paid from a grant outside
    ``[starts_at, expires_at)``: a span that crosses such an instant is cut there.
    """

    def __init__(self, grants: Iterable[GrantState], wallet_ucny: int) -> None:
        self._grants = [grant for grant in burn_order(grants) if grant.left_udu > 0]
        edges = {g.starts_at for g in self._grants} | {g.expires_at for g in self._grants if g.expires_at is not None}
        self._edges = sorted(edges)
        self.wallet_ucny = wallet_ucny
        self.wallet_paid_ucny = 0
        self.arrears_ucny = 0
        self.free_value_ucny = 0
        self.on_demand_udu = 0

    def pay(self, start: int, end: int, quantity_udu: int, terms: Terms, total: PaidTotal) -> list[Slice]:
        """Take ``quantity_udu``, used in ``[start, end)`` (or at ``start`` when both are equal), out of the purses.

        Quantities of the slices sum to ``quantity_udu``. ``total`` goes on with what wallet and arrears paid.
        """
        if quantity_udu == 0:
            return []
        slices: list[Slice] = []
        at = bisect_right(self._edges, start)
        while at < len(self._edges) and self._edges[at] < end:
            edge = self._edges[at]
            part = min(quantity_udu, span_quantity_udu(terms.rate_udu_per_hour, terms.active_from, start, edge))
            self._pay_part(start, part, terms, total, slices)
            start, quantity_udu, at = edge, quantity_udu - part, at + 1
        self._pay_part(start, quantity_udu, terms, total, slices)
        return slices if len(slices) < 2 else _joined(slices)

    def _pay_part(self, at: int, quantity_udu: int, terms: Terms, total: PaidTotal, slices: list[Slice]) -> None:
        if self._grants:
            quantity_udu = self._from_grants(at, quantity_udu, terms, slices)
        if quantity_udu:
            self._from_wallet(quantity_udu, terms.price_e8_per_du, total, slices)

    def _from_grants(self, at: int, quantity_udu: int, terms: Terms, slices: list[Slice]) -> int:
        emptied = False
        for grant in self._grants:
            if quantity_udu == 0:
                break
            if at < grant.starts_at or (grant.expires_at is not None and at >= grant.expires_at):
                continue
            taken = min(quantity_udu, grant.left_udu)
            slices.append(self._burn(grant, taken, terms))
            quantity_udu -= taken
            emptied = emptied or grant.left_udu == 0
        if emptied:
            self._grants = [grant for grant in self._grants if grant.left_udu > 0]
        return quantity_udu

    def _burn(self, grant: GrantState, taken_udu: int, terms: Terms) -> Slice:
        before = grant.quantity_udu - grant.left_udu
        after = before + taken_udu
        grant.left_udu -= taken_udu
        if grant.is_gifted:
            share = terms.price_e8_per_du * terms.free_value_ppm
            scale = UDU_PER_DU * E8_PER_UCNY * PPM
            value = after * share // scale - before * share // scale
            self.free_value_ucny += value
            return Slice("free", grant.id, taken_udu, value, 0)
        recognised = grant.paid_ucny - grant.deferred_ucny
        value = max(0, grant.paid_ucny * after // grant.quantity_udu - recognised)
        grant.deferred_ucny -= value
        return Slice("pack", grant.id, taken_udu, value, 0)

    def _from_wallet(self, quantity_udu: int, price_e8_per_du: int, total: PaidTotal, slices: list[Slice]) -> None:
        paid_ucny = cost_ucny(total.paid_udu + quantity_udu, price_e8_per_du)
        cost = paid_ucny - total.paid_ucny
        if cost <= self.wallet_ucny:
            slices.append(Slice("wallet", None, quantity_udu, cost, cost))
            self.wallet_ucny -= cost
            self.wallet_paid_ucny += cost
        else:
            self._from_arrears(quantity_udu, cost, price_e8_per_du, total, slices)
        self.on_demand_udu += quantity_udu
        total.paid_udu += quantity_udu
        total.paid_ucny = paid_ucny

    def _from_arrears(
        self, quantity_udu: int, cost: int, price_e8_per_du: int, total: PaidTotal, slices: list[Slice]
    ) -> None:
        """The wallet pays as far as it goes; the rest is owed."""
        covered = affordable_udu(total.paid_udu, self.wallet_ucny, price_e8_per_du)
        covered_cost = cost_ucny(total.paid_udu + covered, price_e8_per_du) - total.paid_ucny
        if covered:
            slices.append(Slice("wallet", None, covered, covered_cost, covered_cost))
        owed = cost - covered_cost
        slices.append(Slice("arrears", None, quantity_udu - covered, owed, owed))
        self.wallet_ucny -= covered_cost
        self.wallet_paid_ucny += covered_cost
        self.arrears_ucny += owed


def _joined(slices: Sequence[Slice]) -> list[Slice]:
    """Slices of one purse as one, in the order in which the purses were first used."""
    by_purse: dict[tuple[Purse, str | None], Slice] = {}
    for s in slices:
        key = (s.purse, s.grant_id)
        known = by_purse.get(key)
        by_purse[key] = s if known is None else Slice(*key, *(a + b for a, b in zip(known[2:], s[2:], strict=True)))
    return list(by_purse.values())


@dataclass(frozen=True, slots=True)
class Rounded:
    """An invoice's total: exact, in whole fen (half up, once), what that added, and the fen shown for each line, which
    sum to the total by largest remainder (ties to the earlier line)."""

    total_ucny: int
    total_fen: int
    rounding_ucny: int
    shown_fen: tuple[int, ...]


def round_invoice(amounts_ucny: Sequence[int]) -> Rounded:
    """
    >>> round_invoice([335_000, 335_000, 335_000]).shown_fen
    (34, 34, 33)
    """
    total = sum(amounts_ucny)
    fen = div_half_up(total, UCNY_PER_FEN)
    shown = [amount // UCNY_PER_FEN for amount in amounts_ucny]
    rests = [amount % UCNY_PER_FEN for amount in amounts_ucny]
    for index in sorted(range(len(shown)), key=lambda i: (-rests[i], i))[: fen - sum(shown)]:
        shown[index] += 1
    return Rounded(total, fen, fen * UCNY_PER_FEN - total, tuple(shown))
