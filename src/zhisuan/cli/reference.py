"""The reference of all commands, made from the commands themselves."""

from collections.abc import Iterator
from typing import Any

from zhisuan.base.errors import ZhisuanError
from zhisuan.cli.commands import ROOT
from zhisuan.cli.errors import INTERRUPTED, NOT_REACHABLE, NOT_SIGNED_IN, REFUSED, USAGE
from zhisuan.cli.help import argument_label, meaning, option_label
from zhisuan.cli.text import in_reader_language, language, say, t, use_language
from zhisuan.cli.tree import Command, Group, built


def render_reference(reader_language: str = "en") -> str:
    """Markdown: every command with its usage, arguments and options; ``reader_language`` is ``en`` or ``zh``."""
    before = language()
    use_language(reader_language)
    try:
        return "\n".join(_lines()).rstrip() + "\n"
    finally:
        use_language(before)


def _lines() -> Iterator[str]:
    yield t("# Command line", "# 命令行")
    yield ""
    yield t(
        "Made from the commands themselves; `zhisuan COMMAND --help` shows the same.",
        "本页由命令本身生成；`zhisuan 命令 --help` 显示相同内容。",
    )
    yield ""
    yield from _settings()
    for section in ROOT:
        yield f"## {say(section.title)}"
        yield ""
        for member in section.members:
            if isinstance(member, Group):
                for below in member.members:
                    yield from _command(below, f"zhisuan {member.name}", default=below.name == member.default)
            else:
                yield from _command(member, "zhisuan", default=False)


def _settings() -> Iterator[str]:
    yield from _table(
        (t("Variable", "环境变量"), t("Meaning", "含义")),
        [
            (
                "`ZHISUAN_LANG`",
                t("`en` or `zh`; else the language of the system.", "`en` 或 `zh`；未设置时取系统语言。"),
            ),
            ("`ZHISUAN_URL`", t("Address of the platform, over any profile.", "平台地址，优先于已保存的配置。")),
            ("`ZHISUAN_API_KEY`", t("Key, over any profile.", "密钥，优先于已保存的配置。")),
            ("`ZHISUAN_PROFILE`", t("Which stored profile is used.", "使用哪个已保存的配置。")),
            ("`ZHISUAN_DEBUG`", t("`1` shows where an unexpected failure happened.", "`1` 显示意外失败的位置。")),
        ],
    )
    yield from _table(
        (t("Exit status", "退出码"), t("Meaning", "含义")),
        [
            ("`0`", t("Done.", "成功。")),
            (f"`{REFUSED}`", t("Refused or failed.", "被拒绝或失败。")),
            (f"`{USAGE}`", t("The command line is wrong.", "命令用法错误。")),
            (f"`{NOT_REACHABLE}`", t("The platform cannot be reached.", "无法连接平台。")),
            (f"`{NOT_SIGNED_IN}`", t("Not signed in.", "尚未登录。")),
            (f"`{INTERRUPTED}`", t("Ctrl-C.", "按下 Ctrl-C。")),
        ],
    )
    yield t(
        "`launch` that waits for its job ends with the job's own status. With `--json` an error is one problem document "
        "(RFC 9457) on standard error.",
        "`launch` 等待作业结束时，以作业自身的退出码退出。使用 `--json` 时，错误以一个问题文档（RFC 9457）写到标准错误。",
    )
    yield ""


def _command(member: Command, above: str, *, default: bool) -> Iterator[str]:
    yield f"### `{above} {member.name}`"
    yield ""
    yield in_reader_language(member.help) + (
        t(f" The same as `{above}` alone.", f"等同于 `{above}`。") if default else ""
    )
    yield ""
    try:
        command = built(member)
    except ZhisuanError:
        # Part of another package that is not installed here; its line above is all there is to say.
        return
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    usage = " ".join([above, member.name, *(argument_label(p) for p in arguments), t("[OPTIONS]", "[选项]")])
    yield f"```\n{usage}\n```"
    yield ""
    yield from _parameters(t("Argument", "参数"), [(argument_label(p), p) for p in arguments])
    yield from _parameters(t("Option", "选项"), [(option_label(p), p) for p in options])


def _parameters(head: str, known: list[tuple[str, Any]]) -> Iterator[str]:
    if known:
        yield from _table((head, t("Meaning", "含义")), [(f"`{label}`", meaning(p)) for label, p in known])


def _table(heads: tuple[str, str], rows: list[tuple[str, str]]) -> Iterator[str]:
    yield f"| {heads[0]} | {heads[1]} |"
    yield "| --- | --- |"
    for left, right in rows:
        yield f"| {_cell(left)} | {_cell(right)} |"
    yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
