"""What of this machine decides whether it can be a site: Python, data folder, disk, engine."""

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from zhisuan import __version__
from zhisuan.app.findings import Finding, Verdict
from zhisuan.base.clock import Clock
from zhisuan.base.text import Text
from zhisuan.engines.contract import EngineReport, IsolationLevel
from zhisuan.engines.errors import EngineError, EngineUnavailable
from zhisuan.engines.local.config import LocalEngineConfig
from zhisuan.site.config import AgentConfig
from zhisuan.site.identity import FILE_NAME
from zhisuan.site.main import LOCK_NAME, engine_of

PYTHON_MIN = (3, 11)
GIB = 1024**3
DISK_WARN_BYTES = 20 * GIB
DISK_STOP_BYTES = 1 * GIB
OTHERS = 0o077


def examine_host(config: AgentConfig, kind: str, clock: Clock, *, for_service: bool) -> Iterator[Finding]:
    yield _python()
    folder = _folder(config.data_dir)
    yield folder
    yield _disk(config.data_dir)
    if folder.verdict != "fail":
        yield _agent(config.data_dir)
    yield from _engine_choice(kind)
    yield from _engine(config, kind, clock)
    if for_service and not Path("/run/systemd/system").is_dir():
        yield Finding(
            "service", "warn", Text("systemd does not run here", "本机没有运行 systemd"),
            Text("Run the agent in the foreground, or start the unit on the machine it is meant for.", "请在前台运行代理，或在目标机器上启用该单元。"),
        )  # fmt: skip


def examine_machine(folder: Path, engine: LocalEngineConfig, clock: Clock, *, for_service: bool) -> Iterator[Finding]:
    """As ``examine_host``, of a machine that becomes one host of a site elsewhere."""
    config = AgentConfig(data_dir=folder, server_url="https://nowhere.invalid", engine=engine)
    yield from examine_host(config, "local", clock, for_service=for_service)


def _workspaces(config: AgentConfig, kind: str, jupyterlab: bool | None) -> Finding:
    """JupyterLab runs where work finds it; without it the site still takes shells."""
    if jupyterlab:
        return Finding("workspaces", "ok", Text("JupyterLab is there for workspaces", "已安装 JupyterLab，可提供笔记本工作空间"))
    where = "runtime_prefixes"
    if isinstance(config.engine, LocalEngineConfig) and config.engine.runtime_prefixes:
        where = ", ".join(str(prefix) for prefix in config.engine.runtime_prefixes)
    told = Text(f"pip install jupyterlab into {where}.", f"请在 {where} 中执行 pip install jupyterlab。")
    if kind in ("slurm", "ray"):
        told = Text(
            "Where the nodes have it, set jupyterlab to true in the engine's options.",
            "若各节点已安装，请在引擎选项中设置 jupyterlab 为 true。",
        )
    return Finding(
        "workspaces", "warn",
        Text("work finds no JupyterLab here; workspaces are shells only", "作业环境中没有 JupyterLab，仅能提供终端工作空间"), told,
    )  # fmt: skip


def _python() -> Finding:
    version = sys.version.split()[0]
    if sys.version_info[:2] < PYTHON_MIN or not sys.platform.startswith("linux"):
        return Finding(
            "python", "fail", Text(f"Python {version} on {sys.platform}", f"{sys.platform} 上的 Python {version}"),
            Text("A site takes Linux and Python 3.11 or newer.", "站点需要 Linux 与 Python 3.11 或更高版本。"),
        )  # fmt: skip
    told = Text(f"zhisuan {__version__} on Python {version}", f"zhisuan {__version__}，Python {version}")
    return Finding("python", "ok", told)


