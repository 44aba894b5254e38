"""Node lists, task lists and arrival streams as files: every row is checked, a bad one is skipped, counted and named."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from zhisuan.base.errors import InvalidInput
from zhisuan.base.text import Text
from zhisuan.placement.cards.types import CARD, Node, Task
from zhisuan.simulation.rows import BadRow, Skips, read_csv, whole

NODE_COLUMNS = ("sn", "cpu_milli", "memory_mib", "gpu", "model")
TASK_COLUMNS = ("cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec")
STREAM_COLUMNS = ("arrival", "pod_index", *TASK_COLUMNS)
CARDS_MAX = 64


@dataclass(frozen=True, slots=True)
class Arrival:
    """``number`` is the arrival's own, as it stands in the stream; ``index`` is the task's place in its list."""

    number: int
    index: int
    task: Task


def read_nodes(path: Path, skips: Skips) -> list[Node]:
    """Raises InvalidInput for a file without a usable node."""
    names: set[str] = set()

    def node(row: dict[str, str]) -> Node:
        name = row["sn"].strip()
        if not name:
            raise BadRow("the node has no name (sn)", "节点没有名称（sn）")
        if name in names:
            raise BadRow(f"the node {name} is there already", f"节点 {name} 重复")
        made = Node(name, whole(row, "cpu_milli"), whole(row, "memory_mib"), whole(row, "gpu"), row["model"].strip())
        if made.cards > CARDS_MAX:
            raise BadRow(f"gpu is {made.cards}, more than {CARDS_MAX}", f"gpu 为 {made.cards}，大于 {CARDS_MAX}")
        names.add(name)
        return made

    found = list(read_csv(path, NODE_COLUMNS, node, skips))
    if not found:
        raise empty(path, Text("node", "节点"))
    return found


def read_tasks(path: Path, skips: Skips, models: Iterable[str] = ()) -> list[Task]:
    """``models`` are those that the nodes have; a task that names none of them is skipped. Raises InvalidInput for an empty list."""
    known = frozenset(models)
    found = list(read_csv(path, TASK_COLUMNS, lambda row: task_of(row, known), skips))
    if not found:
        raise empty(path, Text("task", "任务"))
    return found


def task_of(row: dict[str, str], known: frozenset[str] = frozenset()) -> Task:
    """Raises BadRow."""
    number = whole(row, "num_gpu")
    milli = whole(row, "gpu_milli") if number or row["gpu_milli"].strip() else 0
    if number > CARDS_MAX:
        raise BadRow(f"num_gpu is {number}, more than {CARDS_MAX}", f"num_gpu 为 {number}，大于 {CARDS_MAX}")
    if number and not 0 < milli <= CARD:
        raise BadRow(f"gpu_milli is {milli}, not 1 to {CARD}", f"gpu_milli 为 {milli}，不在 1 至 {CARD} 之间")
    if number > 1 and milli != CARD:
        raise BadRow(f"{number} cards are asked for with a share of {milli}", f"申请 {number} 张卡，份额却为 {milli}")
    if not number and milli:
        raise BadRow(f"a share of {milli} of no card is asked for", f"申请了份额 {milli}，卡数却为 0")
    models = tuple(sorted({m.strip() for m in row["gpu_spec"].split("|")} - {""})) if number else ()
    if known and models and known.isdisjoint(models):
        raise BadRow(f"no node has a card of the model {'|'.join(models)}", f"没有节点拥有型号 {'|'.join(models)} 的卡")
    return Task(whole(row, "cpu_milli"), whole(row, "memory_mib"), number, milli, models)


def read_stream(lines: Iterable[str], name: str, skips: Skips) -> Iterator[Arrival]:
    """Arrivals line by line: the next line is asked for when the arrival before has been dealt with. Raises InvalidInput.

    A task that names only models that no node has is an arrival like any other: it is refused, and the refusal says why.
    """
    reader = csv.reader(lines)
    header = [column.strip().lstrip("\ufeff") for column in next(reader, [])]
    missing = [column for column in STREAM_COLUMNS if column not in header]
    if missing:
        raise InvalidInput(
            Text(f"{name} lacks the columns: {', '.join(missing)}.", f"{name} 缺少列：{'、'.join(missing)}。"),
            Text(
                f"Its first line must name {', '.join(STREAM_COLUMNS)}.", f"首行必须包含 {'、'.join(STREAM_COLUMNS)}。"
            ),
            code="columns_missing",
        )
    seen: set[int] = set()
    for fields in reader:
        if not fields:
            continue
        try:
            yield _arrival(header, fields, seen)
        except BadRow as bad:
            skips.add(name, reader.line_num, bad.reason)


def _arrival(header: list[str], fields: list[str], seen: set[int]) -> Arrival:
    if len(fields) != len(header):
        raise BadRow("it has another number of fields than the header", "字段数与表头不符")
    row = dict(zip(header, fields, strict=True))
    number = whole(row, "arrival")
    if number in seen:
        raise BadRow(f"arrival {number} is there already", f"到达编号 {number} 重复")
    made = Arrival(number, whole(row, "pod_index"), task_of(row))
    seen.add(number)
    return made


def empty(path: Path, what: Text) -> InvalidInput:
    return InvalidInput(
        Text(f"{path} has no usable {what.en}.", f"{path} 中没有可用的{what.zh}。"),
        Text("Give a file with at least one good row.", "请提供至少含一行有效数据的文件。"),
        code="file_empty",
    )
