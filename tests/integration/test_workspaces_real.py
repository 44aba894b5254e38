"""Workspaces on a whole platform: a real sandbox, tunnel and gateway; a terminal and a browser as people use them; processes killed
while they do."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import httpx
import pytest

from zhisuan.sdk.terminal import Terminal
from zhisuan.testing.platform import RunningPlatform

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
pexpect = pytest.importorskip("pexpect")
CHROMIUM = which("chromium") or which("chromium-browser") or which("google-chrome")
COMMAND = [sys.executable, "-m", "zhisuan.cli"]


class Tenant:
    def __init__(self, platform: RunningPlatform) -> None:
        self.platform = platform
        self.org_id, self.key = platform.new_tenant()

    @property
    def environment(self) -> dict[str, str]:
        url = self.platform.runtime["server_url"]
        return {**os.environ, "ZHISUAN_URL": url, "ZHISUAN_API_KEY": self.key, "ZHISUAN_LANG": "en"}

    def run(self, *words: str, status: int = 0) -> str:
        done = subprocess.run([*COMMAND, *words], env=self.environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    def start(self, kind: str, memory: str) -> str:
        self.run("workspace", "start", "--kind", kind, "--cpus", "0.5", "--memory", memory)
        return str(self.platform.call("GET", "/workspaces", self.key)["items"][0]["id"])

    def spawn(self, *words: str) -> Any:
        environment = {**self.environment, "LINES": "20", "COLUMNS": "70"}  # of another window: the terminal knows better
        return pexpect.spawn(COMMAND[0], [*COMMAND[1:], *words], env=environment, encoding="utf-8", timeout=60, dimensions=(30, 100))  # fmt: skip


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    folder = tmp_path_factory.mktemp("workspaces")
    folder.chmod(0o755)
    platform = RunningPlatform(folder / "data", console=True, environment={"ZHISUAN_ALLOW_UNISOLATED": "true"})
    try:
        platform.start()
        yield Tenant(platform)
    finally:
        platform.stop()


def test_a_shell_in_this_terminal(tenant: Tenant) -> None:
    ident = tenant.start("shell", "0.5")
    shell = tenant.spawn("workspace", "shell", ident)
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
    shell.send("\r~.")
    shell.expect("goes on")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 0
    again = tenant.spawn("workspace", "shell", ident)
    again.expect("st=130")
    again.send("exit 7\r")
    again.expect(pexpect.EOF)
    again.close()
    assert again.exitstatus == 7
    piped = subprocess.run(
        [*COMMAND, "workspace", "shell", ident], env=tenant.environment, input="echo piped-$((1+1)); exit 3\n",
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert piped.returncode == 3 and "piped-2" in piped.stdout
    assert ident in tenant.run("workspace")
    other = Tenant(tenant.platform)
    assert "no workspace" in other.run("workspace", "shell", ident, status=1)
    tenant.run("workspace", "stop", ident)
    tenant.platform.wait(lambda: tenant.platform.call("GET", f"/workspaces/{ident}", tenant.key)["status"] == "ended", "the end")
    assert "has ended" in tenant.run("workspace", "shell", ident, status=1)


def test_a_session_survives_what_is_killed_on_its_way(tenant: Tenant) -> None:
    """Agent, gateway and server are killed while a terminal is open: the same shell goes on, and what it counts is whole."""
    platform, ident = tenant.platform, tenant.start("shell", "0.5")
    seen, stands = [""], [False]

    async def show(text: str) -> None:
        seen[0] += text

    async def go() -> int:
        url = f"{platform.runtime['gateway_url']}/workspaces/{ident}"
        terminal = Terminal(url, tenant.key, "1", show, lambda now: stands.__setitem__(0, now))
        running = asyncio.create_task(terminal.run())

        async def until(word: str) -> None:
            async with asyncio.timeout(90):
                while word not in seen[0]:
                    assert not running.done(), running.result()
                    await asyncio.sleep(0.05)

        terminal.type("echo pid=$$; (i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo n-$i; sleep 0.2; done)\r")
        await until("n-5\r")
        for name in ("site agent", "gateway", "server"):
            await asyncio.to_thread(platform.kill, name)
            last = seen[0].count("\n")
            async with asyncio.timeout(90):
                while seen[0].count("\n") < last + 10:
                    await asyncio.sleep(0.1)
        terminal.type("\x03")
        await asyncio.sleep(1.0)
        terminal.type("echo same=$$\r")
        await until("same=")
        await asyncio.sleep(1.0)
        terminal.type("exit 5\r")
        return await asyncio.wait_for(running, 60)

    assert asyncio.run(go()) == 5
    words = seen[0].replace("\r", "\n").split("\n")
    pid = next(w.removeprefix("pid=") for w in words if w.startswith("pid=") and w != "pid=$$")
    assert f"same={pid}" in words
    numbers = [int(w[2:]) for w in words if w.startswith("n-")]
    assert sorted(set(numbers)) == list(range(1, max(numbers) + 1)), "nothing the shell wrote is missing"
    platform.wait(lambda: tenant.platform.call("GET", "/me", tenant.key), "the server to be back")
    tenant.run("workspace", "stop", ident)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_jupyterlab_in_a_browser(tenant: Tenant, tmp_path: Path) -> None:
    pytest.importorskip("jupyterlab")
    from playwright.sync_api import sync_playwright

    ident = tenant.start("jupyter", "1")
    link = tenant.platform.call("POST", f"/workspaces/{ident}/link", tenant.key, json={})["url"]
    assert f"{ident.replace('_', '-')}.localhost" in link
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(120_000)
        wrong: list[str] = []
        page.on("response", lambda r: wrong.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        page.goto(link)
        page.locator(".jp-LauncherCard[data-category='Notebook']").first.click()
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first.wait_for()
        page.wait_for_timeout(3000)  # while the page still moves the focus about, keys are commands of the notebook
        page.locator(".jp-Notebook .cm-content").first.click()
        page.keyboard.type("import os; print('answer', 6 * 7, os.getcwd(), 'TOKEN' in str(list(os.environ)))")
        page.keyboard.press("Shift+Enter")
        page.locator(".jp-OutputArea-output", has_text="answer 42 /work").first.wait_for()
        page.screenshot(path=str(tmp_path / "lab.png"))
        assert wrong == []
        assert "zhisuan_workspace" not in page.evaluate("document.cookie"), "no script reads the session's cookie"
        stranger = browser.new_page()
        for path in ("_enter?" + link.partition("?")[2], "lab", "api/kernels"):
            answer = stranger.goto(link.partition("_enter")[0] + path)
            assert answer is not None and answer.status in (401, 403), path
        evil = browser.new_context().new_page()
        evil.goto(tenant.platform.runtime["gateway_url"] + "/health")
        tried = evil.evaluate("url => fetch(url, {credentials: 'include'}).then(r => r.status, e => 'refused')", link.partition("_enter")[0] + "api/status")
        assert tried == "refused"
        browser.close()
    address = f"{tenant.platform.runtime['gateway_url']}/workspaces/{ident}/api/status"
    assert httpx.get(address, headers={"Authorization": f"Bearer {tenant.key}"}, trust_env=False).status_code == 200
    tenant.run("workspace", "stop", ident)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_console_starts_one_and_has_a_terminal_in_the_page(tenant: Tenant) -> None:
    from playwright.sync_api import sync_playwright

    url, person = tenant.platform.runtime["server_url"], "console@example.cn"
    body = {"organisation": "控制台", "name": "陈知行", "email": person, "password": "correct horse battery"}
    tenant.platform.call("POST", "/sign-up", json=body)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(viewport={"width": 1280, "height": 860}).new_page()
        page.set_default_timeout(120_000)
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(f"{url}/sign-in")
        page.fill("input[name=email]", person)
        page.fill("input[name=password]", body["password"])
        page.press("input[name=password]", "Enter")
        page.wait_for_selector(".menu")
        page.goto(f"{url}/workspaces")
        page.select_option("select[name=kind]", "shell")
        page.fill("input[name=cpus]", "many")
        page.locator("button[type=submit].primary").click()
        page.locator(".notice[role=alert]", has_text="resources.cpus").wait_for()
        for name, value in (("name", "交互终端"), ("cpus", "0.25"), ("memory", "0.5")):
            page.fill(f"input[name={name}]", value)
        page.locator("button[type=submit].primary").click()
        page.locator(".quote-price", has_text="¥0.1125").wait_for()
        page.get_by_role("button", name="立即启动").click()
        page.wait_for_url("**/workspaces/wsp_*")
        page.get_by_text("已连接").wait_for()
        page.locator(".xterm-helper-textarea").focus()
        page.keyboard.type("echo 你好 $((6*7)); seq 30000; echo all-''done")
        page.keyboard.press("Enter")
        page.locator(".xterm-rows", has_text="all-done").wait_for()
        page.get_by_role("button", name="停止").click()
        page.locator(".dialog button.danger").click()
        page.locator(".title-row .chip", has_text="已结束").wait_for()
        assert wrong == []
        browser.close()
