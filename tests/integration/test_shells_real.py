"""A shell beside running work on a whole platform: sandbox, agent, tunnel, gateway and command line, as a person has them."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import psutil
import pytest

from zhisuan.testing.platform import RunningPlatform

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(which("bwrap") is None or os.geteuid() != 0, reason="needs bubblewrap and root: a full sandbox"),
]
pexpect = pytest.importorskip("pexpect")
CHROMIUM = which("chromium") or which("chromium-browser") or which("google-chrome")
COMMAND = [sys.executable, "-m", "zhisuan.cli"]
JOB = """\
name: shown
resources: {cpus: 0.5, memory: 0.25}
run: |
  echo of-the-job > file.txt
  exec -a the-work sleep 600
"""


class Tenant:
    def __init__(self, platform: RunningPlatform, folder: Path) -> None:
        self.platform = platform
        self.folder = folder
        self.org_id, self.key = platform.new_tenant()

    @property
    def environment(self) -> dict[str, str]:
        url = self.platform.runtime["server_url"]
        return {**os.environ, "ZHISUAN_URL": url, "ZHISUAN_API_KEY": self.key, "ZHISUAN_LANG": "en"}

    def run(self, *words: str, given: bytes = b"") -> tuple[int, bytes, str]:
        done = subprocess.run([*COMMAND, *words], env=self.environment, input=given, capture_output=True, timeout=120, check=False)
        return done.returncode, done.stdout, done.stderr.decode()

    def launch(self, file: str = JOB, state: str = "running") -> str:
        made = self.platform.call("POST", "/workloads", self.key, json={"file": file})["workload"]["id"]
        self.platform.wait(lambda: self.workload(made)["state"] == state, f"{made} to be {state}")
        return str(made)

    def workload(self, ident: str) -> dict[str, Any]:
        return dict(self.platform.call("GET", f"/workloads/{ident}", self.key))

    def spawn(self, *words: str) -> Any:
        return pexpect.spawn(COMMAND[0], [*COMMAND[1:], *words], env=self.environment, encoding="utf-8", timeout=60, dimensions=(30, 100))


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    folder = tmp_path_factory.mktemp("shells")
    folder.chmod(0o755)
    platform = RunningPlatform(folder / "data", console=True)
    try:
        platform.start()
        tenant = Tenant(platform, folder)
        if platform.operator("GET", "/sites")["items"][0]["engine"]["isolation"] != "sandbox":
            pytest.skip("no full sandbox on this host")
        yield tenant
    finally:
        platform.stop()


@pytest.fixture(scope="module")
def job(tenant: Tenant) -> str:
    ident = tenant.launch()
    tenant.platform.wait(lambda: tenant.run("jobs", "shell", ident, "--", "test", "-e", "file.txt")[0] == 0, "the work's file")
    return ident


def test_a_command_beside_the_work(tenant: Tenant, job: str) -> None:
    def inside(*command: str, given: bytes = b"") -> tuple[int, bytes, str]:
        return tenant.run("jobs", "shell", job, "--", *command, given=given)

    assert inside("cat", "file.txt") == (0, b"of-the-job\n", "")
    assert b"the-work" in inside("bash", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")[1]
    assert inside("bash", "-c", "echo out; echo err >&2; exit 7") == (7, b"out\n", "err\n")
    data = os.urandom(1_000_000)
    assert inside("cat", given=data)[:2] == (0, data)
    assert inside("head", "-c", "3", given=data)[:2] == (0, data[:3])
    tried = "id -u; cat /etc/shadow; echo $?; mount -t tmpfs x /mnt; echo $?; unshare -Ur true; echo $?"
    uid, *statuses = (int(word) for word in inside("bash", "-c", tried)[1].split())
    assert uid >= 200_000 and 0 not in statuses and len(statuses) == 3
    assert tenant.workload(job)["state"] == "running"


def test_a_terminal_beside_the_work(tenant: Tenant, job: str) -> None:
    shell = tenant.spawn("jobs", "shell", job)
    shell.expect(r"\$ ")
    shell.send("until stty size | grep '30 100'; do sleep 0.1; done; echo 你好 $((40+2)); pwd\r")
    for seen in ("30 100", "\r30 100", "你好 42", "/work"):
        shell.expect(seen)
    shell.setwinsize(33, 111)
    shell.send("until stty size | grep '33 1''11'; do sleep 0.1; done\r")
    shell.expect("33 111")
    shell.send("sh -c 'echo sleep''ing; exec sleep 100'\r")
    shell.expect("sleeping")
    shell.send("\x03")
    shell.send("echo st=$?\r")
    shell.expect("st=130")
    shell.send("exit 9\r")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 9


def test_who_leaves_takes_the_shell_along(tenant: Tenant, job: str) -> None:
    mark = f"600.{os.getpid()}"

    def there() -> bool:
        words = [*COMMAND, "jobs", "shell", job, "--", "bash", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]
        return f"sleep {mark}".encode() in subprocess.run(words, env=tenant.environment, capture_output=True, check=True).stdout

    for leave in ("tilde", "killed"):
        shell = tenant.spawn("jobs", "shell", job)
        shell.expect(r"\$ ")
        shell.send(f"sleep {mark}\r")
        tenant.platform.wait(there, "the sleep to begin")
        if leave == "tilde":
            shell.send("\r~.")
            shell.expect("the work goes on")
            shell.expect(pexpect.EOF)
        shell.close(force=True)
        begun = time.monotonic()
        tenant.platform.wait(lambda: not there(), "the sleep to be ended")
        assert time.monotonic() - begun < 15
    assert tenant.workload(job)["state"] == "running"


def test_it_is_written_down_who_came_and_when_and_not_what_they_typed(tenant: Tenant, job: str) -> None:
    secret = "typed-and-told-to-nobody"
    assert tenant.run("jobs", "shell", job, "--", "echo", secret)[1] == f"{secret}\n".encode()
    events = tenant.platform.call("GET", f"/workloads/{job}", tenant.key)["events"]
    opened = [e for e in events if e["cause"] == "shell opened"]
    me = tenant.platform.call("GET", "/me", tenant.key)["user"]["id"]
    assert opened and all(e["actor"] == me and e["state"] == "running" for e in opened)
    assert secret not in str(events)
    _, log, _ = tenant.run("logs", job)
    assert secret.encode() not in log
    platform_log = (tenant.platform.folder / "up.log").read_text(errors="replace")
    assert secret not in platform_log


def test_what_cannot_be_is_answered_in_words(tenant: Tenant, job: str) -> None:
    def refused(ident: str, *more: str, by: Tenant = tenant) -> str:
        status, out, told = by.run("jobs", "shell", ident, *more, "--", "true")
        assert status == 1 and not out
        return told

    other = Tenant(tenant.platform, tenant.folder)
    foreign, unknown = refused(job, by=other), refused("job_" + "0" * 26, by=other)
    assert "no workload" in foreign and foreign.replace(job, "X") == unknown.replace("job_" + "0" * 26, "X")
    assert "no rank 3" in refused(job, "--node", "3")
    ended = tenant.launch("name: short\nresources: {cpus: 0.5, memory: 0.25}\nrun: 'true'\n", "succeeded")
    assert "succeeded" in refused(ended)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_console_has_a_terminal_on_the_page_of_a_job(tenant: Tenant, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    url, person = tenant.platform.runtime["server_url"], "shell@example.cn"
    body = {"organisation": "控制台", "name": "陈知行", "email": person, "password": "correct horse battery"}
    key = tenant.platform.call("POST", "/sign-up", json=body)["key"]["secret"]
    made = tenant.platform.call("POST", "/workloads", key, json={"file": JOB})["workload"]["id"]
    tenant.platform.wait(lambda: tenant.platform.call("GET", f"/workloads/{made}", key)["state"] == "running", "the job to run")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()
        page.set_default_timeout(120_000)
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(f"{url}/sign-in")
        page.fill("input[name=email]", person)
        page.fill("input[name=password]", body["password"])
        page.press("input[name=password]", "Enter")
        page.wait_for_selector(".menu")
        page.goto(f"{url}/workloads/{made}")
        page.get_by_role("button", name="打开终端").click()
        page.locator(".xterm-rows", has_text="$").wait_for()
        page.locator(".xterm-helper-textarea").focus()
        page.keyboard.type("cat file.txt; echo 你好 $((6*7)); stty size")
        page.keyboard.press("Enter")
        page.locator(".xterm-rows", has_text="你好 42").wait_for()
        page.screenshot(path=str(tmp_path / "terminal.png"))
        page.keyboard.type("exit 3")
        page.keyboard.press("Enter")
        page.get_by_text("终端已结束（3）").wait_for()
        assert wrong == []
        browser.close()
    events = tenant.platform.call("GET", f"/workloads/{made}", key)["events"]
    assert [e["actor"].startswith("usr_") for e in events if e["cause"] == "shell opened"] == [True]
    tenant.platform.call("POST", f"/workloads/{made}/cancel", key)


def test_the_limit_of_its_memory_is_the_works(tenant: Tenant) -> None:
    ident = tenant.launch(JOB.replace("shown", "small"))
    status, _, told = tenant.run("jobs", "shell", ident, "--", "python3", "-c", "x = bytearray(10**9)")
    assert status != 0, told
    tenant.platform.wait(lambda: tenant.workload(ident)["state"] == "failed", "the work to end by its limit")
    assert tenant.workload(ident)["reason"] == "out_of_memory"


def test_the_end_of_the_work_is_the_end_of_its_shells(tenant: Tenant, job: str) -> None:
    """Last, since it ends the job of the others."""
    shell = tenant.spawn("jobs", "shell", job)
    shell.expect(r"\$ ")
    assert tenant.run("jobs", "cancel", job)[0] == 0
    shell.expect("work has ended", timeout=60)
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 1
    tenant.platform.wait(lambda: tenant.workload(job)["state"] == "cancelled", "the end")
    assert not [p for p in psutil.process_iter(["cmdline"]) if (p.info["cmdline"] or [""])[0] == "the-work"]
