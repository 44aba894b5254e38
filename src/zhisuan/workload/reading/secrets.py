"""``secrets``: taken out of the text before anything of it is kept, and their names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from zhisuan.base.errors import FieldProblem
from zhisuan.base.text import Text
from zhisuan.workload import yaml_file
from zhisuan.workload.reading.environment import name_problem
from zhisuan.workload.reading.reader import Reader

REDACTED = "null"
SECRETS_MAX = 100
VALUE_LENGTH_MAX = 65_536
GUESSED_LENGTH = 8
"""A value shorter than this may stand in a text by chance."""
NULL_TAG = "tag:yaml.org,2002:null"


@dataclass(frozen=True, slots=True)
class Taken:
    """The text without the values, and what was in it; ``problems`` are of secrets that could not be taken out cleanly."""

    text: str
    values: dict[str, str]
    problems: tuple[FieldProblem, ...]


def take_secrets(text: str) -> Taken:
    """Each value under ``secrets`` replaced by ``null`` where it stands, all else letter for letter as it was.

    A text that is not YAML, or whose secrets are no mapping, is given back as it is: the reading refuses it.
    """
    root = yaml_file.root(text)
    section = _section(root)
    if section is None:
        return Taken(text, {}, ())
    first, last = section.start_mark.index, section.end_mark.index
    values, cuts, problems = {}, [], []
    for name, value in section.value:
        if not isinstance(value, yaml.ScalarNode) or value.tag == NULL_TAG:
            continue
        if not first <= value.start_mark.index <= last:
            problems.append(_problem(name.value, "must be written out here; it is an alias", "须直接写出，不能使用别名"))
            continue
        values[str(name.value)] = str(value.value)
        cuts.append((value.start_mark.index, value.end_mark.index))
    redacted = _without(text, cuts)
    if cuts and yaml_file.root(redacted) is None:
        problems.append(_problem("", "use anchors; write each of them out", "使用了锚点；请逐个写出"))
    problems += elsewhere(redacted, values)
    return Taken(redacted, values, tuple(problems))


def _section(root: yaml.Node | None) -> yaml.MappingNode | None:
    if not isinstance(root, yaml.MappingNode):
        return None
    found = [value for name, value in root.value if isinstance(name, yaml.ScalarNode) and name.value == "secrets"]
    return found[0] if len(found) == 1 and isinstance(found[0], yaml.MappingNode) else None


def _without(text: str, cuts: list[tuple[int, int]]) -> str:
    for start, end in sorted(cuts, reverse=True):
        tail = "\n" if text[start:end].endswith("\n") else ""
        text = text[:start] + REDACTED + tail + text[end:]
    return text


def elsewhere(text: str, values: Mapping[str, str]) -> list[FieldProblem]:
    """A value that also stands in a command or a remark would be kept with the file."""
    return [
        _problem(
            name,
            f"has a value that stands elsewhere in the file as well; write ${name} there",
            f"的值还出现在文件其他位置；请改写为 ${name}",
        )
        for name, value in values.items()
        if len(value) >= GUESSED_LENGTH and value in text
    ]


def _problem(name: str, en: str, zh: str) -> FieldProblem:
    return FieldProblem(f"secrets.{name}" if name else "secrets", Text(en, zh))


def read_secrets(reader: Reader, value: Any, envs: Mapping[str, str]) -> tuple[str, ...]:
    """The names, of a mapping or a list; values are never looked at here."""
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        value = dict.fromkeys(value)
    names = []
    for name, content in reader.mapping("secrets", value).items():
        problem = name_problem(name) or _envs_problem(name, envs)
        if problem is not None:
            reader.refuse(f"secrets.{name}", problem)
        elif isinstance(content, dict | list):
            reader.wrong(f"secrets.{name}", "must be one value", "必须是单个值")
        else:
            names.append(name)
    return tuple(names)


def _envs_problem(name: str, envs: Mapping[str, str]) -> Text | None:
    return Text("stands under envs as well", "在 envs 中重复出现") if name in envs else None


def value_problems(
    names: tuple[str, ...], values: Mapping[str, str], envs: Mapping[str, str]
) -> tuple[FieldProblem, ...]:
    """What is wrong with the values for ``names`` and with further ones that came beside the file; never says a value."""
    problems = [
        _problem(name, "has no value; give one with --secret", "没有值；请用 --secret 提供")
        for name in names
        if name not in values
    ]
    for name, value in values.items():
        wrong = name_problem(name) or _envs_problem(name, envs)
        if wrong is not None:
            problems.append(FieldProblem(f"secrets.{name}", wrong))
        elif not yaml_file.is_storable(value) or len(value) > VALUE_LENGTH_MAX:
            problems.append(
                _problem(name, "holds a character that no environment takes, or more than 64 KiB", "含有环境变量无法保存的字符，或超过 64 KiB")
            )
    if len(values) > SECRETS_MAX:
        problems.append(_problem("", f"are more than {SECRETS_MAX}", f"超过 {SECRETS_MAX} 个"))
    return tuple(problems)
