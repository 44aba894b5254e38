"""Tools that answer ``--query-gpu=FIELD,… --format=csv,noheader,nounits``: nvidia-smi, and ixsmi after its example."""

import re
from collections.abc import Iterable, Sequence

from zhisuan.site.discovery.accelerators.common import run_tool
from zhisuan.site.discovery.reader import HostReader, ToolResult

_REFUSED = re.compile(r'Field "([^"]+)" is not a valid field to query')


def query(tool: str, fields: Sequence[str]) -> tuple[str, ...]:
    return (tool, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits")


def refused_field(result: ToolResult) -> str | None:
    """The field that the tool does not know, where it said so."""
    refused = _REFUSED.search(result.stdout + result.stderr)
    return refused[1] if refused else None


def ask(
    reader: HostReader, tool: str, fields: Sequence[str], optional: Iterable[str]
) -> tuple[ToolResult, tuple[str, ...]]:
    """The answer and the fields it holds. A tool names one refused field a run; the optional ones are left out then."""
    asked, spare = tuple(fields), set(optional)
    result = run_tool(reader, query(tool, asked))
    while (refused := refused_field(result)) in spare:
        spare.discard(refused or "")
        asked = tuple(field for field in asked if field != refused)
        result = run_tool(reader, query(tool, asked))
    return result, asked


def rows(output: str, fields: Sequence[str]) -> list[dict[str, str] | None]:
    """Every line as field → value; ``None`` for a line with another number of values."""
    found: list[dict[str, str] | None] = []
    for line in output.splitlines():
        if line.strip():
            values = [value.strip() for value in line.split(",")]
            found.append(dict(zip(fields, values, strict=True)) if len(values) == len(fields) else None)
    return found
