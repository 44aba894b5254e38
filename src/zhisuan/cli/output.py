"""What a command prints: one JSON document, or text and tables for people.

On a terminal there is colour and the terminal's width. Elsewhere there is neither: a table row is one line however long,
unless ``COLUMNS`` says otherwise. Ids are never cut.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from zhisuan.cli.cells import printable, width_of
from zhisuan.cli.text import word

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

ENDLESS = 100_000
WHOLE = "!>"
ROOM_MIN = 12
GAP = 2
NARROW = 50
STYLES = {
    "succeeded": "green", "running": "cyan", "active": "cyan", "ready": "green", "open": "green", "failed": "red",
    "cancelled": "yellow", "paused": "yellow", "pending": "yellow", "waiting": "yellow", "draining": "yellow", "not_ready": "yellow",
}  # fmt: skip


def style_of(state: str) -> str:
    return STYLES.get(state, "")


def print_json(document: Any) -> None:
    """The one document of ``--json``."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")


class Screen:
    """Text for people on standard output; remarks beside the result go to standard error."""

    @cached_property
    def console(self) -> "Console":
        return _console(stderr=False)

    def line(self, text: str = "", style: str = "") -> None:
        self._print(self.console, text, style)

    def title(self, text: str) -> None:
        self.line(text, "bold")

    def facts(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Labels and values in two columns; one below the other where it is too narrow for that."""
        from rich.table import Table

        if self.console.width < NARROW:
            for label, value in pairs:
                self.line(label, "dim")
                self.line(value)
            return
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, style="dim")
        table.add_column(overflow="fold")
        for label, value in pairs:
            table.add_row(_text(label), _text(value))
        self._print_table(table)

    def table(self, columns: str, rows: Iterable[Sequence[str]], styles: Sequence[str] = ()) -> None:
        """``columns`` are keys of ``text.WORDS``, each with a mark: ``!`` before one whose values stay whole on one line,
        ``>`` before one aligned right, whole too. ``styles`` colours row by row.

        Where the whole ones leave no room for the rest, each row becomes a list of its own.
        """
        from rich.table import Table

        keys, known = columns.split(), [tuple(printable(value) for value in row) for row in rows]
        heads = [word(key.lstrip("!>")) for key in keys]
        if not _fits(keys, heads, known, self.console.width):
            self._cards(heads, known)
            return
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for key, head in zip(keys, heads, strict=True):
            table.add_column(
                _text(head),
                no_wrap=key[0] in WHOLE,
                overflow="fold",
                justify="right" if key[0] == ">" else "left",
                min_width=width_of(head),
            )
        for index, row in enumerate(known):
            table.add_row(*(_text(value) for value in row), style=styles[index] if index < len(styles) else "")
        self._print_table(table)

    def _print_table(self, table: "Table") -> None:
        if self.console.is_terminal:
            self.console.print(table)
            return
        # Cells are filled up with blanks; at the end of a line in a file they are only in the way.
        with self.console.capture() as shown:
            self.console.print(table)
        sys.stdout.write("".join(line.rstrip() + "\n" for line in shown.get().splitlines()))

    def _cards(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        for index, row in enumerate(rows):
            if index:
                self.line()
            self.facts(zip(heads, row, strict=True))

    def note(self, text: str, style: str = "dim") -> None:
        """A remark: to standard error, so that the result can be piped on."""
        self._print(_console(stderr=True), text, style)

    @staticmethod
    def _print(console: "Console", text: str, style: str) -> None:
        console.print(_text(text), style=style, soft_wrap=not console.is_terminal)


def _fits(keys: Sequence[str], heads: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> bool:
    """Whether a table keeps its whole columns whole in ``width`` cells, and leaves the others room to read."""
    needed = GAP * (len(keys) - 1)
    for place, key in enumerate(keys):
        widest = max((width_of(line) for row in rows for line in row[place].split("\n")), default=0)
        needed += max(width_of(heads[place]), widest if key[0] in WHOLE else min(widest, ROOM_MIN))
    return needed <= width


def _text(value: str) -> Any:
    from rich.text import Text

    return Text(printable(value))


def _console(*, stderr: bool) -> "Console":
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    wide = None if stream.isatty() or os.environ.get("COLUMNS", "").isdigit() else ENDLESS
    return Console(file=stream, width=wide, highlight=False, markup=False, emoji=False)


def show(as_json: bool, document: Any, draw: Callable[[Screen], None]) -> None:
    """Print the result one way or the other."""
    if as_json:
        print_json(document)
    else:
        draw(Screen())


def items(found: Iterable[Any]) -> dict[str, Any]:
    """A list as one document."""
    return {"items": [item.as_json() for item in found]}
