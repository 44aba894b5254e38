"""``jobs shell``: a look into running work."""

from typing import Annotated

import typer

from zhisuan.base.errors import Unavailable
from zhisuan.base.text import Text
from zhisuan.cli.output import Screen
from zhisuan.cli.params import WorkloadId
from zhisuan.cli.session import access_now, connect
from zhisuan.cli.text import arg, opt, t


def shell(
    workload_id: WorkloadId,
    command: Annotated[
        list[str] | None,
        arg("Run this instead of a shell, and end with its exit status. Put -- before it.", "执行此命令而非 shell，并以其退出码结束；请在命令前加 --。", metavar="COMMAND"),
    ] = None,
    node: Annotated[
        int, opt("--node", metavar="RANK", min=0, max=99_999, en="On which of its nodes; 0 if not given.", zh="节点编号，默认 0。")
    ] = 0,
) -> None:  # fmt: skip
    from zhisuan.cli.terminal import enter
    from zhisuan.sdk.shell import shell_url

    access = access_now()
    with connect() as client:
        gateway = client.platform().gateway_url
    if not gateway:
        raise Unavailable(Text("The platform has no gateway.", "平台没有网关。"), Text("Ask its operator.", "请联系平台运营方。"))
    status = enter(shell_url(gateway, workload_id, node), access.require_key(), command)
    if status is None:
        screen = Screen()
        screen.note("")
        screen.note(t("The shell was ended; the work goes on.", "终端已结束，工作负载仍在运行。"))
    raise typer.Exit(status or 0)
