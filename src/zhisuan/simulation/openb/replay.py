"""Arrivals, one after the other, through a policy; what was placed is counted, and read off when enough has been asked for."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from zhisuan.placement.cards.policy import Policy
from zhisuan.placement.cards.types import Choice, Node, Refusal, Task
from zhisuan.simulation.openb.files import Arrival

Timer = Callable[[], int]
POINTS_PERCENT = 1


@dataclass(frozen=True, slots=True)
class Decision:
    arrival: Arrival
    outcome: Choice | Refusal

    def fields(self, nodes: Sequence[Node]) -> tuple[int, str, str] | None:
        """The row of the placement file: arrival, node, cards; None for a refusal, which has no row."""
        if isinstance(self.outcome, Refusal):
            return None
        return self.arrival.number, nodes[self.outcome.node].name, "|".join(map(str, self.outcome.cards))


@dataclass(slots=True)
class Tally:
    """Counts of one replay. ``curve`` has, for each whole percent of arrived demand, what was allocated then, in milli."""

    capacity_milli: int
    arrived: int = 0
    arrived_milli: int = 0
    allocated_milli: int = 0
    refused: int = 0
    refused_cpu_only: int = 0
    by_constraint: Counter[str] = field(default_factory=Counter)
    at_full_milli: int | None = None
    refused_cpu_only_at_full: int | None = None
    curve: list[int] = field(default_factory=list)
    decision_ns: list[int] = field(default_factory=list)
    preparation_ns: list[int] = field(default_factory=list)

    def count(self, task: Task, outcome: Choice | Refusal) -> None:
        self.arrived += 1
        self.arrived_milli += task.total_milli
        if isinstance(outcome, Refusal):
            self.refused += 1
            self.refused_cpu_only += not task.num_gpu
            self.by_constraint[outcome.binding] += 1
        else:
            self.allocated_milli += task.total_milli
        while (
            self.capacity_milli
            and self.arrived_milli * 100 >= self.capacity_milli * (len(self.curve) + 1) * POINTS_PERCENT
        ):
            self.curve.append(self.allocated_milli)
        if self.at_full_milli is None and self.arrived_milli >= self.capacity_milli:
            self.at_full_milli = self.allocated_milli
            self.refused_cpu_only_at_full = self.refused_cpu_only


def replay(policy: Policy, arrivals: Iterable[Arrival], tally: Tally, timer: Timer) -> Iterator[Decision]:
    """Each decision is given out before the next arrival is asked for. ``timer`` counts nanoseconds."""
    state = policy.state
    for arrival in arrivals:
        began = timer()
        outcome = policy.choose(arrival.task)
        if isinstance(outcome, Choice):
            state.take(arrival.task, outcome)
        tally.decision_ns.append(timer() - began)
        tally.count(arrival.task, outcome)
        yield Decision(arrival, outcome)
        began = timer()
        policy.prepare()
        tally.preparation_ns.append(timer() - began)
