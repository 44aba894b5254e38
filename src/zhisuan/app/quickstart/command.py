"""The command: start the platform, take one order through, write the report."""

import os
import time
from pathlib import Path

from rich.console import Console

from zhisuan.app.quickstart.report import make_report, write_report
from zhisuan.app.quickstart.run import Quickstart, find_example, local_time
from zhisuan.app.quickstart.screen import Screen
from zhisuan.app.quickstart.state import RunState
from zhisuan.app.quickstart.statement import close_the_account
from zhisuan.app.supervisor import Supervisor
from zhisuan.base.clock import SystemClock
from zhisuan.base.settings import Settings, default_data_dir
from zhisuan.base.text import Text

STATE_FILE = "quickstart.json"


def default_folder() -> Path:
    base = default_data_dir()
    return base.with_name(f"{base.name}-quickstart")


def run_quickstart(
    data_dir: Path | None, *, keep: bool, fresh: bool, example: Path | None, language: str, allow_unisolated: bool
) -> int:
    """0 when every check agreed, 1 when one did not."""
    started = time.monotonic()
    folder = data_dir or default_folder()
    screen = Screen(Console(), language)
    source = example or find_example()
    settings = Settings(
        data_dir=folder, server_port=0, gateway_port=0, allow_unisolated=allow_unisolated or Settings().allow_unisolated
    )
    screen.station("0", Text("The platform starts on this machine", "平台在本机启动"))
    screen.fact(Text("data directory", "数据目录"), str(folder))
    with Supervisor(settings, say=lambda text: screen.fact(text)) as platform:
        state = RunState.open(folder / STATE_FILE, fresh=fresh)
        if state.continued:
            screen.fact(
                Text(
                    "an interrupted run goes on (begin again with --fresh)", "继续上次中断的运行（--fresh 可重新开始）"
                )
            )
        screen.fact(Text("measuring this machine", "正在测量本机"))
        platform.wait_for_site()
        quickstart = Quickstart(platform, state, screen, SystemClock(), source)
        try:
            ok = _order(quickstart, folder, started)
        finally:
            quickstart.close()
        if keep:
            _stay(platform, quickstart, screen)
    return 0 if ok else 1


def _order(q: Quickstart, folder: Path, started: float) -> bool:
    q.supply()
    q.catalogue()
    q.train()
    q.serve()
    stations = close_the_account(q)
    report = make_report(
        stations, run=q.state.run, at=local_time(q.clock.now()), tenant=str(q.state.get("tenant")),
        duration_seconds=int(time.monotonic() - started),
    )  # fmt: skip
    data, page = write_report(report, folder)
    q.state.keep(done=True)
    ok = all(c["ok"] for c in report.checks)
    q.screen.station("6", Text("Report", "报告"))
    (q.screen.good if ok else q.screen.bad)(
        Text("every check agrees", "全部核对一致") if ok else Text("a check does not agree", "有核对项不一致"),
        f"{report.duration_seconds} s",
    )
    q.screen.good(Text("page", "网页"), str(page))
    q.screen.good(Text("data", "数据"), str(data))
    return ok


def _stay(platform: Supervisor, q: Quickstart, screen: Screen) -> None:
    """Keep the platform running with the model served again, until told to stop."""
    with q._signed_in(str(q.state.get("email")), q.state.password) as tenant:
        tenant.deploy("scenic-qa", cpus=1, memory_gib=2, idempotency_key=q.state.key("keep"))
        key = tenant.create_key("quickstart --keep").secret
    screen.station("7", Text("The platform stays; Ctrl-C stops it", "平台保持运行；按 Ctrl-C 停止"))
    screen.good(Text("console", "控制台"), platform.addresses.server_url)
    screen.fact(Text("tenant", "租户"), f"{q.state.get('email')} / {q.state.password}")
    screen.fact(Text("operator", "运营方"), f"operator@localhost / {platform.secrets.operator_password}")
    screen.fact(Text("models", "模型"), f"OPENAI_BASE_URL={platform.addresses.gateway_url}/v1 OPENAI_API_KEY={key}")
    screen.fact(Text("command line", "命令行"), f"ZHISUAN_URL={platform.addresses.server_url} ZHISUAN_API_KEY={key}")
    while os.getppid() >= 0:
        platform.tend()
        time.sleep(0.2)
