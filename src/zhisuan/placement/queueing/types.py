"""What is waited for, and what organisations and their projects may have of it. Whole numbers: milli-cards and milli-cores."""

from collections.abc import Iterable
from dataclasses import dataclass

from zhisuan.placement.site_wishes import Wish
from zhisuan.placement.types import Candidate, Need

MILLI_CARD = 1000


@dataclass(frozen=True, slots=True)
class Amounts:
    """Cards of all classes and cores, in thousandths."""

    cards_milli: int = 0
    cores_milli: int = 0

    def __add__(self, other: "Amounts") -> "Amounts":
        return Amounts(self.cards_milli + other.cards_milli, self.cores_milli + other.cores_milli)

    def __sub__(self, other: "Amounts") -> "Amounts":
        return Amounts(self.cards_milli - other.cards_milli, self.cores_milli - other.cores_milli)

    def times(self, factor: int) -> "Amounts":
        return Amounts(self.cards_milli * factor, self.cores_milli * factor)

    def above(self, other: "Amounts") -> "Amounts":
        """What this has more than ``other``, of each."""
        return Amounts(max(0, self.cards_milli - other.cards_milli), max(0, self.cores_milli - other.cores_milli))

    def within(self, other: "Amounts") -> bool:
        return self.cards_milli <= other.cards_milli and self.cores_milli <= other.cores_milli


NOTHING = Amounts()


@dataclass(frozen=True, slots=True)
class Limit:
    """The most of each; None where there is no such limit."""

    cards_milli: int | None = None
    cores_milli: int | None = None

    def allows(self, amounts: Amounts) -> bool:
        return not self.passed_by(amounts)

    def passed_by(self, amounts: Amounts) -> tuple[str, ...]:
        """Of which of ``cards`` and ``cores`` these are more."""
        pairs = (("cards", amounts.cards_milli, self.cards_milli), ("cores", amounts.cores_milli, self.cores_milli))
        return tuple(name for name, asked, most in pairs if most is not None and asked > most)

    def left(self, held: Amounts) -> "Limit":
        return Limit(
            None if self.cards_milli is None else max(0, self.cards_milli - held.cards_milli),
            None if self.cores_milli is None else max(0, self.cores_milli - held.cores_milli),
        )


@dataclass(frozen=True, slots=True)
class Quota:
    """What one organisation or project is guaranteed, and the most that it may hold. ``parent``: the organisation, or the project of the
    same organisation that this one stands under; None for an organisation. ``weight``: of its fair share."""

    subject: str
    name: str
    parent: str | None
    guaranteed: Amounts = NOTHING
    limit: Limit = Limit()
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Order:
    """One that waits. ``since``: seconds, on the scale of ``now``; ``seconds_max``: it is ended after so long, None where it is not."""

    id: str
    org_id: str
    project_id: str
    priority: int
    since: int
    spot: bool
    wish: Wish
    seconds_max: int | None = None

    @property
    def asks(self) -> Amounts:
        """Of its first alternative."""
        return amounts_of(self.wish.needs[0])


def amounts_of(need: Need) -> Amounts:
    cards = sum(count for _, count in need.accelerators)
    return Amounts(cards * MILLI_CARD * need.nodes, need.cpus_milli * need.nodes)


def amounts_taken(candidate: Candidate) -> Amounts:
    shares = candidate.shares
    return Amounts(
        sum(s.amount for s in shares if s.kind == "accelerator"), sum(s.amount for s in shares if s.kind == "cpu")
    )


def total(amounts: Iterable[Amounts]) -> Amounts:
    cards = cores = 0
    for one in amounts:
        cards += one.cards_milli
        cores += one.cores_milli
    return Amounts(cards, cores)
