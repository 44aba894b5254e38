"""``quote`` and ``launch``: from a workload file to a running job."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zhisuan.cli.explaining import draw_sites
from zhisuan.cli.figures import cny, count, milli
from zhisuan.cli.follow import follow, status_of
from zhisuan.cli.output import Screen, print_json, show, style_of
from zhisuan.cli.params import Envs, JsonFlag, Project, SecretFile, Secrets, envs_of, secrets_of
from zhisuan.cli.placing import draw_compared, draw_placement, hour_price_of, price_line
from zhisuan.cli.session import connect
from zhisuan.cli.text import arg, opt, say, state, t

if TYPE_CHECKING:
    from zhisuan.sdk import Client
    from zhisuan.sdk.types import Launched, Quote, Workload

WorkloadFile = Annotated[
    Path,
    arg(
        "A workload file (YAML). Its workdir and file_mounts are relative to the folder it is in.",
        "工作负载文件（YAML）。其中 workdir 与 file_mounts 的路径相对于该文件所在文件夹。",
        metavar="FILE",
    ),
]


def quote(file: WorkloadFile, project: Project = None, env: Envs = None, as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = client.quote(file, project=project, envs=envs_of(env))
    show(as_json, found.as_json(), lambda screen: _draw_quote(screen, found))


def _draw_quote(screen: Screen, found: "Quote") -> None:
    screen.facts(
        [
            (t("Price", "价格"), price_line(found.hour_ucny, found.rate_udu_per_hour, found.price_e8_per_du)),
            *_most(found),
            (t("Price book", "价目表版本"), str(found.price_book_version)),
            (t("Devices", "设备"), "; ".join(_share(p.kind, p.class_id, p.amount) for p in found.shape)),
            (t("Carbon", "碳排放"), f"{milli(found.carbon_g_per_hour_milli)} {t('gCO2/hour', '克CO2/小时')}"),
        ]
    )
    if found.reason:
        screen.line(say(found.reason))
    draw_sites(screen, found.sites, found.sites_counted)
    draw_compared(screen, found.candidates, found.rejected)


def _most(found: "Quote") -> list[tuple[str, str]]:
    """With alternatives: what the dearest of them comes to, which is never exceeded."""
    if found.hour_ucny_max is None or found.hour_ucny_max <= found.hour_ucny:
        return []
    return [(t("At most", "最高"), f"{cny(found.hour_ucny_max)}{t('/hour', '/小时')}")]


def _share(kind: str, class_id: str | None, amount: int) -> str:
    """Cores and cards are held in thousandths, memory in MiB."""
    if kind == "memory":
        return f"{count(amount)} MiB"
    return f"{milli(amount)} × {class_id or kind}"


def launch(
    file: WorkloadFile,
    project: Project = None,
    detach: Annotated[bool, opt("--detach", "-d", en="Do not follow it.", zh="启动后不跟踪。")] = False,
    env: Envs = None,
    secret: Secrets = None,
    secret_file: SecretFile = None,
    idempotency_key: Annotated[
        str | None,
        opt(
            "--idempotency-key",
            metavar="KEY",
            en="Launch once however often this is repeated with the same key.",
            zh="幂等键：用同一个键重复执行只会启动一次。",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        secrets = secrets_of(secret, secret_file)
        made = client.launch(file, project=project, envs=envs_of(env), secrets=secrets, idempotency_key=idempotency_key)
        show_launched(client, made, detach=detach, as_json=as_json)


def show_launched(client: "Client", made: "Launched", *, detach: bool, as_json: bool) -> None:
    """Say what was launched and, unless detached, follow it to its end, which is then the command's."""
    if as_json:
        workload = made.workload if detach else follow(client, made.workload.id, sys.stderr)
        print_json({**made.as_json(), "workload": workload.as_json()})
        raise typer.Exit(0 if detach else status_of(workload))
    screen = Screen()
    _draw_launched(client, screen, made)
    if detach:
        screen.note(
            t(f"'zhisuan logs {made.workload.id} -f' follows it.", f"跟踪输出：zhisuan logs {made.workload.id} -f")
        )
        return
    ended = follow(client, made.workload.id, sys.stdout)
    _draw_end(screen, ended)
    raise typer.Exit(status_of(ended))


def _draw_launched(client: "Client", screen: Screen, made: "Launched") -> None:
    workload, placement = made.workload, made.placement
    screen.line(f"{workload.id}  {workload.name}  {state(workload.state)}")
    price = price_line(hour_price_of(placement), workload.rate_udu_per_hour, workload.price_e8_per_du)
    screen.line(t(f"Price: {price}, by the second", f"价格：{price}，按秒计费"))
    if placement is not None:
        draw_placement(screen, placement)
    if placement is None or placement.chosen is None:
        why = client.why(workload.id)
        for step in why.unblock:
            screen.line(t(f"What would help: {say(step)}", f"解决办法：{say(step)}"))


def _draw_end(screen: Screen, workload: "Workload") -> None:
    name = f"{workload.id} {state(workload.state)}"
    if workload.state == "running":
        kind = state(workload.kind)
        screen.line(t(f"{name}; it is a {kind} and goes on.", f"{name}；{kind}将持续运行。"), style_of(workload.state))
        return
    if workload.started_at and workload.ended_at:
        seconds = int((workload.ended_at - workload.started_at).total_seconds())
        name += t(f" after {seconds} s", f"，用时 {seconds} 秒")
    told = " · ".join(
        part
        for part in (
            name,
            t(f"exit status {workload.exit_code}", f"退出码 {workload.exit_code}") if workload.exit_code else "",
            workload.message or workload.reason or "" if workload.state != "succeeded" else "",
        )
        if part
    )
    screen.note(told, style_of(workload.state))
