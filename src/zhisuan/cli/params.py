"""Options and arguments that many commands take."""

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from zhisuan.base.clock import SHANGHAI
from zhisuan.cli.errors import usage_error
from zhisuan.cli.text import arg, opt, t

JsonFlag = Annotated[bool, opt("--json", en="Print one JSON document.", zh="输出一个 JSON 文档。")]
Limit = Annotated[int, opt("--limit", metavar="N", min=1, en="Show at most this many.", zh="最多显示的条数。")]
WorkloadId = Annotated[
    str, arg("Id of a job, service or workspace (job_…, svc_… or wsp_…).", "作业、服务或工作空间的编号（job_…、svc_… 或 wsp_…）。", metavar="ID")
]
Project = Annotated[
    str | None, opt("--project", metavar="PROJECT", en="Project, by id or name.", zh="项目编号或名称。")
]
Envs = Annotated[
    list[str] | None,
    opt(
        "--env",
        metavar="K=V",
        en="Set a variable of the file's envs; can be given many times.",
        zh="设置文件 envs 中的变量；可多次使用。",
    ),
]
Secrets = Annotated[
    list[str] | None,
    opt(
        "--secret",
        metavar="K[=V]",
        en="A secret variable; without =V its value is taken from this shell's environment. Can be given many times.",
        zh="设置密钥变量；省略 =V 时取当前 shell 环境变量的值。可多次使用。",
    ),
]
SecretFile = Annotated[
    Path | None,
    opt(
        "--secret-file",
        metavar="FILE",
        en="Secrets from a file of lines K=V; '-' reads standard input.",
        zh="从文件读取密钥，每行 K=V；- 表示标准输入。",
    ),
]
PasswordStdin = Annotated[
    bool,
    opt(
        "--password-stdin",
        en="Read the password from standard input instead of asking.",
        zh="从标准输入读取密码，不再询问。",
    ),
]


def envs_of(pairs: list[str] | None) -> dict[str, str]:
    """``K=V`` pairs as a mapping. Raises ``InvalidInput`` for one without ``=``."""
    found: dict[str, str] = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise usage_error(f"--env {pair}: it is written NAME=VALUE.", f"--env {pair}：应写成 名称=值。")
        found[name] = value
    return found


def secrets_of(given: list[str] | None, file: Path | None) -> dict[str, str]:
    """Secrets of the file, then those of ``--secret``. Raises ``InvalidInput``; no message holds a value."""
    found = _secret_lines(file) if file is not None else {}
    for one in given or []:
        name, equals, value = one.partition("=")
        if not equals and name not in os.environ:
            raise usage_error(
                f"--secret {name}: this shell's environment has no {name}; set it, or write {name}=VALUE.",
                f"--secret {name}：当前环境没有变量 {name}；请先设置，或写成 {name}=值。",
            )
        found[name] = value if equals else os.environ[name]
    return found


def _secret_lines(file: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror or "") if isinstance(error, OSError) else "not UTF-8"
        raise usage_error(f"--secret-file {file} cannot be read: {why}.", f"--secret-file {file} 无法读取：{why}。") from None
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, value = line.strip().partition("=")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not equals:
            raise usage_error(
                f"--secret-file {file}, line {number}: it is written NAME=VALUE.",
                f"--secret-file {file} 第 {number} 行：应写成 名称=值。",
            )
        quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'"
        found[name.removeprefix("export ").strip()] = value[1:-1] if quoted else value
    return found


def time_of(text: str | None, option: str) -> datetime | None:
    """An ISO 8601 time; without a zone it is Asia/Shanghai. Raises ``InvalidInput``."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise usage_error(
            f"{option} {text}: this is no time; write it like 2026-08-01 or 2026-08-01T12:00:00+08:00.",
            f"{option} {text}：不是有效时间；请写成 2026-08-01 或 2026-08-01T12:00:00+08:00。",
        ) from error
    return at if at.tzinfo else at.replace(tzinfo=SHANGHAI)


def read_password(from_stdin: bool, *, confirm: bool = False) -> str:
    """The password, from standard input or asked for without showing it. Raises ``InvalidInput`` when there is nobody to
    ask."""
    if from_stdin:
        return typer.get_text_stream("stdin").readline().rstrip("\n")
    return ask(t("Password", "密码"), hidden=True, confirm=confirm, otherwise="--password-stdin")


def ask(label: str, *, otherwise: str, hidden: bool = False, confirm: bool = False) -> str:
    """Ask the person at the terminal. Raises ``InvalidInput`` naming the option when there is none."""
    if not typer.get_text_stream("stdin").isatty():
        raise usage_error(
            f"{label} is missing and there is no terminal to ask at; give {otherwise}.",
            f"缺少{label}，且没有终端可供询问；请使用 {otherwise}。",
        )
    again = t("Once more", "再次输入") if confirm else False
    answer: str = typer.prompt(label, hide_input=hidden, confirmation_prompt=again, err=True)
    return answer
