"""Commands as a tree that is known without loading any of them.

A command's code, and what it imports, is loaded when that command runs. Commands of other packages (``up``, ``quickstart``
…) come through the entry points ``zhisuan.commands``: the command line never imports them by name.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from zhisuan.base.errors import ZhisuanError
from zhisuan.base.text import Text
from zhisuan.cli.help import HELP, command_page, group_page
from zhisuan.cli.text import in_reader_language, say, t

ENTRY_POINTS = "zhisuan.commands"


@dataclass(frozen=True, slots=True)
class Command:
    """One command: ``source`` is ``module:function`` of this package, or ``@name`` of an entry point."""

    name: str
    source: str
    help: str


@dataclass(frozen=True, slots=True)
class Group:
    """Commands under one word; ``default`` is the one meant when none is named."""

    name: str
    help: str
    members: tuple[Command, ...]
    default: str | None = None


def _show_page(command: Any, ctx: Any) -> NoReturn:
    """Print a help page and end. The parser's own ``--help`` loads its validation library whenever it is *not* given."""
    sys.stdout.write(command.get_help(ctx) + "\n")
    raise typer.Exit


@dataclass(frozen=True, slots=True)
class Section:
    """Commands that belong together on the first page."""

    title: Text
    members: tuple[Command | Group, ...]


class PageCommand(TyperCommand):
    """A command whose help page is ours."""

    about: str = ""

    def get_help(self, ctx: Any) -> str:
        return command_page(ctx, self, in_reader_language(self.about))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if HELP in (args[: args.index("--")] if "--" in args else args):
            _show_page(self, ctx)
        return super().parse_args(ctx, args)


class LazyGroup(TyperGroup):
    """A group that loads a command when it is named. ``sections`` is set by who makes it."""

    about: str = ""
    sections: tuple[Section, ...] = ()
    default: str | None = None
    takes_entry_points = False
    more_options: tuple[tuple[str, str], ...] = ()

    def get_help(self, ctx: Any) -> str:
        shown = [
            (f"{say(s.title)}{t(':', '：')}", [(m.name, in_reader_language(m.help)) for m in s.members])
            for s in self.sections
        ]
        more = [(label, in_reader_language(told)) for label, told in self.more_options]
        return group_page(ctx, self, in_reader_language(self.about), shown, more)

    def list_commands(self, ctx: Any) -> list[str]:
        return [member.name for section in self.sections for member in section.members]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        for section in self.sections:
            for member in section.members:
                if member.name == cmd_name:
                    return built(member)
        if self.takes_entry_points and (function := _entry_point(cmd_name)) is not None:
            return _command(cmd_name, function, function.__doc__ or "")
        return None

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] == HELP:
            _show_page(self, ctx)
        if self.default and (not args or args[0].startswith("-")):
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        found = self.get_command(ctx, args[0])
        if found is None:
            near = get_close_matches(args[0], self.list_commands(ctx), n=3)
            hint = t(f" Did you mean {', '.join(near)}?", f" 您是否想用 {'、'.join(near)}？") if near else ""
            ctx.fail(t(f"There is no command {args[0]}.", f"没有命令 {args[0]}。") + hint)
        return args[0], found, args[1:]

    def invoke(self, ctx: Any) -> Any:
        if not ctx._protected_args and not self.invoke_without_command:
            ctx.fail(t("A command is missing.", "缺少命令。"))
        return super().invoke(ctx)


@cache
def built(member: Command | Group) -> Any:
    """The parser's object of a command or group."""
    if isinstance(member, Command):
        return _command(member.name, _load(member), member.help)
    app = typer.Typer(name=member.name, cls=LazyGroup, add_completion=False, rich_markup_mode=None)
    app.callback(add_help_option=False)(_nothing)
    group = typer.main.get_command(app)
    if not isinstance(group, LazyGroup):
        raise TypeError("typer made no group of a typer with a callback")
    group.about, group.default = member.help, member.default
    group.sections = (Section(Text("Commands", "命令"), member.members),)
    return group


def _nothing() -> None:
    pass


def _command(name: str, function: Callable[..., Any], about: str) -> Any:
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name, cls=PageCommand, add_help_option=False)(function)
    command = typer.main.get_command(app)
    if not isinstance(command, PageCommand):
        raise TypeError("typer made no command of a typer with one function")
    command.about = about
    return command


def _load(command: Command) -> Callable[..., Any]:
    if command.source.startswith("@"):
        name = command.source[1:]
        function = _entry_point(name)
        if function is None:
            raise _not_installed(name)
        return function
    module, _, attribute = command.source.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), attribute)
    return found


def _entry_point(name: str) -> Callable[..., Any] | None:
    """The function that an installed package gives for ``name``. Raises ``ZhisuanError`` when it cannot be loaded."""
    from importlib.metadata import entry_points

    for found in entry_points(group=ENTRY_POINTS, name=name):
        try:
            function: Callable[..., Any] = found.load()
        except Exception as error:
            raise _broken(name, found.value, error) from error
        return function
    return None


def _not_installed(name: str) -> ZhisuanError:
    return ZhisuanError(
        Text(f"The command '{name}' is not part of this installation.", f"当前安装中没有命令 {name}。"),
        Text(
            "Install zhisuan again ('pip install zhisuan'); what is installed may be older than its command line.",
            "请重新安装 zhisuan（pip install zhisuan）；已安装的内容可能早于命令行版本。",
        ),
        code="command_not_installed",
    )


def _broken(name: str, where: str, error: Exception) -> ZhisuanError:
    told = f"{type(error).__name__}: {error}"
    return ZhisuanError(
        Text(f"The command '{name}' ({where}) cannot be loaded: {told}.", f"无法加载命令 {name}（{where}）：{told}。"),
        Text(
            "Install what is missing, or install zhisuan again; ZHISUAN_DEBUG=1 shows where it failed.",
            "请安装缺少的依赖，或重新安装 zhisuan；设置 ZHISUAN_DEBUG=1 可查看出错位置。",
        ),
        code="command_broken",
    )
