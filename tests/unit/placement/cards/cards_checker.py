"""Independent checks of placement inside a site, written plainly: a reader of placement files, and fragmentation by its definition."""

import csv
from collections import Counter
from pathlib import Path

from zhisuan.placement.cards.types import Node, Task


def broken(nodes: list[Node], tasks: dict[int, Task], placement: Path) -> list[str]:
    """What a placement file breaks: it is read as text, and every node, card, CPU and memory is counted anew."""
    where = {node.name: node for node in nodes}
    cpu: Counter[str] = Counter()
    memory: Counter[str] = Counter()
    cards: Counter[tuple[str, int]] = Counter()
    said: set[int] = set()
    problems = []
    with placement.open(newline="") as file:
        for row in csv.DictReader(file):
            number, node = int(row["arrival"]), where[row["node"]]
            task = tasks[number]
            used = [int(card) for card in row["gpus"].split("|")] if row["gpus"] else []
            if number in said:
                problems.append(f"{number} twice")
            said.add(number)
            if len(used) != task.num_gpu or len(set(used)) != len(used):
                problems.append(f"{number} has {used}, asked for {task.num_gpu}")
            if any(not 0 <= card < node.cards for card in used):
                problems.append(f"{number} names a card that {node.name} has not")
            if task.models and node.model not in task.models:
                problems.append(f"{number} on a {node.model}")
            cpu[node.name] += task.cpu_milli
            memory[node.name] += task.memory_mib
            for card in used:
                cards[node.name, card] += task.gpu_milli
    problems += [f"cpu of {n}" for n, used in cpu.items() if used > where[n].cpu_milli]
    problems += [f"memory of {n}" for n, used in memory.items() if used > where[n].memory_mib]
    problems += [f"card {n}" for n, used in cards.items() if used > 1000]
    return problems


Free = tuple[int, int, tuple[int, ...], str]
"""CPU, memory, what each card has free, model."""


def fits(node: Free, task: Task) -> bool:
    cpu, memory, cards, model = node
    enough = sum(1 for free in cards if free >= task.gpu_milli) >= task.num_gpu
    return cpu >= task.cpu_milli and memory >= task.memory_mib and enough and (not task.models or model in task.models)


def fragmentation(node: Free, mix: dict[Task, int]) -> int:
    """Of one node, times the number of tasks in the mix: the paper's definition, task by task and card by card."""
    total = 0
    for task, count in mix.items():
        if not task.num_gpu or not fits(node, task):
            total += count * sum(node[2])
        else:
            total += count * sum(free for free in node[2] if free < task.gpu_milli)
    return total


def after(node: Free, task: Task, used: tuple[int, ...]) -> Free:
    cards = tuple(free - task.gpu_milli if c in used else free for c, free in enumerate(node[2]))
    return node[0] - task.cpu_milli, node[1] - task.memory_mib, cards, node[3]


def ways(node: Free, task: Task) -> list[tuple[int, ...]]:
    """The cards that may be taken: a share any that has enough, whole cards the first that are free."""
    if task.num_gpu == 1 and task.gpu_milli < 1000:
        return [(c,) for c, free in enumerate(node[2]) if free >= task.gpu_milli]
    return [tuple(c for c, free in enumerate(node[2]) if free == 1000)[: task.num_gpu]]


def best_by_fragmentation(nodes: list[Free], task: Task, mix: dict[Task, int]) -> tuple[int, tuple[int, ...]] | None:
    """Least growth of fragmentation; of equals the first node, the first card."""
    found = [
        (fragmentation(after(node, task, used), mix) - fragmentation(node, mix), n, used)
        for n, node in enumerate(nodes)
        if fits(node, task)
        for used in ways(node, task)
    ]
    return min(found)[1:] if found else None
