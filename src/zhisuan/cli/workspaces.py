"""``workspace``: interactive sessions at a site."""

import json
import sys
import time
import webbrowser
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zhisuan.base.errors import Unavailable
from zhisuan.base.text import Text
from zhisuan.cli.errors import usage_error
from zhisuan.cli.figures import cny, du, yuan
from zhisuan.cli.output import Screen, items, print_json, show, style_of
from zhisuan.cli.params import JsonFlag, Limit, Project
from zhisuan.cli.session import access_now, connect
from zhisuan.cli.text import arg, opt, state, t

if TYPE_CHECKING:
    from zhisuan.sdk import Client
    from zhisuan.sdk.types import Launched, Workspace

POLL_SECONDS = 1.0
READY_SECONDS = 300.0
KINDS = ("jupyter", "shell")
WorkspaceId = Annotated[str, arg("Id of a workspace (wsp_…).", "工作空间编号（wsp_…）。", metavar="ID")]


def start(
    file: Annotated[
        Path | None,
        arg(
            "A workload file with zhisuan.workspace. Without one, the options say what to start.",
            "含 zhisuan.workspace 的工作负载文件；不提供时由选项决定。",
            metavar="FILE",
        ),
    ] = None,
    kind: Annotated[
        str | None, opt("--kind", metavar="jupyter|shell", en="JupyterLab (the default), or a shell.", zh="JupyterLab（默认）或终端 shell。")
    ] = None,
    name: Annotated[str | None, opt("--name", metavar="NAME", en="Its name.", zh="名称。")] = None,
    cpus: Annotated[str | None, opt("--cpus", metavar="N", en="CPU cores; 1 if not given.", zh="CPU 核数，默认 1。")] = None,
    memory: Annotated[
        str | None, opt("--memory", metavar="GiB", en="Memory in GiB; 2 if not given.", zh="内存（GiB），默认 2。")
    ] = None,
    gpu: Annotated[
        str | None, opt("--gpu", metavar="NAME[:N]", en="Accelerators, such as A100:1.", zh="加速卡，例如 A100:1。")
    ] = None,
    max_duration: Annotated[
        str | None, opt("--max-duration", metavar="TIME", en="End it after this time, such as 8h.", zh="最长运行时间，例如 8h。")
    ] = None,
    project: Project = None,
    detach: Annotated[bool, opt("--detach", "-d", en="Do not wait until it is ready.", zh="不等待就绪。")] = False,
    as_json: JsonFlag = False,
) -> None:  # fmt: skip
    asked = {"cpus": cpus, "memory": memory, "accelerators": gpu}
    if file is not None and any(v is not None for v in (kind, name, max_duration, *asked.values())):
        raise usage_error("Give a file or options, not both.", "文件与选项只能提供其一。")
    with connect() as client:
        if file is not None:
            made = client.launch(file, project=project)
        else:
            made = client.submit(_file(kind or KINDS[0], name, asked, max_duration), project=project)
        if made.workload.kind != "workspace":
            client.cancel(made.workload.id)
            raise usage_error(
                f"{file} is no workspace: it has no zhisuan.workspace. It was ended again.",
                f"{file} 不是工作空间（缺少 zhisuan.workspace），已取消。",
            )
        if not as_json:
            _draw_started(made)
        found = client.workspace(made.workload.id) if detach else _until_ready(client, made.workload.id)
    show(as_json, found.as_json(), lambda screen: _draw_ready(screen, found))
    if found.status == "ended":
        raise typer.Exit(1)


def _file(kind: str, name: str | None, asked: dict[str, str | None], max_duration: str | None) -> str:
    """The workload file of these options: JSON is YAML, and quotes whatever was typed."""
    if kind not in KINDS:
        raise usage_error(f"--kind {kind}: it is jupyter or shell.", f"--kind {kind}：须为 jupyter 或 shell。")
    own: dict[str, Any] = {"workspace": kind}
    if max_duration is not None:
        own["max_duration"] = max_duration
    resources = {key: value for key, value in asked.items() if value is not None}
    return json.dumps({"name": name or kind, "resources": resources, "zhisuan": own}, ensure_ascii=False)


def _draw_started(made: "Launched") -> None:
    from zhisuan.cli.placing import hour_price_of, price_line

    workload, placement = made.workload, made.placement
    price = price_line(hour_price_of(placement), workload.rate_udu_per_hour, workload.price_e8_per_du)
    screen = Screen()
    screen.line(f"{workload.id}  {workload.name}  {state(workload.state)}")
    screen.line(t(f"Price: {price}, by the second until it is stopped", f"价格：{price}，按秒计费，直至停止"))


