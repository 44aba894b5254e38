"""A real platform for tests: ``zhisuan up`` as its own process tree, killed and started again at will."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil

START_SECONDS = 120.0


class RunningPlatform:
    """One data directory and the platform on it. Ports are picked anew at each start."""

    def __init__(
        self, folder: Path, *, console: bool = False, own_site: bool = True, environment: dict[str, str] | None = None
    ) -> None:
        self.folder = folder
        self._own_site = own_site
        self._environment = {**os.environ, "ZHISUAN_CONSOLE": str(console).lower(), **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until the server answers, and its own site where it has one."""
        command = [
            sys.executable,
            "-m",
            "zhisuan.cli",
            "up",
            "--data-dir",
            str(self.folder),
            "--port",
            "0",
            "--gateway-port",
            "0",
        ]
        if not self._own_site:
            command.append("--no-site")
        self.runtime_file.unlink(missing_ok=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "up.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=self._environment, start_new_session=True
            )
        self.wait(self.runtime_file.is_file, "the platform to start")
        if not self._own_site:
            self.wait(lambda: self.operator("GET", "/me"), "the server to answer")
            return
        self.wait(
            lambda: any(s["state"] == "open" and s["reachable"] for s in self.operator("GET", "/sites")["items"]),
            "the site to open",
        )

    @property
    def runtime_file(self) -> Path:
        return self.folder / "runtime.json"

    @property
    def runtime(self) -> dict[str, Any]:
        data: dict[str, Any] = orjson.loads(self.runtime_file.read_bytes())
        return data

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = START_SECONDS) -> Any:
        """Until ``condition`` gives something true; errors of a platform that is just starting count as not yet."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with contextlib.suppress(httpx.HTTPError, OSError, AssertionError, orjson.JSONDecodeError):
                if found := condition():
                    return found
            if self._process is not None and self._process.poll() is not None and what == "the platform to start":
                break
            time.sleep(0.1)
        log = (self.folder / "up.log").read_text(errors="replace")[-2000:]
        raise AssertionError(f"waited {seconds} s for {what}\n{log}")

    def processes(self) -> dict[str, psutil.Process]:
        """The platform's processes by their part: up, server, gateway, site agent, database."""
        assert self._process is not None
        up = psutil.Process(self._process.pid)
        found = {"up": up}
        for child in up.children():
            line = " ".join(child.cmdline())
            for name, module in (("server", "run_server"), ("gateway", "run_gateway"), ("site agent", "run_site")):
                if module in line:
                    found[name] = child
        pid_file = self.folder / "postgres" / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
            found["database"] = psutil.Process(int(pid_file.read_text().splitlines()[0]))
        return found

    def kill(self, *names: str) -> None:
        """SIGKILL these parts, all at once; one that is just being started again is waited for."""
        running: dict[str, psutil.Process] = self.wait(
            lambda: set(names) <= set(found := self.processes()) and found, ", ".join(names)
        )
        for name in names:
            with contextlib.suppress(psutil.NoSuchProcess):
                running[name].kill()
        if "up" in names:
            assert self._process is not None
            self._process.wait()
            self._until_quiet(running)

    def _until_quiet(self, processes: dict[str, psutil.Process]) -> None:
        """The children end by themselves when the supervisor is gone; the database stays."""
        psutil.wait_procs([p for name, p in processes.items() if name not in ("up", "database")], timeout=30)

    def ask_to_stop(self) -> None:
        """What an operator does: SIGTERM, and wait for the end. Raises ``subprocess.TimeoutExpired`` after a minute."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)

    def stop(self) -> None:
        """Stop in good order, then make sure that nothing of this data directory is left."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.ask_to_stop()
        for process in psutil.process_iter(["cmdline"]):
            if any(str(self.folder) in part for part in process.info["cmdline"] or ()) and process.pid != os.getpid():
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()

    def call(self, method: str, path: str, key: str | None = None, **more: Any) -> Any:
        """One API call that must succeed."""
        headers = {"Idempotency-Key": str(uuid.uuid4())} | ({"Authorization": f"Bearer {key}"} if key else {})
        answer = httpx.request(
            method, f"{self.runtime['server_url']}/api/v1{path}", headers=headers, timeout=30, **more
        )
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def operator(self, method: str, path: str, **more: Any) -> Any:
        password = orjson.loads((self.folder / "secrets.json").read_bytes())["operator_password"]
        session = self.call("POST", "/sessions", json={"email": "operator@localhost", "password": password})
        return self.call(method, path, session["secret"], **more)

    def new_tenant(self, yuan: str = "20.00") -> tuple[str, str]:
        """(organisation id, key) of a tenant with money."""
        tag = uuid.uuid4().hex[:8]
        body = {
            "organisation": f"租户 {tag}",
            "name": "测试",
            "email": f"{tag}@example.cn",
            "password": "correct horse battery",
        }
        made = self.call("POST", "/sign-up", json=body)
        self.operator(
            "POST", f"/organisations/{made['organisation_id']}/top-ups", json={"amount_yuan": yuan, "reference": tag}
        )
        return made["organisation_id"], made["key"]["secret"]
