"""YAML from people nobody knows: parsed within bounds, with nothing taken silently.

YAML lets a small file stand for a huge one (aliases, merges), says one key twice without a word, and can hold characters
that no database or command line takes. All of that is found on the node graph, before anything is built from it.
"""

from collections.abc import Iterator
from typing import Any

import yaml

from zhisuan.base.errors import FieldProblem
from zhisuan.base.text import Text

NODES_MAX = 2_000
CHARACTERS_MAX = 1_000_000
DEPTH_MAX = 20
_TOO_MUCH = Text(
    "stands for too much: too many, too deep or too long parts (aliases count as what they stand for)",
    "内容过多：嵌套过深、条目过多或文本过长（别名按展开后的内容计算）",
)
_NOT_TEXT = Text(
    "holds a character that cannot be stored (NUL or half a surrogate pair)",
    "含有无法保存的字符（NUL 或不成对的代理字符）",
)


class _TooMuch(Exception):
    """The file passes a bound while it is being read."""


class _BoundedLoader(yaml.SafeLoader):
    """Stops at the first node beyond the bounds, so that a large file costs no more than a small one."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._count = 0
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._count += 1
        self._depth += 1
        if self._count > NODES_MAX or self._depth > DEPTH_MAX:
            raise _TooMuch
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class BadYaml(Exception):
    """What is wrong with the file, with places."""

    def __init__(self, problems: list[FieldProblem]) -> None:
        super().__init__(problems[0].problem.en)
        self.problems = problems


def load(text: str) -> Any:
    """The value of one YAML document. Raises ``BadYaml``, and nothing else."""
    if not is_storable(text):
        raise BadYaml([FieldProblem("file", _NOT_TEXT)])
    loader = None
    try:
        loader = _BoundedLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        problems = _Check().problems_of(node)
        if problems:
            raise BadYaml(problems)
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at, zh = (f" at {_place(mark)}", f"（{_place_zh(mark)}）") if mark else ("", "")
        raise BadYaml([FieldProblem("file", Text(f"is not YAML{at}", f"不是有效的 YAML{zh}"))]) from error
    except _TooMuch as error:
        raise BadYaml([FieldProblem("file", _TOO_MUCH)]) from error
    except (ValueError, OverflowError, AttributeError) as error:
        # What the library says of a date that is none, a number of too many digits or a tag that does not suit.
        raise BadYaml(
            [FieldProblem("file", Text("holds a value that YAML cannot read", "含有 YAML 无法读取的值"))]
        ) from error
    finally:
        if loader is not None:
            loader.dispose()


def root(text: str) -> yaml.Node | None:
    """The node graph of the document, from which nothing has been built; None for what is no YAML or beyond the bounds."""
    loader = None
    try:
        loader = _BoundedLoader(text)
        return loader.get_single_node()
    except (yaml.YAMLError, _TooMuch, ValueError, OverflowError, AttributeError):
        return None
    finally:
        if loader is not None:
            loader.dispose()


def is_storable(text: str) -> bool:
    """Whether a database and a command line can take the text."""
    return "\0" not in text and not any("\ud800" <= ch <= "\udfff" for ch in text)


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"


def _place_zh(mark: Any) -> str:
    return f"第 {mark.line + 1} 行第 {mark.column + 1} 列"


class _Check:
    """Walks the node graph as if every alias were written out, and stops at the bounds."""

    def __init__(self) -> None:
        self._nodes = 0
        self._characters = 0

    def problems_of(self, node: yaml.Node) -> list[FieldProblem]:
        for found in self._walk(node, "", 0):
            if found.problem is _TOO_MUCH:
                return [found]
        self._nodes = self._characters = 0
        return list(self._walk(node, "", 0))

    def _walk(self, node: yaml.Node, where: str, depth: int) -> Iterator[FieldProblem]:
        self._nodes += 1
        if isinstance(node, yaml.ScalarNode):
            self._characters += len(node.value)
        if depth > DEPTH_MAX or self._nodes > NODES_MAX or self._characters > CHARACTERS_MAX:
            yield FieldProblem("file", _TOO_MUCH)
            return
        if isinstance(node, yaml.ScalarNode):
            if not is_storable(node.value):
                yield FieldProblem(where or "file", _NOT_TEXT)
        elif isinstance(node, yaml.SequenceNode):
            for each in node.value:
                yield from self._within(each, where, depth)
                if self._nodes > NODES_MAX:
                    return
        elif isinstance(node, yaml.MappingNode):
            yield from self._mapping(node, where, depth)

    def _mapping(self, node: yaml.MappingNode, where: str, depth: int) -> Iterator[FieldProblem]:
        seen: set[str] = set()
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            place = f"{where}.{name}" if where else name
            if name != "?" and name in seen:
                at = key.start_mark
                yield FieldProblem(
                    place, Text(f"is there twice, again at {_place(at)}", f"重复出现（{_place_zh(at)}）")
                )
            seen.add(name)
            yield from self._within(key, place, depth)
            yield from self._within(value, place, depth)
            if self._nodes > NODES_MAX:
                return

    def _within(self, node: yaml.Node, where: str, depth: int) -> Iterator[FieldProblem]:
        yield from self._walk(node, where, depth + 1)
