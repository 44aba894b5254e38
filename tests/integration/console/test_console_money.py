"""What people do with money and sites."""

from collections.abc import Callable
from typing import Any

import console_contract_data as d
import orjson
from console_setup import Served

Enter = Callable[..., Any]


def test_the_bill_shows_exact_amounts_by_purse(sign_in: Enter) -> None:
    page = sign_in("tenant", "/bill?month=2026-07")
    assert page.locator(".month-picker select").input_value() == "2026-07"
    rows = page.locator(".card").filter(has_text="由谁支付").locator("tbody tr").all_inner_texts()
    assert [r.split() for r in rows] == [
        ["免费额度", "0.7875", "5.3%", "¥0.00", "¥5.512500"], ["算力包", "10.422536", "70.3%", "¥0.00", "¥72.957752"],
        ["钱包", "3.611", "24.4%", "¥64.998000", "¥64.998000"], ["欠费", "0", "0%", "¥0.00", "¥0.00"],
    ]  # fmt: skip
    page.get_by_text("模型估算", exact=True).wait_for()
    page.get_by_text("安徽 2021 年：0.7639 kgCO₂/kWh").wait_for()
    page.get_by_role("link", name="上一账期").click()
    page.wait_for_url("**/bill?month=2026-06")
    page.locator(".month-picker select").select_option("2026-05")
    page.wait_for_url("**/bill?month=2026-05")


def test_buying_a_pack_asks_first(sign_in: Enter, seen: Any) -> None:
    page = sign_in("tenant", "/bill")
    packs = page.locator(".pack")
    assert packs.nth(2).get_by_role("button", name="购买").is_disabled()
    packs.nth(0).get_by_role("button", name="购买").click()
    page.get_by_text("将立即从钱包扣除 ¥70.00。当前余额：¥1,284.500125。").wait_for()
    before = len(seen("POST", "/orders"))
    page.get_by_role("dialog").get_by_role("button", name="购买").click()
    page.get_by_text("购买成功：10 度").wait_for()
    calls = seen("POST", "/orders")[before:]
    assert [orjson.loads(c["body"]) for c in calls] == [{"product": "pack-10", "quantity": 1}]


def test_a_member_cannot_buy(sign_in: Enter) -> None:
    page = sign_in("member", "/bill")
    page.get_by_text("由组织所有者购买算力包。").wait_for()
    assert page.locator(".pack button").count() == 0


def test_invoice_lines_lead_to_charges_and_the_trace(sign_in: Enter, served: Served) -> None:
    page = sign_in("tenant", f"/bill/invoices/{d.ident('inv', 1)}")
    page.get_by_role("button", name="查看计费").first.click()
    charges = page.locator(".card").filter(has_text="第 1 行的计费明细")
    charges.get_by_text("租约 60 秒").first.wait_for()
    assert charges.locator("tbody tr").count() == 30
    charges.get_by_role("button", name="显示更多").click()
    page.wait_for_function("document.querySelectorAll('.card:last-of-type tbody tr').length === 60 || document.querySelectorAll('tbody tr').length >= 65")
    charges.locator("tbody a").first.click()
    page.get_by_role("heading", name="追溯").wait_for()
    assert page.url.startswith(f"{served.url}/trace/chg_")


def test_the_trace_has_all_stations_in_order(sign_in: Enter) -> None:
    page = sign_in("tenant", f"/trace/{d.ident('inl', 1)}")
    assert page.locator(".station h2").all_inner_texts() == [
        "供给", "目录", "工作负载", "调度", "租约", "执行", "用量", "计费", "账单", "结算", "碳排放",
    ]  # fmt: skip
    here = page.locator(".record-here")
    assert here.count() == 1 and "当前记录" in here.inner_text()
    page.locator(".trace-search input").fill(f"  {d.ident('chg', 1)} ")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/trace/{d.ident('chg', 1)}")


