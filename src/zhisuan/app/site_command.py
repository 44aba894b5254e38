"""``zhisuan site join``, ``check`` and ``rotate``: what is done on the machine that is, or becomes, a site."""

import asyncio
import logging
import os
import sys
import time
from pathlib import Path
from random import SystemRandom
from typing import Annotated

import orjson
import typer

from zhisuan.app.joining.asked import Asked
from zhisuan.app.joining.flow import Joining
from zhisuan.app.joining.host import agent_pid
from zhisuan.app.joining.show import Shown
from zhisuan.base.clock import Clock, SystemClock
from zhisuan.base.errors import Conflict, Unavailable
from zhisuan.base.ids import TimeOrderedIds
from zhisuan.base.text import Text
from zhisuan.cli.errors import report
from zhisuan.cli.text import arg, language, opt
from zhisuan.site.backoff import Link
from zhisuan.site.client import ServerClient
from zhisuan.site.errors import AgentStop
from zhisuan.site.identity import Identity, load
from zhisuan.site.rotation import ASK_SIGNAL, Rotation

ROTATION_SECONDS = 30.0

Url = Annotated[str, arg("Address of the platform's server.", "平台服务器地址。", metavar="URL")]
Token = Annotated[
    str | None,
    opt("--token", metavar="TOKEN", en="Join token; needed the first time.", zh="加入令牌；首次加入时需要。"),
]
DataDir = Annotated[
    Path | None, opt("--data-dir", metavar="FOLDER", en="Folder of this site's agent.", zh="本站点代理的数据目录。")
]
EngineName = Annotated[
    str,
    opt(
        "--engine", metavar="NAME", en="What runs the work: local, slurm, ray or hosts.", zh="执行引擎：local、slurm、ray 或 hosts。"
    ),
]
EngineOptions = Annotated[
    Path | None,
    opt(
        "--engine-options",
        metavar="FILE",
        en="YAML or JSON file with the engine's options.",
        zh="引擎选项文件（YAML 或 JSON）。",
    ),
]
Unisolated = Annotated[
    bool,
    opt(
        "--allow-unisolated",
        en="Let work run here without isolation where none can be had.",
        zh="无法隔离时仍允许作业在本机运行。",
    ),
]
CaFile = Annotated[
    Path | None,
    opt(
        "--ca-file",
        metavar="FILE",
        en="Certificate (PEM) of the platform's own authority.",
        zh="平台自建 CA 的证书（PEM）。",
    ),
]
AsJson = Annotated[bool, opt("--json", en="Answer with one JSON document.", zh="以 JSON 输出。")]


def site_join(
    url: Url,
    token: Token = None,
    data_dir: DataDir = None,
    engine: EngineName = "local",
    engine_options: EngineOptions = None,
    region: Annotated[str | None, opt("--region", metavar="CN-XX", en="Province (ISO 3166-2), over the registered one.", zh="省份代码（ISO 3166-2），覆盖登记值。")] = None,
    city: Annotated[str | None, opt("--city", metavar="NAME", en="City the machines stand in.", zh="机器所在城市。")] = None,
    latitude: Annotated[str | None, opt("--latitude", metavar="DEG", en="Latitude in degrees.", zh="纬度（度）。")] = None,
    longitude: Annotated[str | None, opt("--longitude", metavar="DEG", en="Longitude in degrees.", zh="经度（度）。")] = None,
    echo_address: Annotated[str | None, opt("--echo-address", metavar="HOST:PORT", en="Something in this network that answers TCP connections, so that other sites can measure how far it is.", zh="本网络中可应答 TCP 连接的地址，供其他站点测量时延。")] = None,
    link_network: Annotated[list[str] | None, opt("--link-network", metavar="CIDR", en="A private network that other sites' addresses may lie in, such as 10.0.0.0/8; repeatable.", zh="允许测量的其他站点所在私有网络，例如 10.0.0.0/8；可重复。")] = None,
    pue: Annotated[str | None, opt("--pue", metavar="X", en="Power usage effectiveness, such as 1.25.", zh="电能使用效率 PUE，例如 1.25。")] = None,
    tariff: Annotated[str | None, opt("--tariff", metavar="YUAN", en="What you pay for electricity, yuan a kWh.", zh="电价（元/千瓦时）。")] = None,
    claim: Annotated[list[str] | None, opt("--claim", metavar="CLASS:N", en="What you say it has, such as nvidia-l40s-48g:8@362 (TFLOPS); repeatable.", zh="声明的设备，例如 nvidia-l40s-48g:8@362（TFLOPS）；可重复。")] = None,
    ca_file: CaFile = None,
    allow_unisolated: Unisolated = False,
    measure: Annotated[bool, opt("--measure/--no-measure", en="Measure the devices (about 20 s).", zh="测量设备性能（约 20 秒）。")] = True,
    service: Annotated[bool, opt("--service", en="Write a systemd unit instead of running here.", zh="写入 systemd 单元，不在前台运行。")] = False,
    dry_run: Annotated[bool, opt("--dry-run", en="Only check; change nothing.", zh="只检查，不做任何更改。")] = False,
) -> None:  # fmt: skip
    """Check, find, measure, register and run the agent of a site on this machine."""
    asked = Asked(
        url=url, token=token, data_dir=data_dir, engine=engine, engine_options=engine_options, region=region, city=city,
        latitude=latitude, longitude=longitude, echo_address=echo_address, link_networks=tuple(link_network or ()), pue=pue, tariff=tariff, claims=tuple(claim or ()), ca_file=ca_file,
        allow_unisolated=allow_unisolated, measure=measure,
    )  # fmt: skip
    joining = Joining(asked, Shown(language()), SystemClock())
    look = joining.check(joins=True, for_service=service)
    joining.require_good()
    if dry_run:
        return
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    joining.measure(look.greeting.round_trip if look.greeting else None)
    identity = joining.register(look)
    if service:
        joining.serve(identity)
        return
    try:
        joining.run()
    except AgentStop as stop:
        report(stop, False)
        raise typer.Exit(stop.exit_status) from stop


