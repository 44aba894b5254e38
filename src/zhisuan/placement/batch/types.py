"""Sites over time slots, the jobs to plan, and the plan with its reasons and its gap."""

from dataclasses import dataclass, field

from zhisuan.base.text import Text

# What can keep a site from a job, in the order it is tested; the last two are about time and room.
CONSTRAINTS = ("denied", "region", "class", "node", "gang", "window", "capacity")


@dataclass(frozen=True, slots=True)
class Site:
    """``cards``, ``price_ucny`` and ``carbon_mg`` have one number a slot: free cards, and what a card costs and emits in it."""

    id: str
    provider: str
    region: str
    device_class: str
    cards: tuple[int, ...]
    price_ucny: tuple[int, ...]
    carbon_mg: tuple[int, ...]
    cards_per_node: int
    gang_nodes_max: int


@dataclass(frozen=True, slots=True)
class Wish:
    """What jobs must have in common to be planned as one: ``milli_slots`` is the length at rate 1000.

    ``rates`` name the device classes that will do, and how fast each is, in thousandths (rate of exchange by measured performance):
    on a class of rate 2000 it is over in half the time, rounded up to slots. It starts in one slot and runs without a break, all of
    it at one site. ``release`` is the first slot it may start in; ``deadline`` the slot before which it must be over, ``due`` the one
    after which it is late; ``value_ucny`` is what leaving it out costs. ``price_percent`` is less than 100 for spot.
    """

    milli_slots: int
    nodes: int
    cards_per_node: int
    rates: tuple[tuple[str, int], ...]
    release: int
    due: int
    deadline: int
    value_ucny: int
    price_percent: int = 100
    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()

    @property
    def cards(self) -> int:
        return self.nodes * self.cards_per_node


@dataclass(frozen=True, slots=True)
class BatchJob:
    id: str
    wish: Wish


@dataclass(frozen=True, slots=True)
class Weights:
    """What is to be small, in 10⁻⁶ yuan: the price, carbon at a price, and lateness at a price for each slot and card."""

    carbon_ucny_per_kg: int = 100_000
    late_ucny: int = 500_000


@dataclass(frozen=True, slots=True)
class Problem:
    sites: tuple[Site, ...]
    jobs: tuple[BatchJob, ...]
    slots: int
    weights: Weights = field(default_factory=Weights)


@dataclass(frozen=True, slots=True)
class Start:
    """``slot`` … ``slot + slots - 1`` at ``site``; ``cost_ucny`` is price, carbon and lateness by the weights."""

    job: str
    site: str
    slot: int
    slots: int
    cost_ucny: int
    reason: Text


@dataclass(frozen=True, slots=True)
class LeftOut:
    """``failed`` counts sites by the first constraint they fail; ``binding`` is the one that is nearest to being met."""

    job: str
    failed: tuple[tuple[str, int], ...]
    binding: str
    reason: Text


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """``bound_ucny`` is a proven lower bound on the objective; ``stopped`` says what ended the search: ``gap``, ``optimal`` or ``time``."""

    starts: tuple[Start, ...]
    left_out: tuple[LeftOut, ...]
    objective_ucny: int
    bound_ucny: int
    stopped: str

    @property
    def gap_ppm(self) -> int:
        """(objective - bound) / objective, in millionths, rounded up."""
        if self.objective_ucny <= self.bound_ucny:
            return 0
        return -((self.bound_ucny - self.objective_ucny) * 1_000_000 // max(abs(self.objective_ucny), 1))
