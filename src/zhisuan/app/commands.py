"""The commands that start something on this machine; the command line finds them through the entry-point group
``zhisuan.commands``."""

import contextlib
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console

from zhisuan.app.doctor import examine, show_findings
from zhisuan.app.host_command import site_host, site_host_remove, site_host_token, site_hosts
from zhisuan.app.host_doctor import examine_membership, host_folder
from zhisuan.app.site_command import site_check, site_join, site_rotate
from zhisuan.app.supervisor import Supervisor
from zhisuan.base.settings import Settings
from zhisuan.base.text import Text
from zhisuan.cli.text import language, opt, t

__all__ = [
    "doctor",
    "quickstart",
    "site_check",
    "site_host",
    "site_host_remove",
    "site_host_token",
    "site_hosts",
    "site_join",
    "site_rotate",
    "up",
]

DataDir = Annotated[
    Path | None, opt("--data-dir", metavar="FOLDER", en="Folder of this installation.", zh="本安装的数据目录。")
]
Unisolated = Annotated[
    bool,
    opt(
        "--allow-unisolated",
        en="Let work run here without isolation where none can be had.",
        zh="无法隔离时仍允许作业在本机运行。",
    ),
]


def _stop_on_signals() -> None:
    """SIGTERM ends the command as Ctrl-C does: in good order."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


def up(
    data_dir: DataDir = None,
    host: Annotated[str | None, opt("--host", en="Address to listen on.", zh="监听地址。")] = None,
    port: Annotated[
        int | None, opt("--port", en="Port of API and console; 0 picks one.", zh="API 与控制台端口；0 为自动选择。")
    ] = None,
    gateway_port: Annotated[
        int | None,
        opt("--gateway-port", en="Port of the model gateway; 0 picks one.", zh="模型网关端口；0 为自动选择。"),
    ] = None,
    no_site: Annotated[
        bool, opt("--no-site", en="Do not offer this machine as a site.", zh="不把本机作为站点。")
    ] = False,
    allow_unisolated: Unisolated = False,
) -> None:
    """Run the platform on this machine."""
    given: dict[str, Any] = {
        "data_dir": data_dir,
        "host": host,
        "server_port": port,
        "gateway_port": gateway_port,
        "allow_unisolated": allow_unisolated or None,
    }
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    console = Console()
    _stop_on_signals()
    started = time.monotonic()
    with (
        contextlib.suppress(KeyboardInterrupt),
        Supervisor(
            settings,
            with_site=not no_site,
            say=lambda text: console.print(f"  {text.in_language(language())} …", highlight=False),
        ) as platform,
    ):
        _say_where(console, platform, time.monotonic() - started)
        while True:
            platform.tend()
            time.sleep(0.2)
    console.print(
        t(
            "stopped; work in its sandboxes goes on and is taken up at the next start",
            "已停止；沙箱中的作业会继续运行，下次启动时接管",
        )
    )


def _say_where(console: Console, platform: Supervisor, seconds: float) -> None:
    where, secrets = platform.addresses, platform.installation.folder / "secrets.json"
    rows = (
        (Text("console and API", "控制台与 API"), where.server_url),
        (Text("models (OpenAI)", "模型（OpenAI 接口）"), f"{where.gateway_url}/v1"),
        (Text("data directory", "数据目录"), str(platform.installation.folder)),
        (
            Text("operator", "运营方"),
            t(
                f"operator@localhost, password in {secrets} (operator_password)",
                f"operator@localhost，密码见 {secrets}（operator_password）",
            ),
        ),
    )
    console.print(
        t(f"zhisuan is up ({seconds:.1f} s); Ctrl-C stops it", f"zhisuan 已启动（{seconds:.1f} 秒）；按 Ctrl-C 停止"),
        style="bold green",
    )
    for label, value in rows:
        console.print(f"  {label.in_language(language())}: {value}", highlight=False, soft_wrap=True)


def quickstart(
    data_dir: DataDir = None,
    keep: Annotated[
        bool, opt("--keep", en="Leave the platform running afterwards.", zh="结束后保持平台运行。")
    ] = False,
    fresh: Annotated[
        bool,
        opt(
            "--fresh",
            en="Begin a new run instead of going on with an interrupted one.",
            zh="不继续中断的运行，重新开始。",
        ),
    ] = False,
    example: Annotated[
        Path | None, opt("--example", metavar="FOLDER", en="Folder of another example.", zh="其他示例的目录。")
    ] = None,
    allow_unisolated: Unisolated = False,
) -> None:
    """Take one real order through every station."""
    from zhisuan.app.quickstart.command import run_quickstart

    _stop_on_signals()
    try:
        status = run_quickstart(
            data_dir, keep=keep, fresh=fresh, example=example, language=language(), allow_unisolated=allow_unisolated
        )
    except KeyboardInterrupt:
        sys.stderr.write(
            t(
                "\ninterrupted; run `zhisuan quickstart` again to go on from here\n",
                "\n已中断；再次运行 zhisuan quickstart 将从此处继续\n",
            )
        )
        raise typer.Exit(130) from None
    raise typer.Exit(status)


def doctor(
    data_dir: DataDir = None,
    as_json: Annotated[bool, opt("--json", en="Answer with one JSON document.", zh="以 JSON 输出。")] = False,
) -> None:
    """Say what this machine can and cannot do, and how to mend it."""
    findings = [*examine(data_dir or Settings().data_dir), *examine_membership(host_folder())]
    show_findings(findings, as_json=as_json, language=language())
    raise typer.Exit(1 if any(f.verdict == "fail" for f in findings) else 0)
