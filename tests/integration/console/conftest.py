"""A running console over the test double, and a real browser."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from console_setup import ARGUMENTS, CHROMIUM, Served, elsewhere, free_port, wait_for  # noqa: E402


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("console")
    port, log, storage = free_port(), folder / "log.txt", folder / "storage"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "console_contract_server.py"), str(port)], stdout=out, stderr=subprocess.STDOUT,
            env={**os.environ, "NICEGUI_STORAGE_PATH": str(storage)},
        )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(f"{url}/sign-in", process, log)
            yield Served(url, log, storage)
        finally:
            process.terminate()
            process.wait(15)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser for the tests of one file. While it is there an event loop runs in this thread, which tests elsewhere
    could not bear, so it does not outlive the file."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any, served: Served) -> Iterator[Any]:
    """A page of a fresh browser profile. Any error in the page, any request to elsewhere, any dialog fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, locale="zh-CN")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(60_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: wrong.append(f"elsewhere: {request.url}") if elsewhere(request.url, served.url) else None)
    yield page
    context.close()
    assert wrong == []


@pytest.fixture
def sign_in(page: Any, served: Served) -> Callable[..., Any]:
    """Sign in as one of the double's people; gives the page, at ``path``."""

    def enter(person: str, path: str = "/", language: str = "zh") -> Any:
        page.goto(f"{served.url}/sign-in")
        page.wait_for_selector("h1")
        if language == "en":
            page.get_by_role("button", name="切换到英文").click()
            page.get_by_role("heading", name="Sign in").wait_for()
        page.fill("input[name=email]", f"{person}@example.com")
        page.fill("input[name=password]", "a good password")
        page.press("input[name=password]", "Enter")
        page.wait_for_selector(".menu")
        if path != "/":
            page.goto(served.url + path)
            page.wait_for_selector(".page-head, .notice")
        return page

    return enter


@pytest.fixture
def seen(served: Served) -> Callable[[str, str], list[dict[str, Any]]]:
    """The calls that the double got, by method and end of path."""

    def calls(method: str, ending: str) -> list[dict[str, Any]]:
        found = httpx.get(f"{served.url}/test/seen", trust_env=False).json()
        return [c for c in found if c["method"] == method and c["path"].endswith(ending)]

    return calls
