"""``zhisuan``: the entry point."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from zhisuan import __version__
from zhisuan.cli.commands import ROOT
from zhisuan.cli.errors import run_guarded, usage_error
from zhisuan.cli.session import use_profile
from zhisuan.cli.text import Help, environment_language, opt, use_language
from zhisuan.cli.tree import LazyGroup

ABOUT = Help(
    "The open platform for a city's AI compute.\n\n"
    "Every command that prints takes --json. ZHISUAN_LANG (en or zh) sets the language; ZHISUAN_URL and ZHISUAN_API_KEY go over what "
    "'zhisuan login' has stored.",
    "城市智算开放平台。\n\n"
    "输出结果的命令都支持 --json。ZHISUAN_LANG（en 或 zh）设置语言；ZHISUAN_URL 与 ZHISUAN_API_KEY 优先于 zhisuan login 保存的内容。",
)


PROFILE = "--profile"


def take_profile(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """The profile named before the command, and the words without it.

    Read here and not by the parser, whose options load its validation library: help and mistakes do without that.
    """
    found, left = None, list(words)
    while left and left[0].partition("=")[0] == PROFILE:
        _, equals, value = left.pop(0).partition("=")
        if not equals and not left:
            raise usage_error("--profile is missing its name.", "--profile 缺少名称。")
        found = value if equals else left.pop(0)
    return found, left


class RootGroup(LazyGroup):
    """All commands; here the language is set and every error ends."""

    about = ABOUT
    sections = ROOT
    takes_entry_points = True
    more_options = ((f"{PROFILE} NAME", Help("Use this stored profile.", "使用指定的已保存配置。")),)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        words = list(sys.argv[1:] if args is None else args)
        use_language(environment_language())

        def work() -> Any:
            profile, rest = take_profile(words)
            use_profile(profile)
            return super(RootGroup, self).main(
                rest,
                prog_name="zhisuan",
                complete_var=complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )

        sys.exit(run_guarded(work, words))


app = typer.Typer(
    cls=RootGroup,
    add_completion=False,
    rich_markup_mode=None,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
)


@app.callback(add_help_option=False)
def root(
    context: typer.Context,
    version: Annotated[bool, opt("--version", en="Show the version.", zh="显示版本。")] = False,
) -> None:
    if version:
        sys.stdout.write(f"zhisuan {__version__}\n")
        raise typer.Exit
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help() + "\n")


def main() -> None:
    """Run the command line; ends the process."""
    typer.main.get_command(app).main()