def nearest(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next((p for p in (folder, *folder.parents) if p.exists()), Path("/"))


def _folder(folder: Path) -> Finding:
    """Nothing is made: looking must not leave traces."""
    place = nearest(folder)
    if not place.is_dir() or not os.access(place, os.R_OK | os.W_OK | os.X_OK):
        return Finding(
            "data_folder", "fail",
            Text(f"{folder} cannot be used: {place} may not be written to", f"无法使用 {folder}：{place} 不可写"),
            Text("Run as its owner, or choose another folder with --data-dir.", "请以目录所有者身份运行，或用 --data-dir 另选目录。"),
        )  # fmt: skip
    if folder.is_dir() and folder.stat().st_uid == os.geteuid() and folder.stat().st_mode & OTHERS:
        return Finding(
            "data_folder", "warn",
            Text(f"{folder} is open to other users of this machine", f"{folder} 对本机其他用户开放"),
            Text(f"Close it: chmod 700 {folder} (the credential inside is closed anyway).", f"请执行 chmod 700 {folder}（其中的凭证文件本身已受保护）。"),
        )  # fmt: skip
    return Finding("data_folder", "ok", Text(f"data folder {folder}", f"数据目录 {folder}"))


def _disk(folder: Path) -> Finding:
    place = nearest(folder)
    free = shutil.disk_usage(place).free
    verdict: Verdict = "ok" if free >= DISK_WARN_BYTES else "warn" if free >= DISK_STOP_BYTES else "fail"
    what = Text(
        f"{free / GIB:.1f} GiB free for work and data below {place}",
        f"{place} 可用 {free / GIB:.1f} GiB，用于作业与数据",
    )
    if verdict == "ok":
        return Finding("disk", verdict, what)
    need = "1 GiB" if verdict == "fail" else "20 GiB"
    return Finding(
        "disk", verdict, what,
        Text(f"Free some space, or choose a folder on another disk with --data-dir; {need} is the least.",
             f"请清理空间，或用 --data-dir 选择其他磁盘上的目录；至少需要 {need}。"),
    )  # fmt: skip


def agent_pid(folder: Path) -> int | None:
    """The process of the agent that works on this folder now; 0 when it does not say its number."""
    try:
        handle = os.open(folder / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        said = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
        return int(said) if said.isdigit() else 0
    finally:
        os.close(handle)
    return None


def _agent(folder: Path) -> Finding:
    pid = agent_pid(folder)
    if pid is None:
        return Finding("agent", "ok", Text("no other agent works on the data folder", "数据目录未被其他代理占用"))
    return Finding(
        "agent", "fail",
        Text(f"an agent (process {pid}) already works on {folder}", f"已有代理（进程 {pid}）在使用 {folder}"),
        Text("Stop it first, or give this site a folder of its own with --data-dir.", "请先停止它，或用 --data-dir 为本站点另设目录。"),
    )  # fmt: skip


def _engine_choice(kind: str) -> Iterator[Finding]:
    """A machine of a cluster should be brought in by the cluster's own scheduler, or two masters share its devices."""
    if kind == "local" and shutil.which("scontrol"):
        yield Finding(
            "engine_choice", "warn",
            Text("this machine has Slurm; work of the platform would run beside Slurm's", "本机装有 Slurm，平台作业会与 Slurm 作业争用设备"),
            Text("Join the whole cluster instead: --engine slurm.", "建议以整个集群加入：--engine slurm。"),
        )  # fmt: skip
    if kind == "slurm" and not shutil.which("sbatch"):
        yield Finding(
            "engine_choice", "fail", Text("sbatch is not on this machine's PATH", "PATH 中没有 sbatch"),
            Text("Run this on a machine that may submit to the cluster (a login node).", "请在可以向集群提交作业的机器（登录节点）上运行。"),
        )  # fmt: skip


def _engine(config: AgentConfig, kind: str, clock: Clock) -> Iterator[Finding]:
    """The engine looks at the host, or the cluster, itself."""
    try:
        report = _report(config, kind, clock)
    except EngineUnavailable as error:
        yield _unavailable(config, kind, error)
        return
    except (EngineError, OSError, ImportError, ValueError) as error:
        yield Finding(
            "engine", "fail", Text(f"the engine {kind} cannot be used: {error}", f"无法使用执行引擎 {kind}：{error}"),
            Text("Mend what it names, or choose another engine with --engine.", "请按提示修复，或用 --engine 选择其他引擎。"),
        )  # fmt: skip
        return
    allowed = config.engine.allow_unisolated
    level = report.isolation
    verdict: Verdict = {IsolationLevel.sandbox: "ok", IsolationLevel.user_sandbox: "warn"}.get(level, "fail")  # type: ignore[assignment]
    if level is IsolationLevel.none and allowed:
        verdict = "warn"
    limits = ", ".join(f"{k}={v}" for k, v in report.limits.items())
    remedy = Text(
        "Mend what is named below; or, where all tenants are trusted, --allow-unisolated.",
        "请修复以下问题；若所有租户均可信，可加 --allow-unisolated。",
    )
    yield Finding(
        "engine", verdict,
        Text(f"engine {report.engine} {report.version}; work is isolated by: {level.value} ({limits})",
             f"执行引擎 {report.engine} {report.version}；隔离方式：{level.value}（{limits}）"),
        remedy if verdict == "fail" else None,
    )  # fmt: skip
    for problem in report.problems:
        yield Finding(
            problem.code,
            "warn",
            Text(problem.message_en, problem.message_zh),
            Text(problem.remedy_en, problem.remedy_zh),
        )
    yield _workspaces(config, kind, report.jupyterlab)


def _unavailable(config: AgentConfig, kind: str, error: EngineUnavailable) -> Finding:
    """A site whose cluster is away for a while keeps its agent: work goes on there, and is looked after."""
    joined = (config.data_dir / FILE_NAME).is_file()
    goes_on = Text(
        "The agent goes on with what it knows of the cluster; look at its controller.",
        "代理将按已知信息继续运行，请检查集群的控制节点。",
    )
    return Finding(
        "engine", "warn" if joined else "fail",
        Text(f"the cluster does not answer the engine {kind}: {error}", f"集群未应答执行引擎 {kind}：{error}"),
        goes_on if joined else Text("Mend what it names, or choose another engine with --engine.", "请按提示修复，或用 --engine 选择其他引擎。"),
    )  # fmt: skip


def _report(config: AgentConfig, kind: str, clock: Clock) -> EngineReport:
    """The local engine's folder may be anywhere, so that looking leaves nothing behind; a cluster's is part of the
    question."""
    if kind != "local":
        return engine_of(config, clock).preflight()
    with tempfile.TemporaryDirectory(prefix="zhisuan-check-") as folder:
        return engine_of(config.model_copy(update={"data_dir": Path(folder)}), clock).preflight()
