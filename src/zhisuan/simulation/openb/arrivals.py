"""The inflation protocol: the list in an order drawn by the seed, then draws from it, until enough is asked for."""

from collections.abc import Sequence

import numpy as np

from zhisuan.base.errors import InvalidInput
from zhisuan.base.text import Text
from zhisuan.placement.cards.types import Task
from zhisuan.simulation.openb.files import Arrival

UP_TO_PERCENT = 130


def inflate(tasks: Sequence[Task], capacity_milli: int, seed: int, up_to_percent: int = UP_TO_PERCENT) -> list[Arrival]:
    """Arrivals until what they ask for reaches ``up_to_percent`` of the capacity: first each task of the list once, shuffled,
    then tasks drawn with replacement. Raises InvalidInput where no task asks for a card, or there are none to ask for.
    """
    if not capacity_milli or not any(task.total_milli for task in tasks):
        raise InvalidInput(
            Text("No node has a card, or no task asks for one.", "节点没有卡，或没有任务申请卡。"),
            Text("The protocol needs both; check the two lists.", "该流程两者都需要，请检查两个列表。"),
            code="nothing_to_share",
        )
    random = np.random.default_rng(seed)
    order = [int(i) for i in random.permutation(len(tasks))]
    arrivals: list[Arrival] = []
    asked = 0
    while asked * 100 < capacity_milli * up_to_percent:
        number = len(arrivals)
        index = order[number] if number < len(order) else int(random.integers(len(tasks)))
        arrivals.append(Arrival(number, index, tasks[index]))
        asked += tasks[index].total_milli
    return arrivals
