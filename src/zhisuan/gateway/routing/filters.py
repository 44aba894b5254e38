"""What may be used at all, before any policy: residency, price, carbon and room; each refusal is counted by its reason."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from zhisuan.gateway.routing.known import ReplicaKey


@dataclass(frozen=True, slots=True)
class Offer:
    """What is said of an upstream. Prices are for a million tokens, in 10⁻⁶ yuan; carbon in grams for a kWh; ``calls_max`` 0 means
    that no limit is known."""

    key: ReplicaKey
    region: str = ""
    input_ucny: int = 0
    output_ucny: int = 0
    carbon_g: int | None = None
    calls_max: int = 0


@dataclass(frozen=True, slots=True)
class Wish:
    """What a tenant or a key insists on. None or empty asks for nothing."""

    regions: frozenset[str] = frozenset()
    input_ucny_max: int | None = None
    output_ucny_max: int | None = None
    carbon_g_max: int | None = None


@dataclass(frozen=True, slots=True)
class Filtered:
    able: tuple[Offer, ...]
    refused: Mapping[str, int]
    """Reason to number of upstreams; each upstream counts once, by the first reason in the order of this module."""


def filtered(wish: Wish, offers: Iterable[Offer], in_flight: Mapping[ReplicaKey, int]) -> Filtered:
    able: list[Offer] = []
    refused: Counter[str] = Counter()
    for offer in offers:
        reason = refusal(wish, offer, in_flight.get(offer.key, 0))
        if reason is None:
            able.append(offer)
        else:
            refused[reason] += 1
    return Filtered(tuple(able), dict(refused))


def refusal(wish: Wish, offer: Offer, in_flight: int) -> str | None:
    """Why not, in the order residency, price, carbon, capacity. Carbon that is not known satisfies no ceiling."""
    if wish.regions and offer.region not in wish.regions:
        return "residency"
    if _above(offer.input_ucny, wish.input_ucny_max) or _above(offer.output_ucny, wish.output_ucny_max):
        return "price"
    if wish.carbon_g_max is not None and (offer.carbon_g is None or offer.carbon_g > wish.carbon_g_max):
        return "carbon"
    if offer.calls_max and in_flight >= offer.calls_max:
        return "capacity"
    return None


def _above(value: int, most: int | None) -> bool:
    return most is not None and value > most
