"""How a command ends when it does not end well.

| exit status | meaning |
| --- | --- |
| 0 | done |
| 1 | refused or failed |
| 2 | the command line is wrong |
| 3 | the platform cannot be reached |
| 4 | not signed in |

``launch`` that waits for its job ends with the job's own status.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.exceptions import TyperException

from zhisuan.base.errors import InvalidInput, NotAuthenticated, Unavailable, ZhisuanError
from zhisuan.base.text import Text
from zhisuan.cli.cells import printable, wrapped
from zhisuan.cli.help import line_width
from zhisuan.cli.text import language, say, t

REFUSED, USAGE, NOT_REACHABLE, NOT_SIGNED_IN, INTERRUPTED = 1, 2, 3, 4, 130


def exit_status(error: ZhisuanError) -> int:
    if isinstance(error, NotAuthenticated):
        return NOT_SIGNED_IN
    if isinstance(error, Unavailable):
        return NOT_REACHABLE
    if isinstance(error, InvalidInput) and error.code == "usage":
        return USAGE
    return REFUSED


def usage_error(en: str, zh: str, remedy_en: str = "", remedy_zh: str = "") -> InvalidInput:
    """A wrong command line that shows only once the command runs."""
    return InvalidInput(Text(en, zh), Text(remedy_en, remedy_zh), code="usage")


def wants_json(words: Sequence[str]) -> bool:
    """Whether ``--json`` was asked for, known even where the command line is wrong."""
    return "--json" in (words[: words.index("--")] if "--" in words else words)


def run_guarded(work: Callable[[], Any], words: Sequence[str]) -> int:
    """Run a command; say what went wrong, and give the exit status."""
    as_json = wants_json(words)
    try:
        result = work()
    except ZhisuanError as error:
        report(error, as_json)
        return exit_status(error)
    except TyperException as error:
        report(_of_typer(error), as_json)
        return int(getattr(error, "exit_code", USAGE))
    except typer.Abort:
        sys.stderr.write(t("Stopped.\n", "已中止。\n"))
        return INTERRUPTED
    except BrokenPipeError:
        return REFUSED
    except Exception as error:
        if os.environ.get("ZHISUAN_DEBUG"):
            traceback.print_exc()
        report(_unexpected(error), as_json)
        return REFUSED
    return result if isinstance(result, int) and not isinstance(result, bool) else 0


def report(error: ZhisuanError, as_json: bool) -> None:
    """The error on standard error: the problem document, or what happened and what to do."""
    if as_json:
        sys.stderr.write(json.dumps(error.as_problem(language()), ensure_ascii=False) + "\n")
        return
    head = t("Error: ", "错误：")
    lines = wrapped(printable(head + say(error.what)), line_width())
    for problem in error.problems:
        lines += _indented(printable(f"{problem.where}{t(': ', '：')}{say(problem.problem)}"), "  ")
    if say(error.remedy):
        lines += wrapped(printable(say(error.remedy)), line_width())
    sys.stderr.write("\n".join(lines) + "\n")


def _indented(text: str, indent: str) -> list[str]:
    return [indent + line for line in wrapped(text, line_width() - len(indent))]


def _unexpected(error: Exception) -> ZhisuanError:
    told = f"{type(error).__name__}: {error}"
    return ZhisuanError(
        Text(f"The command failed unexpectedly: {told}", f"命令意外失败：{told}"),
        Text(
            "Set ZHISUAN_DEBUG=1 to see where; then report it.", "设置 ZHISUAN_DEBUG=1 可查看出错位置；请反馈此问题。"
        ),
    )


def _of_typer(error: TyperException) -> InvalidInput:
    """A mistake on the command line in the reader's language. The parser's classes are told apart by their names, as
    they are not part of its public face."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "zhisuan"
    remedy = Text(f"'{path} --help' shows how it is used.", f"用法见 {path} --help。")
    return InvalidInput(_what_of(error, type(error).__name__), remedy, code="usage")


def _what_of(error: TyperException, family: str) -> Text:
    told = error.format_message()
    if family == "NoSuchOption":
        name, near = getattr(error, "option_name", ""), getattr(error, "possibilities", None) or ()
        hint = Text(f" Did you mean {', '.join(near)}?", f" 您是否想用 {'、'.join(near)}？") if near else Text("", "")
        return Text(f"There is no option {name}.{hint.en}", f"没有选项 {name}。{hint.zh}")
    if family == "MissingParameter":
        name = _parameter(error)
        return Text(f"{name} is missing.", f"缺少 {name}。")
    if family == "BadParameter":
        name, message = _parameter(error), getattr(error, "message", told)
        return Text(f"{name}: {message}", f"{name}：{message}")
    if family == "BadOptionUsage":
        name = getattr(error, "option_name", "")
        return Text(told, f"选项 {name} 缺少取值或取值个数不对。")
    if told.startswith("Got unexpected extra argument"):
        extra = told.rpartition("(")[2].rstrip(").")
        return Text(f"This is too much: {extra}", f"多余的参数：{extra}")
    return Text(told, told)


def _parameter(error: TyperException) -> str:
    hint = getattr(error, "param_hint", None)
    if hint:
        return str(hint).strip("'")
    found = getattr(error, "param", None)
    if found is None:
        return "?"
    if found.param_type_name == "option":
        return str(max(found.opts, key=len))
    return str(found.metavar or found.name).upper()
