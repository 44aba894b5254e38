"""Node and task lists of many shapes, each made from a seed: what policies are compared on beside the published list."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from zhisuan.placement.cards.types import CARD, Node, Task

CORE, GIB = 1000, 1024
CLASSES = (
    ("A", 8, 96, 384),
    ("B", 2, 104, 512),
    ("C", 4, 48, 192),
    ("D", 8, 128, 768),
    ("E", 2, 16, 120),
    ("F", 1, 8, 32),
)
"""Model, cards, cores and GiB of a node."""
USUAL = (44, 30, 6, 5, 11, 4)
SHARES = (100, 160, 220, 300, 330, 400, 450, 500, 600, 700, 800)


@dataclass(frozen=True, slots=True)
class Shape:
    """In percent of the tasks: those without a card, shares, gangs; of those with a card, how many name a model."""

    name: str
    cpu_only: int = 13
    shares: int = 35
    gangs: int = 1
    naming: int = 0
    cores: int = 9
    gib: int = 36
    classes: tuple[int, ...] = USUAL
    plain_nodes: int = 0
    equally: bool = False
    """Tasks name each model equally often; otherwise as often as there are cards of it."""


SHAPES = (
    Shape("usual"),
    Shape("cpu-heavy", cores=13),
    Shape("share-heavy", shares=80, cores=5),
    Shape("whole-card", shares=0),
    Shape("gangs", gangs=15, shares=20, classes=(70, 10, 5, 15, 0, 0)),
    Shape("third-naming", naming=33),
    Shape("third-naming-equally", naming=33, equally=True),
    Shape("two-thirds-naming", naming=67),
    Shape("two-models", naming=40, classes=(50, 50, 0, 0, 0, 0)),
    Shape("memory-tight", gib=55),
    Shape("with-cpu-nodes", cpu_only=30, cores=11, plain_nodes=25),
)


def make(shape: Shape, seed: int, nodes: int = 400, tasks: int = 3000) -> tuple[list[Node], list[Task]]:
    """The same lists for the same shape and seed."""
    random = np.random.default_rng((seed, SHAPES.index(shape) if shape in SHAPES else len(SHAPES)))
    made = _nodes(shape, random, nodes)
    catalogue = _catalogue(shape, random)
    return made, _tasks(shape, random, tasks, catalogue, made)


def _nodes(shape: Shape, random: np.random.Generator, count: int) -> list[Node]:
    total = sum(shape.classes)
    made = []
    for n, which in enumerate(random.choice(len(CLASSES), count, p=[c / total for c in shape.classes])):
        model, cards, cores, gib = CLASSES[which]
        made.append(Node(f"node-{n:04}", cores * CORE, gib * GIB, cards, model))
    plain = count * shape.plain_nodes // 100
    return made + [Node(f"plain-{n:04}", 64 * CORE, 256 * GIB, 0) for n in range(plain)]


def _catalogue(shape: Shape, random: np.random.Generator) -> list[Task]:
    """Some kinds of task with cards, as real lists have: few sizes, each with a few amounts of CPU and memory."""
    kinds = []
    for milli in (*random.choice(SHARES, 6, replace=False).tolist(), CARD):
        for _ in range(8):
            cores = max(random.gamma(2, shape.cores / 2) * (milli + 400) / 1400, 1)
            gib = max(random.gamma(3, shape.gib / 3) * (milli + 400) / 1400, 1)
            kinds.append(Task(int(cores * CORE), int(gib * GIB), 1, milli))
    for number in (2, 4, 8):
        for _ in range(2):
            cores, gib = random.uniform(4, 12) * number, random.uniform(12, 44) * number
            kinds.append(Task(int(cores * CORE), int(gib * GIB), number, CARD))
    return kinds


def _tasks(
    shape: Shape, random: np.random.Generator, count: int, kinds: Sequence[Task], nodes: Sequence[Node]
) -> list[Task]:
    cards = {
        model: sum(n.cards for n in nodes if n.model == model) for model in sorted({n.model for n in nodes if n.cards})
    }
    weights = np.array([1 if shape.equally else c for c in cards.values()], np.float64)
    groups: tuple[Callable[[Task], bool], ...] = (
        lambda k: k.is_share,
        lambda k: k.num_gpu > 1,
        lambda k: k.num_gpu == 1 and not k.is_share,
    )
    by_group = [[k for k in kinds if g(k)] for g in groups]
    popular = [random.dirichlet(np.full(len(group), 1)) for group in by_group]
    widest = {model: max(n.cards for n in nodes if n.model == model) for model in cards}
    made = []
    for _ in range(count):
        if random.integers(100) < shape.cpu_only:
            cores = min(random.gamma(1, 10) + 1, 60)
            made.append(Task(int(cores) * CORE, int(cores * 4) * GIB))
            continue
        draw = random.integers(100)
        group = 0 if draw < shape.shares else 1 if draw < shape.shares + shape.gangs else 2
        kind = by_group[group][random.choice(len(popular[group]), p=popular[group])]
        models: tuple[str, ...] = ()
        if random.integers(100) < shape.naming:
            named = list(cards)[random.choice(len(cards), p=weights / weights.sum())]
            if widest[named] >= kind.num_gpu:
                models = (named,)
        made.append(Task(kind.cpu_milli, kind.memory_mib, kind.num_gpu, kind.gpu_milli, models))
    return made
