"""Help pages, in the reader's language and without anything heavy loaded.

The parser's own pages know one language and count characters, not cells; these take their facts from the same command
objects.
"""

import shutil
from collections.abc import Iterable
from typing import Any

from zhisuan.cli.cells import padded, width_of, wrapped
from zhisuan.cli.text import Help, in_reader_language, t

WIDTH_MAX = 100
LABEL_MAX = 34
HELP = "--help"
ABOUT_HELP = Help("Show this page.", "显示本页。")


def _help_row() -> tuple[str, str]:
    return HELP, in_reader_language(ABOUT_HELP)


def line_width() -> int:
    return min(WIDTH_MAX, shutil.get_terminal_size((80, 24)).columns)


def two_columns(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Labels and what they mean; the meaning goes on under itself."""
    known = list(rows)
    left = min(LABEL_MAX, max((width_of(label) for label, _ in known), default=0))
    room = max(20, line_width() - left - 4)
    lines = []
    for label, meaning in known:
        parts = wrapped(meaning, room)
        if width_of(label) > left:
            lines.append(f"  {label}")
            lines += [" " * (left + 4) + part for part in parts]
        else:
            lines.append(f"  {padded(label, left)}  {parts[0]}".rstrip())
            lines += [" " * (left + 4) + part for part in parts[1:]]
    return lines


def paragraphs(text: str) -> list[str]:
    """Text of blank-line separated paragraphs, indented by two."""
    lines: list[str] = []
    for paragraph in text.strip().split("\n\n"):
        if lines:
            lines.append("")
        lines += ["  " + line for line in wrapped(" ".join(paragraph.split()), line_width() - 2)]
    return lines


def command_page(context: Any, command: Any, about: str) -> str:
    """The page of one command: usage, what it does, its arguments and options."""
    parameters = [p for p in command.get_params(context) if not getattr(p, "hidden", False)]
    arguments = [p for p in parameters if p.param_type_name == "argument"]
    options = [p for p in parameters if p.param_type_name == "option"]
    usage = " ".join([context.command_path, *(argument_label(p) for p in arguments), t("[OPTIONS]", "[选项]")])
    lines = [f"{t('Usage: ', '用法：')}{usage}", "", *paragraphs(about)]
    if arguments:
        lines += ["", t("Arguments:", "参数："), *two_columns((argument_label(p), meaning(p)) for p in arguments)]
    lines += [
        "",
        t("Options:", "选项："),
        *two_columns([*((option_label(p), meaning(p)) for p in options), _help_row()]),
    ]
    return "\n".join(lines)


def group_page(
    context: Any,
    command: Any,
    about: str,
    sections: Iterable[tuple[str, list[tuple[str, str]]]],
    more_options: Iterable[tuple[str, str]] = (),
) -> str:
    """The page of a group: usage, what it is for, its commands in sections, its options."""
    usage = f"{context.command_path} {t('[OPTIONS] COMMAND …', '[选项] 命令 …')}"
    lines = [f"{t('Usage: ', '用法：')}{usage}", "", *paragraphs(about)]
    for title, rows in sections:
        lines += ["", title, *two_columns(rows)]
    options = [(option_label(p), meaning(p)) for p in command.get_params(context) if not getattr(p, "hidden", False)]
    lines += ["", t("Options:", "选项："), *two_columns([*more_options, *options, _help_row()])]
    return "\n".join(lines)


def argument_label(parameter: Any) -> str:
    name = str(parameter.metavar or parameter.name).upper()
    name += "…" if parameter.nargs != 1 else ""
    return name if parameter.required else f"[{name}]"


def option_label(parameter: Any) -> str:
    names = ", ".join(sorted(parameter.opts, key=len))
    if parameter.secondary_opts:
        names += " / " + ", ".join(parameter.secondary_opts)
    if parameter.is_flag:
        return names
    return f"{names} {parameter.metavar or parameter.name.upper().replace('-', '_')}"


def meaning(parameter: Any) -> str:
    text = in_reader_language(parameter.help)
    default = parameter.default
    if parameter.param_type_name == "option" and parameter.required:
        text += t(" (needed)", "（必填）")
    elif default not in (None, False, (), []) and not callable(default) and parameter.show_default:
        text += t(f" (default: {default})", f"（默认：{default}）")
    return text
