"""What is placed, where, and what a decision says. Whole numbers everywhere: 1/1000 core, MiB, 1/1000 card."""

from dataclasses import dataclass, field

CARD = 1000
CONSTRAINTS = ("model", "cards", "cpu", "memory", "kept")
"""In the order in which they are tested. ``kept``: it would fit, and is kept free for demand that is worth more."""


@dataclass(frozen=True, slots=True)
class Node:
    name: str
    cpu_milli: int
    memory_mib: int
    cards: int
    model: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Task:
    """``gpu_milli`` of each of ``num_gpu`` cards; less than a whole card only of one. No ``models``: any will do."""

    cpu_milli: int
    memory_mib: int
    num_gpu: int = 0
    gpu_milli: int = 0
    models: tuple[str, ...] = ()

    @property
    def total_milli(self) -> int:
        return self.num_gpu * self.gpu_milli

    @property
    def is_share(self) -> bool:
        return self.num_gpu == 1 and self.gpu_milli < CARD


@dataclass(frozen=True, slots=True)
class Choice:
    """A node, by its number in the list, and the numbers of its cards, each from 0."""

    node: int
    cards: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nowhere: how many nodes each constraint took out, of those that the constraints before it had left."""

    taken_out: dict[str, int] = field(default_factory=dict)

    @property
    def binding(self) -> str:
        """The constraint after which no node was left."""
        return list(self.taken_out)[-1] if self.taken_out else ""
