"""``templates`` and ``jobs copy``: workload files to begin with, and launching again what ran before."""

import sys
from pathlib import Path
from typing import Annotated

from zhisuan.cli.errors import usage_error
from zhisuan.cli.launching import show_launched
from zhisuan.cli.output import Screen, items, show
from zhisuan.cli.params import Envs, JsonFlag, Project, SecretFile, Secrets, WorkloadId, envs_of, secrets_of
from zhisuan.cli.session import connect
from zhisuan.cli.text import arg, opt, say, t


def copy(
    workload_id: WorkloadId,
    name: Annotated[str | None, opt("--name", metavar="NAME", en="Its name.", zh="新名称。")] = None,
    project: Project = None,
    detach: Annotated[bool, opt("--detach", "-d", en="Do not follow it.", zh="启动后不跟踪。")] = False,
    env: Envs = None,
    secret: Secrets = None,
    secret_file: SecretFile = None,
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        secrets = secrets_of(secret, secret_file)
        made = client.copy(workload_id, name=name, project=project, envs=envs_of(env), secrets=secrets)
        show_launched(client, made, detach=detach, as_json=as_json)


def templates(
    name: Annotated[
        str | None,
        arg("Print the file of this template.", "输出此模板的文件内容。", metavar="NAME"),
    ] = None,
    write: Annotated[
        Path | None,
        opt("--write", metavar="FILE", en="Write it to this file.", zh="写入此文件。"),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        found = list(client.templates())
    if name is None:
        show(as_json, items(found), lambda screen: _draw(screen, [(x.name, say(x.title), say(x.about)) for x in found]))
        return
    chosen = next((x for x in found if x.name == name), None)
    if chosen is None:
        names = ", ".join(x.name for x in found)
        raise usage_error(f"There is no template {name}; there are {names}.", f"没有模板 {name}；现有：{names}。")
    if write is not None:
        if write.exists():
            raise usage_error(f"{write} exists already; choose another file.", f"{write} 已存在；请换一个文件名。")
        write.write_text(chosen.file, "utf-8")
    file = chosen.file

    def draw(screen: Screen) -> None:
        if write is None:
            sys.stdout.write(file)
        else:
            screen.note(t(f"It is in {write}; 'zhisuan launch {write}' runs it.", f"已写入 {write}；用 zhisuan launch {write} 启动。"))

    show(as_json, chosen.as_json(), draw)


def _draw(screen: Screen, rows: list[tuple[str, str, str]]) -> None:
    screen.table("!name title about", rows)
    screen.note(
        t("'zhisuan templates NAME --write job.yaml' writes one down.", "用 zhisuan templates NAME --write job.yaml 保存一个模板。")
    )
