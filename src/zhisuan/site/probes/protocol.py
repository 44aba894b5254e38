"""What a probe process says to its parent: one JSON object a line on standard output.

| event | fields |
| --- | --- |
| ``progress`` | ``what``: text in both languages |
| ``result`` | ``kind``: the result type, ``value``: its plain form |
| ``problem`` | ``value``: the plain form of a problem |
| ``end`` | – ; without it the process did not finish |

Other lines come from libraries and are passed over.
"""

import json
import sys
from collections.abc import Callable
from typing import Any, Literal, Protocol

from zhisuan.base.text import Text
from zhisuan.site.discovery.types import Problem

ResultKind = Literal["gemm", "memory", "disk"]


class Plain(Protocol):
    def to_json(self) -> dict[str, Any]: ...


class Speaker:
    """The child's side: JSON lines for a program, or short lines for a person."""

    def __init__(self, *, as_json: bool, write: Callable[[str], None] | None = None) -> None:
        self._as_json = as_json
        self._write = write or _to_stdout

    def progress(self, what: Text) -> None:
        self._say({"event": "progress", "what": what.as_dict()}, f"… {what.en}")

    def result(self, kind: ResultKind, value: Plain, line: str) -> None:
        self._say({"event": "result", "kind": kind, "value": value.to_json()}, line)

    def problem(self, problem: Problem) -> None:
        self._say({"event": "problem", "value": problem.to_json()}, f"! {problem.what.en} {problem.remedy.en}")

    def end(self) -> None:
        if self._as_json:
            self._say({"event": "end"}, "")

    def _say(self, event: dict[str, Any], line: str) -> None:
        self._write((json.dumps(event, ensure_ascii=False) if self._as_json else line) + "\n")


def _to_stdout(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def parse_event(line: str) -> dict[str, Any] | None:
    """The event on a line, or ``None`` for a line that is none."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def parse_problem(value: dict[str, Any]) -> Problem:
    """A problem from its plain form; raises ``KeyError`` or ``TypeError`` on another form."""
    return Problem(
        source=str(value["source"]),
        code=str(value["code"]),
        what=Text(str(value["what"]["en"]), str(value["what"]["zh"])),
        remedy=Text(str(value["remedy"]["en"]), str(value["remedy"]["zh"])),
    )
