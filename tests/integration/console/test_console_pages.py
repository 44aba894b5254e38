"""Every page, for everyone who has it: in both languages, on both widths, with hostile names, without harm."""

from collections.abc import Callable
from typing import Any

import console_contract_data as d
import httpx
import pytest
from console_setup import Served

PAGES = {
    "tenant": ("/", "/workloads", "/workloads/new", f"/workloads/{d.ident('svc', 2)}", f"/workloads/{d.ident('job', 1)}",
               f"/workloads/{d.ident('job', 3)}", "/workloads/job_watched", "/models", "/models/scenic-guide", "/models/visitor-flow",
               "/bill", "/bill?month=2026-07", f"/bill/invoices/{d.ident('inv', 1)}", f"/trace/{d.ident('inl', 1)}", "/trace", "/catalog"),
    "operator": ("/", "/workloads", f"/workloads/{d.ident('job', 3)}", "/bill", "/sites", f"/sites/{d.ident('site', 1)}",
                 f"/sites/{d.ident('site', 2)}", f"/sites/{d.ident('site', 4)}", f"/trace/{d.ident('job', 1)}", "/catalog"),
    "provider": ("/", "/sites", f"/sites/{d.ident('site', 1)}", f"/sites/{d.ident('site', 4)}", "/bill", "/catalog"),
    "city": ("/", "/bill", "/catalog"),
    "new": ("/", "/workloads", "/models", "/bill"),
}  # fmt: skip
MENUS = {
    "tenant": ["概览", "工作负载", "工作空间", "模型", "数据卷", "配额", "账单", "价目"],
    "operator": ["概览", "工作负载", "工作空间", "配额", "站点", "账务", "价目"],
    "provider": ["概览", "站点", "收益", "价目"],
    "city": ["概览", "碳排放", "价目"],
}
UNNAMED = """() => [...document.querySelectorAll('input,select,textarea,button,a[href]')].filter(e => {
    if (e.type === 'hidden' || !e.checkVisibility()) return false;
    const label = e.labels && e.labels.length ? [...e.labels].map(l => l.innerText).join('') : '';
    return !(e.innerText.trim() || e.getAttribute('aria-label') || e.getAttribute('title') || label.trim());
}).map(e => e.outerHTML)"""
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
CUT = """() => [...document.querySelectorAll('.button, .chip, .stat-value, h1, h2, h3')]
    .filter(e => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline')
    .map(e => e.outerHTML)"""


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("person", list(PAGES))
def test_every_page(sign_in: Callable[..., Any], served: Served, person: str, language: str) -> None:
    page = sign_in(person, language=language)
    for path in PAGES[person]:
        page.set_viewport_size({"width": 1280, "height": 900})
        answer = page.goto(served.url + path)
        page.wait_for_selector("h1")
        assert answer.status == 200, path
        assert page.locator("h1").count() == 1, path
        assert page.locator(".notice[role=alert]").count() == 0, path
        assert page.evaluate("document.documentElement.lang") == ("zh-CN" if language == "zh" else "en-US")
        assert page.evaluate("window.hacked") is None, path
        assert page.locator("main img").count() == 0, path
        assert "49" not in (page.locator("h1").first.inner_text()), path
        assert page.evaluate(UNNAMED) == [], path
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 844})
            assert page.evaluate(WIDER) <= 0, (path, width)
            assert page.evaluate(CUT) == [], (path, width)


def test_names_are_shown_as_they_are(sign_in: Callable[..., Any]) -> None:
    page = sign_in("tenant", "/workloads/job_watched")
    assert page.locator("h1").inner_text() == d.HOSTILE
    page.locator(".log-text").get_by_text(d.HOSTILE).first.wait_for()
    assert page.locator(".log-text img").count() == 0
    assert page.evaluate("window.hacked") is None


@pytest.mark.parametrize("person", list(MENUS))
def test_the_menu_is_made_for_its_reader(sign_in: Callable[..., Any], person: str) -> None:
    page = sign_in(person)
    assert page.locator(".menu-item").all_inner_texts() == MENUS[person]
    assert page.locator(".menu-item[aria-current=page]").inner_text() == "概览"


