"""``zhisuan site host`` on a further host of a site; ``host-token``, ``hosts`` and ``host-remove`` on its head."""

import logging
import socket
import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from pydantic import ValidationError
from rich.console import Console

from zhisuan.app.host_doctor import host_folder
from zhisuan.app.joining.asked import Asked, engine_options_of
from zhisuan.app.joining.host import examine_machine
from zhisuan.app.joining.show import Shown
from zhisuan.app.joining.unit import write_host_service
from zhisuan.app.supervisor import runtime_prefixes
from zhisuan.base.clock import SystemClock
from zhisuan.base.errors import Conflict, FieldProblem, InvalidInput
from zhisuan.base.ids import TimeOrderedIds
from zhisuan.base.text import Text
from zhisuan.cli.errors import report
from zhisuan.cli.text import arg, language, opt, t
from zhisuan.engines.hosts.config import PORT
from zhisuan.engines.hosts.registry import TOKEN_HOURS, Registry
from zhisuan.site.errors import AgentStop
from zhisuan.site.hosting.config import HostConfig
from zhisuan.site.hosting.main import run_host
from zhisuan.site.hosting.membership import load

SiteFolder = Annotated[
    Path | None, opt("--data-dir", metavar="FOLDER", en="Folder of this site's agent.", zh="本站点代理的数据目录。")
]
AsJson = Annotated[bool, opt("--json", en="Answer with one JSON document.", zh="以 JSON 输出。")]


def site_host(
    head: Annotated[str | None, opt("--head", metavar="HOST[:PORT]", en="Address of the site's head.", zh="站点主节点地址。")] = None,
    token: Annotated[str | None, opt("--token", metavar="TOKEN", en="From 'zhisuan site host-token'; needed the first time.", zh="由 zhisuan site host-token 生成；首次加入时需要。")] = None,
    data_dir: Annotated[Path | None, opt("--data-dir", metavar="FOLDER", en="Folder of this host's daemon.", zh="本主机守护进程的数据目录。")] = None,
    name: Annotated[str | None, opt("--name", metavar="NAME", en="What the site calls this host; its host name otherwise.", zh="主机在站点中的名称，默认为主机名。")] = None,
    address: Annotated[str | None, opt("--address", metavar="IP", en="Where the other hosts reach this one.", zh="其他主机访问本机所用的地址。")] = None,
    engine_options: Annotated[Path | None, opt("--engine-options", metavar="FILE", en="YAML or JSON file with options of the local engine.", zh="本地引擎选项文件（YAML 或 JSON）。")] = None,
    allow_unisolated: Annotated[bool, opt("--allow-unisolated", en="Let work run here without isolation where none can be had.", zh="无法隔离时仍允许作业在本机运行。")] = False,
    measure: Annotated[bool, opt("--measure/--no-measure", en="Measure the devices (about 20 s).", zh="测量设备性能（约 20 秒）。")] = True,
    service: Annotated[bool, opt("--service", en="Write a systemd unit instead of running here.", zh="写入 systemd 单元，不在前台运行。")] = False,
) -> None:  # fmt: skip
    """Check this machine and run the daemon of one host of a site."""
    folder = (data_dir or host_folder()).absolute()
    asked = Asked(url="", data_dir=folder, engine_options=engine_options, allow_unisolated=allow_unisolated)
    config = _config(asked, head, token, name, address, measure)
    shown = Shown(language())
    shown.say(Text("Checking this machine", "正在检查本机"), "bold")
    findings = list(examine_machine(folder, config.engine, SystemClock(), for_service=service))
    shown.findings(findings)
    if any(found.verdict == "fail" for found in findings):
        raise Conflict(
            Text("This machine cannot be a host yet.", "本机暂时不能作为主机。"),
            Text("Mend what is named above and run this again.", "请按上述提示修复后重新运行。"),
            code="cannot_join",
        )
    if service:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = write_host_service(config)
        shown.say(
            Text(f"The unit {made.unit} is written. Start it with:", f"已写入 {made.unit}。用以下命令启动："), "bold"
        )
        shown.lines(made.commands)
        return
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        run_host(config)
    except AgentStop as stop:
        report(stop, False)
        raise typer.Exit(stop.exit_status) from stop


