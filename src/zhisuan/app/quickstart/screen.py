"""What a quickstart shows: numbered stations, indented facts, a bar for long work; plain lines where there is no terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from zhisuan.base.text import Text

LABEL_WIDTH = 14


class Screen:
    def __init__(self, console: Console, language: str) -> None:
        self.console = console
        self.language = language

    def text(self, text: Text) -> str:
        return text.in_language(self.language)

    def station(self, number: str, text: Text) -> None:
        self.console.print(f"\n[bold cyan]{number}[/] [bold]{escape(self.text(text))}[/]")

    def fact(self, text: Text, value: str = "") -> None:
        label = escape(self.text(text))
        self.console.print(f"   {label}{'  ' + escape(value) if value else ''}", highlight=False, soft_wrap=True)

    def good(self, text: Text, value: str = "") -> None:
        self.console.print(
            f"   [green]✓[/] {escape(self.text(text))}{'  ' + escape(value) if value else ''}",
            highlight=False,
            soft_wrap=True,
        )

    def bad(self, text: Text, value: str = "") -> None:
        self.console.print(
            f"   [red]✗[/] {escape(self.text(text))}{'  ' + escape(value) if value else ''}",
            highlight=False,
            soft_wrap=True,
        )

    def output(self, line: str) -> None:
        self.console.print(f"   [dim]│[/] {escape(line)}", highlight=False, soft_wrap=True)

    @contextmanager
    def bar(self, text: Text) -> Iterator["Bar"]:
        """A bar that stays below the lines printed meanwhile; nothing where there is no terminal."""
        if not self.console.is_terminal:
            yield Bar(None, None)
            return
        columns = (
            TextColumn("   {task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            yield Bar(progress, progress.add_task(escape(self.text(text)), total=1_000_000))


class Bar:
    def __init__(self, progress: Progress | None, task: TaskID | None) -> None:
        self._progress, self._task = progress, task

    def at(self, ppm: int) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=ppm)
