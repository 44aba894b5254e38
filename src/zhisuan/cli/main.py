"""``zhisuan``: the entry point."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from zhisuan import __version__
from zhisuan.cli.commands import ROOT
from zhisuan.cli.errors import run_guarded
from zhisuan.cli.session import use_profile
from zhisuan.cli.text import Help, environment_language, opt, use_language
from zhisuan.cli.tree import LazyGroup

ABOUT = Help(
    "The open platform for a city's AI compute.\n\n"
    "Every command takes --json. ZHISUAN_LANG (en or zh) sets the language; ZHISUAN_URL and ZHISUAN_API_KEY go over what "
    "'zhisuan login' has stored.",
    "城市智算开放平台。\n\n"
    "所有命令都支持 --json。ZHISUAN_LANG（en 或 zh）设置语言；ZHISUAN_URL 与 ZHISUAN_API_KEY 优先于 zhisuan login 保存的内容。",
)


class RootGroup(LazyGroup):
    """All commands; here the language is set and every error ends."""

    about = ABOUT
    sections = ROOT
    takes_entry_points = True

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
            return super(RootGroup, self).main(
                words,
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


@app.callback()
def root(
    context: typer.Context,
    profile: Annotated[
        str | None,
        opt("--profile", metavar="NAME", en="Use this stored profile.", zh="使用指定的已保存配置。"),
    ] = None,
    version: Annotated[bool, opt("--version", en="Show the version.", zh="显示版本。")] = False,
) -> None:
    use_profile(profile)
    if version:
        sys.stdout.write(f"zhisuan {__version__}\n")
        raise typer.Exit
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help() + "\n")


def main() -> None:
    """Run the command line; ends the process."""
    typer.main.get_command(app).main()
