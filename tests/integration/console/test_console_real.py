"""The console on a whole platform: real database, real site, real work, from signing up to the bill and the trace."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from console_setup import elsewhere

from zhisuan.testing.platform import RunningPlatform

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
JOB = """\
name: 首个作业 b
resources: {cpus: 0.5, memory: 0.5}
run: |
  echo '<img src=x onerror="window.hacked=1">'
  for n in 1 2 3; do echo "第 $n 步"; sleep 1; done
  mkdir -p $ZHISUAN_ARTIFACTS/model && echo weights > $ZHISUAN_ARTIFACTS/model/weights.txt
zhisuan: {artefacts: [model]}
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Address and operator's password of a running platform."""
    folder = tmp_path_factory.mktemp("real")
    folder.chmod(0o755)
    running = RunningPlatform(folder / "data", console=True, environment={"ZHISUAN_ALLOW_UNISOLATED": "true"})
    try:
        running.start()
        secrets = json.loads((folder / "data" / "secrets.json").read_text())
        yield str(running.runtime["server_url"]), secrets["operator_password"]
    finally:
        running.stop()


@pytest.fixture
def browser_page(chromium: Any, platform: tuple[str, str]) -> Iterator[Any]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(120_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url) if elsewhere(request.url, platform[0]) else None)
    yield page
    context.close()
    assert wrong == []


def test_from_signing_up_to_the_trace(browser_page: Any, platform: tuple[str, str], tmp_path: Path) -> None:
    page, (url, _) = browser_page, platform
    page.goto(f"{url}/sign-up")
    for name, value in (("organisation", "黄山智游"), ("name", "陈知行"), ("email", "chen@example.com"), ("password", "a long enough password")):
        page.fill(f"input[name={name}]", value)
    page.locator("button[type=submit].primary").click()
    page.get_by_text("您的第一个 API 密钥").wait_for()
    page.get_by_text("还没有工作负载").wait_for()

    page.goto(f"{url}/workloads/new")
    page.fill("textarea[name=file]", JOB)
    page.get_by_role("button", name="询价").click()
    page.get_by_text("现在可启动").wait_for()
    page.get_by_role("button", name="确认启动").click()
    page.wait_for_url("**/workloads/job_*")
    workload = page.url.rpartition("/")[2]
    page.locator(".log-text").get_by_text("第 3 步").wait_for()
    page.locator(".title-row .chip").get_by_text("已成功").wait_for()
    page.get_by_text("已结束").wait_for()
    assert page.evaluate("window.hacked") is None
    with page.expect_download() as waiting:
        page.get_by_role("link", name="model/weights.txt").click()
    waiting.value.save_as(tmp_path / "weights")
    assert (tmp_path / "weights").read_text() == "weights\n"

    page.get_by_role("link", name="追溯").click()
    page.locator(".station").nth(10).wait_for()
    assert page.locator(".station h2").count() == 11
    assert workload in page.url

    for path in ("/", "/workloads", "/models", "/bill", "/catalog"):
        answer = page.goto(url + path)
        page.wait_for_selector("h1")
        assert answer.status == 200 and page.locator(".notice[role=alert]").count() == 0, path


def test_an_upload_says_on_the_page_what_came_of_it(browser_page: Any, platform: tuple[str, str], tmp_path: Path) -> None:
    page, (url, _) = browser_page, platform
    page.goto(f"{url}/sign-up")
    for name, value in (("organisation", "黄山文旅"), ("name", "王"), ("email", "wang@example.com"), ("password", "a long enough password")):
        page.fill(f"input[name={name}]", value)
    page.locator("button[type=submit].primary").click()
    page.get_by_text("您的第一个 API 密钥").wait_for()
    page.goto(f"{url}/volumes")
    page.fill("input[name=name]", "语料")
    page.press("input[name=name]", "Enter")
    page.wait_for_url("**/volumes/*")

    def send(path: Path, size: int) -> None:
        path.write_bytes(bytes(size))
        page.set_input_files("input[name=file]", str(path))
        page.locator("form.upload button").click()

    send(tmp_path / "a b.txt", 3)
    page.get_by_text("a b.txt 已存入版本 1").wait_for()
    page.goto(f"{url}/volumes/语料?path=图")
    page.get_by_text("此版本中没有该文件夹").wait_for()
    send(tmp_path / "1.png", 4)
    page.get_by_text("1.png 已存入版本 2").wait_for()
    assert page.url.endswith("?path=%E5%9B%BE"), "back in the folder that it was sent to"
    page.locator("tbody").get_by_role("link", name="1.png").wait_for()
    send(tmp_path / "big one", 64 * 1024**2 + 1)
    page.get_by_text("zhisuan volumes put 'big one' '语料:图'").wait_for()
    page.get_by_text("English", exact=True).click()
    page.get_by_text("Files of version 2").wait_for()


def test_the_operator_sees_the_city(browser_page: Any, platform: tuple[str, str]) -> None:
    page, (url, password) = browser_page, platform
    page.goto(f"{url}/sign-in")
    page.fill("input[name=email]", "operator@localhost")
    page.fill("input[name=password]", password)
    page.press("input[name=password]", "Enter")
    page.get_by_text("可达站点").wait_for()
    page.get_by_text("近 30 天清理了 0 个无人引用的存储文件").wait_for()
    for path in ("/workloads", "/bill", "/sites", "/catalog"):
        answer = page.goto(url + path)
        page.wait_for_selector("h1")
        assert answer.status == 200 and page.locator(".notice[role=alert]").count() == 0, path
    page.goto(f"{url}/sites")
    page.locator("tbody a").first.click()
    page.get_by_role("columnheader", name="实测性能").wait_for()
    cpu = page.locator(".node tbody tr").first.locator("td").all_inner_texts()
    assert cpu[3] == "0.025" and "fp32" in cpu[4]


def test_an_owner_sets_the_quota_of_a_project_and_the_operator_sees_all(browser_page: Any, platform: tuple[str, str]) -> None:
    page, (url, password) = browser_page, platform
    page.goto(f"{url}/sign-up")
    fields = (("organisation", "徽州学院"), ("name", "吴可"), ("email", "wu@example.com"), ("password", "a long enough password"))
    for name, value in fields:
        page.fill(f"input[name={name}]", value)
    page.locator("button[type=submit].primary").click()
    page.get_by_text("您的第一个 API 密钥").wait_for()
    page.goto(f"{url}/quotas")
    page.get_by_role("button", name="设置", exact=True).click()
    page.fill("input[name=limit_cores_milli]", "a lot")
    page.get_by_role("button", name="保存").click()
    page.get_by_text("请填写 8、0.5 之类的数字。").wait_for()
    page.fill("input[name=limit_cores_milli]", "2.5")
    page.get_by_role("button", name="保存").click()
    page.get_by_text("0 / 0 / 2.5").wait_for()
    page.context.clear_cookies()
    page.goto(f"{url}/sign-in")
    page.fill("input[name=email]", "operator@localhost")
    page.fill("input[name=password]", password)
    page.locator("button[type=submit].primary").click()
    page.wait_for_url(f"{url}/")
    page.goto(f"{url}/quotas")
    page.locator("tr", has_text="徽州学院").get_by_role("link", name="项目").click()
    page.get_by_text("徽州学院 的配额").wait_for()
    page.get_by_text("0 / 0 / 2.5").wait_for()
