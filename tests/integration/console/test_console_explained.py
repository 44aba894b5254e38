"""What a quote says of each site, why work waits, what came after a place, and demand places: on the pages, in both languages."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import console_contract_data as data
import pytest

pytestmark = pytest.mark.slow
SignIn = Callable[..., Any]
PICTURES = os.environ.get("ZHISUAN_PICTURES")
"""A folder for pictures of the pages, for a person to look at."""


def show(page: Any, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


@pytest.mark.parametrize(("language", "quote", "mark"), [("zh", "询价", "碳排最低"), ("en", "Get a quote", "least carbon")])
def test_a_quote_lists_sites_with_what_they_are_best_at(sign_in: SignIn, language: str, quote: str, mark: str) -> None:
    page = sign_in("tenant", "/workloads/new", language)
    page.get_by_role("button", name=quote).click()
    page.get_by_text(mark).wait_for()
    page.get_by_text("37", exact=False).first.wait_for()
    row = page.locator("tr", has_text="芜湖算力港").first.inner_text()
    assert "6.450 ms" in row and "412.3" in row
    show(page, f"quote-{language}")


@pytest.mark.parametrize(("language", "binds", "start"), [("zh", "决定因素", "预计最迟"), ("en", "binds", "Expected to start by")])
def test_waiting_work_shows_what_each_constraint_leaves(sign_in: SignIn, language: str, binds: str, start: str) -> None:
    page = sign_in("tenant", f"/workloads/{data.workload(1).id}", language)
    row = page.locator("tr", has=page.get_by_text(binds, exact=True))
    row.wait_for()
    assert row.locator("td").all_inner_texts()[-2:] == ["12", "0"]
    page.get_by_text(start).wait_for()
    show(page, f"why-{language}")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_placed_work_shows_runners_up_with_their_differences(sign_in: SignIn, language: str) -> None:
    page = sign_in("tenant", f"/workloads/{data.workload(0).id}", language)
    row = page.locator("tr", has_text="+97.001")
    row.wait_for()
    assert "+¥1.80" in row.inner_text() and "+4.200 ms" in row.inner_text()
    show(page, f"placed-{language}")


@pytest.mark.parametrize(("language", "unused"), [("zh", "未采用"), ("en", "not used")])
def test_a_site_shows_demand_places_and_what_cannot_be_true(sign_in: SignIn, language: str, unused: str) -> None:
    page = sign_in("operator", f"/sites/{data.ident('site', 1)}", language)
    page.get_by_text(unused).wait_for()
    assert page.evaluate("window.hacked") is None
    show(page, f"places-{language}")
