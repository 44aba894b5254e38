"""``jobs``, ``logs``, ``cancel``, ``why``."""

import sys
from collections import deque
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, cast

from zhisuan.cli.explaining import draw_runners_up, draw_waiting
from zhisuan.cli.figures import NONE, count, milli, moment, percent, time_of_day
from zhisuan.cli.follow import follow
from zhisuan.cli.in_line import draw_in_line
from zhisuan.cli.output import Screen, items, print_json, show, style_of
from zhisuan.cli.params import JsonFlag, Limit, WorkloadId
from zhisuan.cli.placing import draw_placement, price_line
from zhisuan.cli.session import connect
from zhisuan.cli.task_list import OneTask
from zhisuan.cli.text import opt, say, state, t
from zhisuan.cli.transfers import shown

if TYPE_CHECKING:
    from zhisuan.sdk.types import Tasks, Why, Workload, WorkloadDetail


def list_jobs(
    state_name: Annotated[
        str | None,
        opt(
            "--state",
            metavar="STATE",
            en="Only those in this state: pending, placed, starting, running, paused, succeeded, failed, cancelled.",
            zh="只列出此状态：pending、placed、starting、running、paused、succeeded、failed、cancelled。",
        ),
    ] = None,
    kind: Annotated[
        str | None,
        opt(
            "--kind",
            metavar="job|service|workspace",
            en="Only jobs, services or workspaces.",
            zh="只列出作业（job）、服务（service）或工作空间（workspace）。",
        ),
    ] = None,
    limit: Limit = 50,
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        found = list(islice(client.workloads(state=state_name, kind=kind), limit))

    def draw(screen: Screen) -> None:
        if not found:
            screen.note(
                t(
                    "Nothing here yet; 'zhisuan launch FILE' starts a job.",
                    "暂无内容；用 zhisuan launch FILE 启动作业。",
                )
            )
            return
        screen.table(
            "!id name !state !created",
            [(w.id, w.name, standing(w), time_of_day(w.created_at)) for w in found],
            [style_of(w.state) for w in found],
        )

    show(as_json, items(found), draw)


def standing(workload: "Workload") -> str:
    """The state, and how far it is while it runs."""
    name = state(workload.state)
    if workload.state != "running" or workload.progress_ppm is None:
        return name
    return f"{name} {workload.progress_ppm // 10_000}%"


def show_job(workload_id: WorkloadId, as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = client.workload(workload_id)
    show(as_json, found.as_json(), lambda screen: _draw_detail(screen, found))


def _draw_detail(screen: Screen, w: "WorkloadDetail") -> None:
    asked = w.resources
    facts = [
        (t("Id", "编号"), w.id),
        (t("Name", "名称"), t(f"{w.name} ({state(w.kind)})", f"{w.name}（{state(w.kind)}）")),
        (t("State", "状态"), state(w.state)),
        (t("Progress", "进度"), f"{percent(w.progress_ppm)} {w.progress_message or ''}".strip()),
        (t("Created", "创建"), moment(w.created_at)),
        (t("Started", "开始"), moment(w.started_at)),
        (t("Ended", "结束"), moment(w.ended_at)),
        (t("Exit status", "退出码"), count(w.exit_code)),
        (t("Message", "信息"), " ".join(p for p in (w.reason, w.message) if p) or NONE),
        (t("Price", "价格"), price_line(None, w.rate_udu_per_hour, w.price_e8_per_du)),
    ]
    if asked:
        ways = [asked_for(a.cpus_milli, a.memory_mib, a.accelerators) for a in asked.alternatives]
        joined = t(", else ", "，其次 ") if asked.ordered else t(" or ", " 或 ")
        shown = joined.join(ways) or asked_for(asked.cpus_milli, asked.memory_mib, asked.accelerators)
        facts.append((t("Asked for", "申请资源"), shown))
        if asked.tasks:
            facts.append((t("Tasks", "任务"), _tasks(asked.tasks)))
        if asked.secrets:
            facts.append((t("Secrets", "密钥"), ", ".join(asked.secrets)))
    screen.facts(facts + _survival_facts(w))
    if w.leases:
        screen.line()
        screen.table(
            "!id >generation site node !state >seconds",
            [
                (
                    lease.id,
                    str(lease.generation),
                    lease.site_name,
                    ", ".join(lease.node_hostnames),
                    state(lease.state),
                    count(lease.seconds),
                )
                for lease in w.leases
            ],
        )
    if w.placement:
        screen.line()
        draw_placement(screen, w.placement)


def _tasks(tasks: "Tasks") -> str:
    at_once = t(f"{tasks.parallel} at once", f"同时 {tasks.parallel} 个") if tasks.parallel else t("one a core at once", "每核同时一个")
    return t(f"{tasks.count:,}, {at_once}, {tasks.retries} retries", f"{tasks.count:,} 个，{at_once}，重试 {tasks.retries} 次")


def _survival_facts(w: "WorkloadDetail") -> list[tuple[str, str]]:
    facts = []
    if w.checkpoint is not None:
        kept = w.checkpoint
        facts.append((
            t("Checkpoint", "检查点"),
            t(
                f"no. {kept.number}, {moment(kept.at)}, {kept.files} files, {kept.size_bytes} bytes ({kept.new_bytes} new)",
                f"第 {kept.number} 个，{moment(kept.at)}，{kept.files} 个文件，{kept.size_bytes} 字节（新增 {kept.new_bytes}）",
            ),
        ))  # fmt: skip
    if w.survival is not None:
        left = w.survival
        facts.append((
            t("Tries left", "剩余次数"),
            t(f"{left.restarts_left} for faults of a site, {left.retries_left} for its own", f"站点故障 {left.restarts_left} 次，自身失败 {left.retries_left} 次"),
        ))  # fmt: skip
        if left.spot:
            facts.append((t("Spot", "竞价"), t("makes way for work on demand", "为按需作业让位")))
        if left.stop_at is not None:
            facts.append((t("Stops at", "定时停止"), moment(left.stop_at)))
    return facts


def asked_for(cpus_milli: int, memory_mib: int, accelerators: object) -> str:
    named = accelerators if isinstance(accelerators, list | tuple) else ()
    cards = ", ".join(f"{a[0]}:{a[1]}" if isinstance(a, list | tuple) else str(a) for a in named)
    return f"{milli(cpus_milli)} CPU, {memory_mib} MiB {cards}".strip()


def cancel(workload_id: WorkloadId, as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = client.cancel(workload_id)

    def draw(screen: Screen) -> None:
        if found.ended:
            screen.line(f"{found.id} {state(found.state)}")
        else:
            screen.line(t(f"{found.id} is being stopped.", f"正在停止 {found.id}。"))

    show(as_json, found.as_json(), draw)


def events(workload_id: WorkloadId, as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = client.workload(workload_id).events

    def draw(screen: Screen) -> None:
        screen.table(
            "!at !state cause !actor",
            [(time_of_day(e.at), state(e.state), e.cause or "", e.actor or "") for e in found],
        )

    show(as_json, items(found), draw)


def artefacts(
    workload_id: WorkloadId,
    download: Annotated[
        Path | None,
        opt("--download", metavar="DIR", en="Fetch them all into this folder.", zh="全部下载到此文件夹。"),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    with connect() as client:
        found = list(client.artefacts(workload_id))
        fetched = []
        if download:
            with shown(t("Artefacts:", "产物："), quiet=as_json) as watcher:
                fetched = [str(p) for p in client.download_all(found, download, watcher)]
    document = items(found)
    if download:
        document["files"] = fetched

    def draw(screen: Screen) -> None:
        if not found:
            screen.note(t("It has left no artefacts.", "没有产物。"))
            return
        screen.table("path >size !created", [(a.path, str(a.size_bytes), time_of_day(a.created_at)) for a in found])
        if download:
            screen.note(t(f"{len(fetched)} files are in {download}.", f"{len(fetched)} 个文件已下载到 {download}。"))

    show(as_json, document, draw)


def logs(
    workload_id: WorkloadId,
    follow_on: Annotated[bool, opt("--follow", "-f", en="Go on until it is over.", zh="持续跟踪直到结束。")] = False,
    tail: Annotated[
        int | None, opt("--tail", metavar="N", min=0, en="Begin with the last N lines.", zh="从最后 N 行开始。")
    ] = None,
    task: Annotated[
        int | None, opt("--task", metavar="INDEX", min=0, en="Only the output of this task.", zh="只显示此任务的输出。")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    out = sys.stderr if as_json else sys.stdout
    picked = OneTask(out, task) if task is not None else None
    pick = picked.pick if picked is not None else str
    with connect() as client:
        kept: deque[str] = deque(maxlen=tail)
        rest, last = "", None
        for last in client.log_parts(workload_id):
            if tail is None and not as_json:
                sys.stdout.write(pick(last.text))
                continue
            *lines, rest = (rest + pick(last.text)).split("\n")
            kept.extend(line + "\n" for line in lines)
        if rest:
            kept.append(rest)
        if not as_json:
            sys.stdout.writelines(kept)
            sys.stdout.flush()
        offset = last.next_offset if last else 0
        complete = bool(last and last.complete)
        if follow_on and not complete:
            follow(client, workload_id, cast(IO[str], picked or out), offset=offset)
            if as_json:
                more = list(client.log_parts(workload_id, offset=offset))
                kept.extend(pick(part.text) for part in more)
                offset, complete = more[-1].next_offset, more[-1].complete
        if as_json:
            print_json({"id": workload_id, "text": "".join(kept), "next_offset": offset, "complete": complete})


def why(workload_id: WorkloadId, as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = client.why(workload_id)
    show(as_json, found.as_json(), lambda screen: _draw_why(screen, workload_id, found))


def _draw_why(screen: Screen, workload_id: str, found: "Why") -> None:
    screen.line(f"{workload_id} {state(found.state)}", style_of(found.state))
    screen.line(say(found.reason))
    draw_waiting(screen, found)
    for step in found.unblock:
        screen.line(t(f"What would help: {say(step)}", f"解决办法：{say(step)}"))
    draw_runners_up(screen, found.runners_up)
    if found.queue:
        draw_in_line(screen, found.queue)
    if found.placement:
        screen.line()
        draw_placement(screen, found.placement)