@pytest.mark.parametrize(("person", "path"), [("tenant", "/sites"), ("provider", "/workloads"), ("city", "/models"), ("provider", "/trace/job_x")])
def test_a_page_that_is_not_for_the_role(sign_in: Callable[..., Any], served: Served, person: str, path: str) -> None:
    page = sign_in(person)
    answer = page.goto(served.url + path)
    page.get_by_role("alert").get_by_text("您的角色无权查看").wait_for()
    assert answer.status == 403


@pytest.mark.parametrize("path", ["/workloads/job_none", "/models/none", "/bill/invoices/inv_none", "/trace/none", "/workloads/..%2f..%2fsites",
                                  "/models/%3Cscript%3E"])  # fmt: skip
def test_a_record_that_does_not_exist(sign_in: Callable[..., Any], served: Served, path: str) -> None:
    page = sign_in("tenant")
    answer = page.goto(served.url + path)
    page.get_by_role("link", name="返回概览").wait_for()
    assert answer.status == 404


def test_the_platform_away_and_back(sign_in: Callable[..., Any], served: Served) -> None:
    page = sign_in("tenant")
    httpx.post(f"{served.url}/test/down/1", trust_env=False)
    try:
        answer = page.goto(f"{served.url}/workloads?state=failed")
        page.get_by_role("alert").get_by_text("平台暂时没有响应").wait_for()
        assert answer.status == 503
    finally:
        httpx.post(f"{served.url}/test/down/0", trust_env=False)
    page.get_by_role("link", name="重试").click()
    page.get_by_role("heading", name="工作负载").wait_for()
    assert page.url.endswith("/workloads?state=failed")


def test_the_language_is_kept_for_the_browser(sign_in: Callable[..., Any], served: Served) -> None:
    page = sign_in("tenant", language="en")
    page.goto(f"{served.url}/bill")
    page.get_by_role("heading", name="Bill", exact=True).wait_for()
    page.get_by_role("button", name="Switch to Chinese").click()
    page.get_by_role("heading", name="账单").first.wait_for()
    page.get_by_role("button", name="退出登录").click()
    page.get_by_role("heading", name="登录").wait_for()


def test_prices_are_public(page: Any, served: Served) -> None:
    page.goto(f"{served.url}/catalog")
    page.get_by_role("heading", name="公开价目").wait_for()
    page.get_by_text("¥18.00").first.wait_for()
    assert page.locator(".menu").count() == 0
    page.get_by_role("link", name="登录").click()
    page.wait_for_selector("input[name=email]")


def test_the_menu_opens_on_a_narrow_screen(sign_in: Callable[..., Any]) -> None:
    page = sign_in("tenant")
    page.set_viewport_size({"width": 390, "height": 844})
    assert not page.locator(".menu").is_visible()
    page.get_by_role("button", name="菜单").click()
    page.get_by_role("link", name="账单", exact=True).click()
    page.get_by_role("heading", name="账单").first.wait_for()


def test_by_keyboard_alone(page: Any, served: Served) -> None:
    page.goto(f"{served.url}/sign-in")
    page.wait_for_selector("input[name=email]")
    page.keyboard.type("tenant@example.com")
    page.keyboard.press("Tab")
    page.keyboard.type("good")
    page.keyboard.press("Enter")
    page.wait_for_selector(".menu")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "跳到正文"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


def contrast(page: Any, selector: str) -> float:
    """WCAG 2 contrast of an element's text against the first opaque ground behind it."""
    return float(page.evaluate("""(selector) => {
        const parse = (c) => c.match(/[\\d.]+/g).map(Number);
        const light = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        let element = document.querySelector(selector), ground = element;
        const text = light(parse(getComputedStyle(element).color));
        while (ground && (parse(getComputedStyle(ground).backgroundColor)[3] ?? 1) === 0) ground = ground.parentElement;
        const behind = light(parse(getComputedStyle(ground).backgroundColor));
        return (Math.max(text, behind) + 0.05) / (Math.min(text, behind) + 0.05);
    }""", selector))  # fmt: skip


def test_text_can_be_read(sign_in: Callable[..., Any]) -> None:
    page = sign_in("tenant", "/workloads")
    for selector in (".chip.tone-ok", ".chip.tone-run", ".chip.tone-wait", ".chip.tone-bad", ".chip.tone-off", ".table th", ".hint",
                     ".tab:not([aria-current])", ".menu-item[aria-current]", ".button.primary", ".foot span", ".table a"):  # fmt: skip
        assert contrast(page, selector) >= 4.5, selector
