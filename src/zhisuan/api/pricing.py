"""What a plan is priced as: the place it found, and the most that the workload may come to."""

from zhisuan.catalog.price_book import PriceBook
from zhisuan.catalog.rules import ShapeItem, rate_shape
from zhisuan.placement.rules import class_ids_for
from zhisuan.placement.site_wishes import Wish
from zhisuan.placement.types import Candidate, ClassFacts, Need, Plan

Shape = tuple[ShapeItem, ...]


def shape_of(candidate: Candidate) -> Shape:
    return tuple(
        ShapeItem(s.class_id, "cpu" if s.kind == "cpu" else "accelerator", s.amount, s.factor_ppm)
        for s in candidate.shares
        if s.kind != "memory"
    )


def shape_for(made: Plan, wish: Wish, book: PriceBook, classes: tuple[ClassFacts, ...]) -> Shape:
    """The shares of the best candidate; while none is free, the first alternative of an ordered list, else the cheapest."""
    if made.chosen is not None:
        return shape_of(made.chosen)
    shapes = [shape for need in wish.needs if (shape := _cheapest(need, classes)) is not None]
    return shapes[0] if wish.ordered else min(shapes, key=lambda shape: _rate(book, shape))


def dearest_shape(made: Plan, wish: Wish, book: PriceBook, classes: tuple[ClassFacts, ...]) -> Shape:
    """What is quoted, and never exceeded: of the alternatives the one that costs most, each at its best place."""
    if len(wish.needs) == 1:
        return shape_for(made, wish, book, classes)
    best: dict[int, Candidate] = {}
    for candidate in made.candidates:
        best.setdefault(candidate.alternative, candidate)
        if len(best) == len(wish.needs):
            break
    shapes = [
        shape_of(best[number]) if number in best else _cheapest(need, classes)
        for number, need in enumerate(wish.needs, 1)
    ]
    return max((shape for shape in shapes if shape is not None), key=lambda shape: _rate(book, shape))


def _rate(book: PriceBook, shape: Shape) -> int:
    return sum(item.rate_udu_per_hour for item in rate_shape(book, shape))


def _cheapest(need: Need, classes: tuple[ClassFacts, ...]) -> Shape | None:
    """The cheapest class for each name; None where a name has no class with a rate."""
    facts = {c.class_id: c for c in classes}
    items = [ShapeItem(class_id="cpu-core", kind="cpu", amount=need.cpus_milli * need.nodes)]
    for name, count in need.accelerators:
        named = [facts[i] for i in class_ids_for(need, name, facts)]
        rated = [(c.rate_udu_per_hour, c.class_id) for c in named if c.rate_udu_per_hour is not None]
        if not rated:
            return None
        items.append(ShapeItem(class_id=min(rated)[1], kind="accelerator", amount=count * 1000 * need.nodes))
    return tuple(items)