def _until_ready(client: "Client", workload_id: str) -> "Workspace":
    """Wait until its session answers, or it has ended."""
    until = time.monotonic() + READY_SECONDS
    while True:
        found = client.workspace(workload_id)
        if found.status in ("ready", "ended"):
            return found
        if time.monotonic() > until:
            raise Unavailable(
                Text(f"{workload_id} is still {found.status}.", f"{workload_id} 仍未就绪（{found.status}）。"),
                Text(
                    f"`zhisuan why {workload_id}` says what it waits for; `zhisuan workspace stop {workload_id}` ends it.",
                    f"zhisuan why {workload_id} 会说明原因；zhisuan workspace stop {workload_id} 可结束。",
                ),
                code="workspace_not_ready",
            )
        time.sleep(POLL_SECONDS)


def _draw_ready(screen: Screen, found: "Workspace") -> None:
    if found.status == "ended":
        screen.line(t(f"{found.id} has ended: {found.message or found.reason or ''}", f"{found.id} 已结束：{found.message or found.reason or ''}"))
        screen.note(t(f"'zhisuan logs {found.id}' shows what it wrote.", f"输出：zhisuan logs {found.id}"))
        return
    way = "open" if found.session == "jupyter" else "shell"
    screen.line(f"{found.id} {state(found.status)}", style_of(found.status))
    screen.note(t(f"'zhisuan workspace {way} {found.id}' opens it; 'zhisuan workspace stop {found.id}' ends it.",
                  f"打开：zhisuan workspace {way} {found.id}；停止：zhisuan workspace stop {found.id}"))  # fmt: skip


def list_workspaces(limit: Limit = 50, as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = list(islice(client.workspaces(), limit))

    def draw(screen: Screen) -> None:
        if not found:
            screen.note(t("No workspaces yet; 'zhisuan workspace start' starts one.", "还没有工作空间；用 zhisuan workspace start 新建。"))
            return
        screen.table(
            "!id name kind !state >hour >quantity >cash",
            [
                (w.id, w.name, w.session, state(w.status), yuan(w.hour_ucny), du(w.charged_udu), yuan(w.cash_ucny))
                for w in found
            ],
            [style_of(w.status) for w in found],
        )  # fmt: skip

    show(as_json, items(found), draw)


def open_workspace(
    workload_id: WorkspaceId,
    no_browser: Annotated[
        bool, opt("--no-browser", en="Only print the address.", zh="只输出地址，不打开浏览器。")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        found = client.workspace(workload_id)
        if found.session == "shell":
            url = f"{client.base_url}/workspaces/{found.id}"
        else:
            url = client.workspace_link(workload_id).url
    if as_json:
        print_json({"id": workload_id, "url": url})
        return
    sys.stdout.write(url + "\n")
    screen = Screen()
    if found.session == "jupyter":
        screen.note(t("The address is good once, for a minute.", "该地址一分钟内有效，且只能使用一次。"))
    if not no_browser and sys.stdout.isatty():
        webbrowser.open(url)


def shell(
    workload_id: WorkspaceId,
    terminal: Annotated[
        str,
        opt("--terminal", metavar="NAME", en="Which terminal: the same name is the same shell.", zh="终端名称；同名即同一个 shell。"),
    ] = "1",
) -> None:  # fmt: skip
    from zhisuan.cli.terminal import join

    access = access_now()
    with connect() as client:
        found = _until_ready(client, workload_id)
    status = join(f"{found.gateway_url}/workspaces/{found.id}", access.require_key(), terminal)
    screen = Screen()
    goes_on = t(f"The workspace goes on, at {cny(found.hour_ucny)} an hour; 'zhisuan workspace stop {found.id}' ends it.",
                f"工作空间仍在运行，每小时 {cny(found.hour_ucny)}；停止：zhisuan workspace stop {found.id}")  # fmt: skip
    if status is None:
        screen.note("")
        screen.note(t(f"The shell goes on; 'zhisuan workspace shell {found.id}' comes back to it.", f"shell 仍在运行；重新进入：zhisuan workspace shell {found.id}"))
    screen.note(goes_on)
    raise typer.Exit(status or 0)


def stop(workload_id: WorkspaceId, as_json: JsonFlag = False) -> None:
    with connect() as client:
        client.workspace(workload_id)
        found = client.cancel(workload_id)

    def draw(screen: Screen) -> None:
        if found.ended:
            screen.line(f"{found.id} {state(found.state)}")
        else:
            screen.line(t(f"{found.id} is being stopped.", f"正在停止 {found.id}。"))

    show(as_json, found.as_json(), draw)
