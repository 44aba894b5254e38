"""``envs``: the variables that the work sees."""

import re
from datetime import date
from typing import Any

from zhisuan.base.text import Text
from zhisuan.workload.reading.reader import Reader

ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def name_problem(name: str) -> Text | None:
    """What is wrong with the name of a variable that a tenant sets."""
    if not ENV_NAME.fullmatch(name):
        return Text("is not a name for an environment variable", "不是有效的环境变量名")
    if name.startswith("ZHISUAN_"):
        return Text("names beginning with ZHISUAN_ are set by the platform", "以 ZHISUAN_ 开头的变量由平台设置")
    return None


def read_envs(reader: Reader, value: Any) -> dict[str, str]:
    envs = {}
    for name, content in reader.mapping("envs", value).items():
        problem = name_problem(name)
        if problem is not None:
            reader.refuse(f"envs.{name}", problem)
        elif content is None:
            reader.wrong(
                f"envs.{name}", "has no value; give one here or with --env", "没有值；请在文件中填写或用 --env 指定"
            )
        elif not isinstance(content, str | int | float | date):
            reader.wrong(f"envs.{name}", "must be one value", "必须是单个值")
        else:
            envs[name] = str(content)
    return envs