def site_check(
    url: Url,
    token: Token = None,
    data_dir: DataDir = None,
    engine: EngineName = "local",
    engine_options: EngineOptions = None,
    ca_file: CaFile = None,
    allow_unisolated: Unisolated = False,
    as_json: AsJson = False,
) -> None:
    """Say whether this machine can join, and how to mend what stops it; changes nothing."""
    asked = Asked(
        url=url, token=token, data_dir=data_dir, engine=engine, engine_options=engine_options, ca_file=ca_file,
        allow_unisolated=allow_unisolated,
    )  # fmt: skip
    joining = Joining(asked, Shown(language(), quiet=as_json), SystemClock())
    joining.check(joins=False)
    if as_json:
        document = {"can_join": not joining.stopped, "findings": [f.as_dict() for f in joining.findings]}
        sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        joining.shown.verdict(joining.findings)
    raise typer.Exit(1 if joining.stopped else 0)


def site_rotate(
    url: Annotated[str | None, arg("Address of the server; needed while no agent runs.", "服务器地址；代理未运行时需要。", metavar="[URL]")] = None,
    data_dir: DataDir = None,
    ca_file: CaFile = None,
) -> None:  # fmt: skip
    """Give this machine's site a new credential; the one before is worth nothing from then on."""
    folder = Asked(url="", data_dir=data_dir).folder
    before = load(folder)
    if before is None or not before.site_id:
        raise Conflict(
            Text(f"{folder} is not the folder of a site that has joined.", f"{folder} 不是已加入站点的数据目录。"),
            Text("Name it with --data-dir, or join first.", "请用 --data-dir 指定目录，或先加入平台。"),
        )
    pid = agent_pid(folder)
    if pid:
        after = _ask_agent(pid, folder, before)
    elif url:
        after = asyncio.run(_rotate_here(url, folder, ca_file, before, SystemClock()))
    else:
        raise Conflict(
            Text(
                f"No agent runs on {folder}, and no server was named.", f"{folder} 上没有运行中的代理，且未指定服务器。"
            ),
            Text("Start the agent, or add the server's address.", "请启动代理，或加上服务器地址。"),
        )
    Shown(language()).say(
        Text(
            f"The site {after.site_name} has a new credential; the one before is worth nothing now.",
            f"站点 {after.site_name} 已换用新凭证，旧凭证已失效。",
        )
    )


def _ask_agent(pid: int, folder: Path, before: Identity) -> Identity:
    """Tell the running agent, and wait until it has done so."""
    os.kill(pid, ASK_SIGNAL)
    until = time.monotonic() + ROTATION_SECONDS
    while time.monotonic() < until:
        found = load(folder)
        if found is not None and found.credential != before.credential:
            return found
        time.sleep(0.1)
    raise Unavailable(
        Text(
            f"The agent (process {pid}) has not changed its credential within {ROTATION_SECONDS:.0f} s.",
            f"代理（进程 {pid}）在 {ROTATION_SECONDS:.0f} 秒内未完成凭证更换。",
        ),
        Text(
            "It goes on trying while the server is away, and its log says why; the old credential holds until then.",
            "服务器不可用时代理会继续尝试，原因见其日志；在此之前旧凭证仍然有效。",
        ),
    )


async def _rotate_here(url: str, folder: Path, ca_file: Path | None, before: Identity, clock: Clock) -> Identity:
    client = ServerClient(url, ca_file=ca_file)
    rotation = Rotation(folder, before, client, clock, TimeOrderedIds(clock), Link(), SystemRandom().random)
    try:
        await rotation.settle()
        if rotation.identity.credential == before.credential:
            await rotation.rotate()
    finally:
        await client.close()
    return rotation.identity
