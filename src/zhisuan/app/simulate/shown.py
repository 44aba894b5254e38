"""What the simulations have in common on the screen: progress, bad rows, one JSON document."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from zhisuan.base.errors import InvalidInput
from zhisuan.base.text import Text
from zhisuan.cli.text import language, t
from zhisuan.simulation.rows import Skips


class Advance(Protocol):
    def __call__(self, done: int, told: str = "") -> None: ...


@contextmanager
def progress(what: str, total: int | None, *, quiet: bool = False) -> Iterator[Advance]:
    """A bar on standard error while the block works; call what is given with how much is done. Nothing where that is no terminal."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda done, told="": None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[told]}"))  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=total, told="")
        yield lambda done, told="": bar.update(task, completed=done, told=told)


def document(result: Any) -> bytes:
    """One JSON document, the same bytes for the same result."""
    return orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY)


def put_json(result: Any) -> None:
    sys.stdout.write(document(result).decode())


def write_file(path: Path, data: bytes) -> None:
    """Raises InvalidInput where ``path`` cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        why = error.strerror or str(error)
        raise InvalidInput(
            Text(f"The file {path} cannot be written: {why}.", f"无法写入文件 {path}：{why}。"),
            Text("Name a file in a folder that can be written.", "请指定可写目录中的文件。"),
            code="file_unwritable",
        ) from error


def show_skips(skips: Skips) -> None:
    """Bad rows, on standard error: how many, and the first of them."""
    if not skips.count:
        return
    console = Console(stderr=True, highlight=False)
    console.print(t(f"{skips.count} rows were skipped:", f"跳过了 {skips.count} 行："), style="yellow")
    for one in skips.first:
        console.print(f"  {one.file}:{one.line}: {one.reason.in_language(language())}")
    if skips.count > len(skips.first):
        more = skips.count - len(skips.first)
        console.print(t(f"  … and {more} more", f"  …… 另有 {more} 行"))