def test_the_operator_records_a_top_up(sign_in: Enter, seen: Any) -> None:
    page = sign_in("operator", "/bill")
    page.get_by_role("button", name="登记充值").first.click()
    box = page.get_by_role("dialog")
    box.get_by_label("金额（元）").fill("20.005")
    box.get_by_label("付款凭据号").fill("REF-1")
    box.get_by_role("button", name="登记", exact=True).click()
    assert seen("POST", "/top-ups") == [], "a third decimal is refused before it goes out"
    box.get_by_label("金额（元）").fill("20.00")
    box.get_by_role("button", name="登记", exact=True).click()
    page.get_by_text("已登记 ¥20.00").wait_for()
    assert orjson.loads(seen("POST", "/top-ups")[-1]["body"]) == {"amount_yuan": "20.00", "channel": "bank_transfer", "reference": "REF-1"}


def test_the_operator_issues_settles_and_pays(sign_in: Enter, seen: Any) -> None:
    page = sign_in("operator", "/bill")
    page.get_by_role("button", name="开具账单").first.click()
    page.get_by_text("已开具 1 张账单").wait_for()
    page.get_by_role("button", name="开具账单").nth(1).click()
    page.get_by_text("没有可出账的用量").wait_for()
    page.get_by_role("button", name="结算", exact=True).first.click()
    page.locator(".q-notification").get_by_text("已结算").wait_for()
    page.get_by_role("button", name="登记付款").click()
    box = page.get_by_role("dialog")
    box.get_by_label("金额（元）").fill("99999")
    box.get_by_label("付款凭据号").fill("PAY-1")
    box.get_by_role("button", name="登记", exact=True).click()
    page.locator(".q-notification").get_by_text("超过应付金额。").wait_for()
    box.get_by_label("金额（元）").fill("120.5")
    box.get_by_role("button", name="登记", exact=True).click()
    page.get_by_text("已登记 ¥120.50").wait_for()
    assert orjson.loads(seen("POST", "/payouts")[-1]["body"]) == {"amount_fen": 12050, "reference": "PAY-1"}


def test_three_kinds_of_speed_stay_apart(sign_in: Enter) -> None:
    page = sign_in("operator", f"/sites/{d.ident('site', 1)}")
    head = page.locator(".node").first.locator("th").all_inner_texts()
    assert head[2:5] == ["标称 TFLOPS", "公布 度/小时", "实测性能"]
    card = page.locator(".node").first.locator("tbody tr").nth(2).locator("td").all_inner_texts()
    assert card[2:5] == ["362.05", "0.65", "fp16 211.402 TFLOPS\nbf16 209.998 TFLOPS"]
    missing = page.locator(".node").first.locator("tbody tr").nth(3).locator("td").all_inner_texts()
    assert missing[3:5] == ["无费率", "未测"]


def test_isolation_problems_and_verifying(sign_in: Enter, seen: Any) -> None:
    page = sign_in("operator", f"/sites/{d.ident('site', 2)}")
    page.get_by_text("在以下问题解决之前，站点不接收租户作业。").wait_for()
    page.get_by_text("未安装 bwrap").wait_for()
    page.get_by_role("button", name="核验并开放").click()
    page.get_by_role("dialog").get_by_role("button", name="核验并开放").click()
    page.locator(".title-row .chip").get_by_text("开放", exact=True).wait_for()
    assert len(seen("POST", "/verify")) == 1
    page.get_by_role("button", name="排空").click()
    page.get_by_role("dialog").get_by_role("button", name="排空").click()
    page.locator(".title-row .chip").get_by_text("排空中").wait_for()


def test_a_provider_registers_a_site(sign_in: Enter, seen: Any, served: Served) -> None:
    page = sign_in("provider", "/sites")
    page.get_by_role("button", name="登记站点").click()
    box = page.get_by_role("dialog")
    box.get_by_label("名称").fill("新站点")
    box.get_by_label("PUE").fill("4.2")
    box.get_by_role("button", name="登记", exact=True).click()
    page.get_by_text("PUE 须为 1.000 到 3.000 之间的数").wait_for()
    box.get_by_label("PUE").fill("1.28")
    box.get_by_role("button", name="登记", exact=True).click()
    page.get_by_text(f"zhisuan site join {served.url} --token jt_").wait_for()
    assert orjson.loads(seen("POST", "/sites")[-1]["body"]) == {"name": "新站点", "region": "CN-AH", "pue_milli": 1280}