def _config(
    asked: Asked, head: str | None, token: str | None, name: str | None, address: str | None, measure: bool
) -> HostConfig:
    """Raises InvalidInput with every wrong option, and ConfigUnusable for a damaged folder."""
    kept = load(asked.folder)
    options: dict[str, Any] = engine_options_of(asked)
    options.setdefault("runtime_prefixes", runtime_prefixes())
    given: dict[str, Any] = {
        "data_dir": asked.folder, "head": _with_port(head or ""), "token": token, "address": address, "engine": options,
        "name": kept.name if kept is not None and name is None else name or socket.gethostname().split(".")[0],
        "probe": {"enabled": measure},
    }  # fmt: skip
    try:
        return HostConfig.model_validate(given)
    except ValidationError as error:
        raise InvalidInput(
            Text("The host cannot be set up with these options.", "无法用这些选项配置主机。"),
            Text("Correct what is named below; --head is needed each time.", "请修改下列内容；每次都需要 --head。"),
            problems=[FieldProblem(".".join(map(str, e["loc"])), Text(e["msg"], e["msg"])) for e in error.errors()],
        ) from error


def _with_port(head: str) -> str:
    if not head or head.rpartition("]")[2].count(":") == 1:
        return head
    return f"[{head}]:{PORT}" if head.count(":") > 1 and not head.startswith("[") else f"{head}:{PORT}"


def _registry(data_dir: Path | None) -> Registry:
    """Of the site whose agent works, or will work, on this folder."""
    folder = Asked(url="", data_dir=data_dir).folder
    if not folder.is_dir():
        raise Conflict(
            Text(f"There is no site's folder {folder}.", f"站点目录 {folder} 不存在。"),
            Text(
                "Join the platform first (zhisuan site join … --engine hosts), or name the folder with --data-dir.",
                "请先加入平台（zhisuan site join … --engine hosts），或用 --data-dir 指定目录。",
            ),
        )
    return Registry(folder / "engine")


def site_host_token(data_dir: SiteFolder = None, as_json: AsJson = False) -> None:
    """Make a token for one further host and say how it is used."""
    clock = SystemClock()
    token = _registry(data_dir).invite(TimeOrderedIds(clock).secret("zsh"), clock.now())
    command = f"zhisuan site host --head {socket.gethostname()}:{PORT} --token {token}"
    if as_json:
        sys.stdout.write(orjson.dumps({"token": token, "hours": TOKEN_HOURS}).decode() + "\n")
        return
    shown = Shown(language())
    shown.say(
        Text(
            f"For one host, within {TOKEN_HOURS} hours (another port if the engine's options name one):",
            f"仅供一台主机在 {TOKEN_HOURS} 小时内使用（若引擎选项更改了端口，请相应修改）：",
        ),
        "bold",
    )
    shown.lines([command])


def site_hosts(data_dir: SiteFolder = None, as_json: AsJson = False) -> None:
    """List the hosts of the site on this machine, as each last described itself."""
    members = _registry(data_dir).members()
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "joined_at": member.joined_at.isoformat(),
            "address": member.told.address if member.told else None,
            "cpus": member.told.node.cpus_milli // 1000 if member.told else None,
            "memory_mib": member.told.node.memory_mib if member.told else None,
            "accelerators": [card.kind for card in member.told.node.accelerators] if member.told else [],
            "isolation": member.told.report.isolation.value if member.told else None,
        }
        for name, member in members.items()
    ]
    if as_json:
        sys.stdout.write(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode() + "\n")
        return
    console = Console()
    for row in rows:
        cards = ", ".join(row["accelerators"]) or "–"
        console.print(
            f"  {row['name']}  {row['address'] or '–'}  {row['cpus']} {t('cores', '核')}  {row['memory_mib']} MiB  {cards}  {row['isolation'] or '–'}",
            highlight=False,
        )
    if not rows:
        console.print(
            t(
                "No hosts yet; 'zhisuan site host-token' makes a token for one.",
                "尚无主机；用 zhisuan site host-token 生成令牌。",
            )
        )


def site_host_remove(
    name: Annotated[str, arg("Name of the host.", "主机名称。", metavar="NAME")], data_dir: SiteFolder = None
) -> None:
    """Shut a host out: its credential is worth nothing from now on, and its work counts as lost after its term."""
    if not _registry(data_dir).remove(name):
        raise Conflict(
            Text(f"The site has no host {name}.", f"站点中没有主机 {name}。"),
            Text("'zhisuan site hosts' lists them.", "可用 zhisuan site hosts 查看。"),
        )
    Shown(language()).say(Text(f"The host {name} is shut out.", f"主机 {name} 已被移除。"))
