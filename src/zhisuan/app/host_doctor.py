"""Whether this machine is a host of a site, and its daemon runs."""

from collections.abc import Iterator
from pathlib import Path

from zhisuan.app.findings import Finding
from zhisuan.app.joining.host import agent_pid
from zhisuan.base.settings import default_data_dir
from zhisuan.base.text import Text
from zhisuan.site.errors import ConfigUnusable
from zhisuan.site.hosting.membership import load


def host_folder() -> Path:
    """Where the daemon keeps what it has, where no other folder is named."""
    return default_data_dir().with_name("zhisuan-host")


def examine_membership(folder: Path) -> Iterator[Finding]:
    """Nothing is said of a machine that is no host."""
    try:
        member = load(folder)
    except ConfigUnusable as error:
        yield Finding("site_host", "fail", error.what, error.remedy)
        return
    if member is None or not member.joined:
        return
    if agent_pid(folder) is not None:
        told = Text(
            f"a host of a site, as {member.name}; its daemon runs", f"本机是站点主机 {member.name}，守护进程正在运行"
        )
        yield Finding("site_host", "ok", told)
        return
    yield Finding(
        "site_host",
        "warn",
        Text(
            f"a host of a site, as {member.name}, but its daemon does not run",
            f"本机是站点主机 {member.name}，但守护进程未运行",
        ),
        Text(
            "Start it: zhisuan site host --head ADDRESS (or its systemd unit, zhisuan-host.service).",
            "请启动：zhisuan site host --head 地址（或其 systemd 单元 zhisuan-host.service）。",
        ),
    )
