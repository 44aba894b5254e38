"""What people do with workloads and models: launch, watch, cancel, download, deploy, chat."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import console_contract_data as d
import orjson
from console_setup import Served

Enter = Callable[..., Any]


def test_paste_quote_launch(sign_in: Enter, seen: Any, served: Served) -> None:
    page = sign_in("tenant", "/workloads/new")
    page.fill("textarea[name=file]", "name: x\nresources: {cpuz: 2}\nrun: x\n")
    page.get_by_role("button", name="询价").click()
    page.get_by_role("alert").get_by_text("resources.cpuz: 不是工作负载文件的字段").wait_for()
    assert page.get_by_role("alert").get_by_text(d.HOSTILE).count() == 1
    assert "cpuz" in page.input_value("textarea[name=file]"), "the file typed stays when the answer comes"
    page.get_by_role("button", name="网络服务", exact=True).click()
    assert "readiness_probe" in page.input_value("textarea[name=file]")
    page.get_by_role("button", name="询价").click()
    page.get_by_text("¥11.70").first.wait_for()
    page.get_by_text("14 个节点：没有 L40S:1").wait_for()
    page.get_by_role("button", name="确认启动").click()
    page.wait_for_url(f"{served.url}/workloads/job_watched")
    sent = orjson.loads(seen("POST", "/workloads")[-1]["body"])
    assert "readiness_probe" in sent["file"]
    assert all(call["key"] for call in seen("POST", ""))


def test_live_log_pause_and_go_on(sign_in: Enter) -> None:
    page = sign_in("tenant", "/workloads/job_watched")
    log = page.locator(".log-text")
    log.get_by_text("live line 3\n").wait_for()
    page.get_by_text("实时").wait_for()
    assert "\x1b" not in log.inner_text() and "progress 10%" not in log.inner_text()
    page.get_by_role("button", name="暂停", exact=True).click()
    page.get_by_text("已暂停").wait_for()
    page.wait_for_timeout(400)
    held = log.inner_text()
    page.wait_for_timeout(600)
    assert log.inner_text() == held
    page.get_by_role("button", name="继续").click()
    page.wait_for_function("(held) => document.querySelector('.log-text').innerText.length > held", arg=len(held))
    lines = [x for x in log.inner_text().splitlines() if x.startswith("live line")]
    assert lines == [f"live line {n}" for n in range(len(lines))], "nothing lost, nothing twice"


def test_progress_moves_while_the_page_is_open(sign_in: Enter) -> None:
    page = sign_in("tenant", "/workloads/job_watched")
    first = page.locator(".progress .figure").inner_text()
    page.wait_for_function("(first) => document.querySelector('.progress .figure').innerText !== first", arg=first)


def test_cancel_asks_first(sign_in: Enter, seen: Any) -> None:
    path = f"/workloads/{d.ident('job', 8)}"
    page = sign_in("tenant", path)
    page.get_by_role("button", name="取消运行").click()
    page.get_by_role("button", name="继续运行").click()
    assert seen("POST", f"{path}/cancel") == []
    page.get_by_role("button", name="取消运行").click()
    page.get_by_role("button", name="确认取消").click()
    page.locator(".title-row .chip").get_by_text("已取消").wait_for()
    assert len(seen("POST", f"{path}/cancel")) == 1
    page.locator(".log-text").get_by_text("last line").wait_for()
    page.get_by_text("已结束").wait_for()


def test_downloads_come_as_files(sign_in: Enter, tmp_path: Path) -> None:
    page = sign_in("tenant", f"/workloads/{d.ident('svc', 2)}")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="下载").click()
    waiting.value.save_as(tmp_path / "log")
    assert waiting.value.suggested_filename == f"{d.ident('svc', 2)}.log"
    assert d.HOSTILE in (tmp_path / "log").read_text()
    with page.expect_download() as waiting:
        page.get_by_role("link", name="model/模型 权重.safetensors").click()
    waiting.value.save_as(tmp_path / "artefact")
    assert waiting.value.suggested_filename == "模型 权重.safetensors"
    assert (tmp_path / "artefact").read_bytes() == b"<script>window.hacked=1</script>"


def test_copying_an_id(sign_in: Enter) -> None:
    page = sign_in("tenant", f"/workloads/{d.ident('svc', 2)}")
    page.locator(".title-row .copy").click()
    page.wait_for_selector(".copy.copied")
    assert page.evaluate("navigator.clipboard.readText()") == d.ident("svc", 2)


def test_lists_page_and_filter(sign_in: Enter, served: Served) -> None:
    page = sign_in("tenant", "/workloads")
    assert page.locator("tbody tr").count() == 50
    first = page.locator("tbody tr").first.inner_text()
    page.get_by_role("link", name="更早").click()
    page.get_by_role("link", name="最新").wait_for()
    assert page.locator("tbody tr").first.inner_text() != first
    page.get_by_role("link", name="失败", exact=True).click()
    page.wait_for_url("**/workloads?state=failed")
    page.wait_for_selector("tbody tr")
    assert set(page.locator("tbody .chip").all_inner_texts()) == {"失败"}


def test_a_waiting_workload_says_why(sign_in: Enter) -> None:
    page = sign_in("tenant", f"/workloads/{d.ident('job', 1)}")
    page.get_by_text("16 个节点当前都无法承接").wait_for()
    page.get_by_text("可行的办法：换用其他加速卡").wait_for()


def test_the_operator_sees_no_output_of_tenants(sign_in: Enter, seen: Any) -> None:
    before = len(seen("GET", "/watch")) + len(seen("GET", "/artefacts"))
    page = sign_in("operator", f"/workloads/{d.ident('job', 11)}")
    page.get_by_text("输出内容属于租户").wait_for()
    assert page.locator(".log-text").count() == 0
    assert len(seen("GET", "/watch")) + len(seen("GET", "/artefacts")) == before


def test_register_a_model_from_artefacts(sign_in: Enter, seen: Any, served: Served) -> None:
    page = sign_in("tenant", f"/workloads/{d.ident('svc', 2)}")
    page.get_by_role("button", name="登记为模型").click()
    box = page.get_by_role("dialog")
    box.get_by_label("模型名称").fill("scenic-guide")
    box.get_by_role("button", name="登记为模型").click()
    page.wait_for_url(f"{served.url}/models/scenic-guide")
    sent = orjson.loads(seen("POST", "/models/scenic-guide/versions")[-1]["body"])
    assert sent == {"workload_id": d.ident("svc", 2), "path": "model", "evaluation_path": "evaluation.json"}


def test_deploy_and_stop(sign_in: Enter, seen: Any) -> None:
    page = sign_in("tenant", "/models/scenic-guide")
    page.get_by_role("button", name="部署", exact=True).first.click()
    box = page.get_by_role("dialog")
    box.get_by_label("CPU 核数").fill("2")
    box.get_by_role("button", name="部署", exact=True).click()
    page.locator(".deployment").get_by_text("启动中").wait_for()
    sent = orjson.loads(seen("POST", "/deployments")[-1]["body"])
    assert sent == {"model": "scenic-guide", "version": 3, "cpus": 2, "memory_gib": 2}
    page.locator(".deployment").filter(has_text="启动中").get_by_role("button", name="停止").click()
    page.get_by_role("dialog").get_by_role("button", name="停止").click()
    page.locator(".deployment").get_by_text("启动中").wait_for(state="detached")


def test_chat_with_a_model(sign_in: Enter, served: Served) -> None:
    page = sign_in("tenant", "/models/scenic-guide")
    page.get_by_label("API 密钥").fill("zsk_wrong")
    page.get_by_role("button", name="使用此密钥").click()
    page.get_by_label("输入消息").fill("什么季节？")
    page.get_by_role("button", name="发送").click()
    page.get_by_text("This API key is not valid.").wait_for()
    page.get_by_role("button", name="清除密钥").click()
    page.get_by_role("button", name="新建密钥").click()
    page.get_by_text("zsk_chat").wait_for()
    page.get_by_label("输入消息").fill("什么季节最适合？")
    page.keyboard.press("Enter")
    page.locator(".turn-assistant").get_by_text(f"最适合四月到五月，{d.HOSTILE}").wait_for()
    page.get_by_text("输入 12，输出 9").wait_for()
    assert page.input_value(".chat-form input") == ""
    page.reload()
    page.get_by_label("输入消息").wait_for()
    assert "zsk_chat" not in page.content()
    assert page.evaluate("window.hacked") is None
