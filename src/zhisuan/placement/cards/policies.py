"""All policies by name, made in one way."""

from collections.abc import Callable, Sequence

import numpy as np

from zhisuan.placement.cards.fgd import FGD
from zhisuan.placement.cards.mix import Mix
from zhisuan.placement.cards.policy import Policy
from zhisuan.placement.cards.simple import BestFit, DotProduct, FirstFit, RandomFit
from zhisuan.placement.cards.state import State
from zhisuan.placement.cards.types import Node
from zhisuan.placement.cards.zhisuan import Zhisuan

NAMES = ("random", "first-fit", "best-fit", "dot-product", "fgd", "fgd-exact", "zhisuan-open", "zhisuan")


def make_policy(name: str, nodes: Sequence[Node], mix: Mix, random: np.random.Generator) -> Policy:
    """``name`` is one of ``NAMES``; ``zhisuan-open`` is ours without keeping anything free. Raises KeyError."""
    state = State(nodes)
    makers: dict[str, Callable[[], Policy]] = {
        "random": lambda: RandomFit(state, random),
        "first-fit": lambda: FirstFit(state),
        "best-fit": lambda: BestFit(state),
        "dot-product": lambda: DotProduct(state),
        "fgd": lambda: FGD(state, mix, random),
        "fgd-exact": lambda: FGD(state, mix, random, exact=True),
        "zhisuan-open": lambda: Zhisuan(state, mix, keeps=False),
        "zhisuan": lambda: Zhisuan(state, mix),
    }
    return makers[name]()
