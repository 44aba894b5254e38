"""Where a return path may lead, and small rules of the pages."""

import ast
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zhisuan.console.pages.accounts import fen_of
from zhisuan.console.pages.model import flat, snippet
from zhisuan.console.pages.months import known_month, moved
from zhisuan.console.pages.sites import pue_milli
from zhisuan.console.parts import local
from zhisuan.console.session import safe_return


def as_a_browser_reads(path: str) -> str:
    """WHATWG URL: tab and line ends are dropped, leading and trailing controls and spaces too, ``\\`` is ``/``."""
    path = "".join(c for c in path if c not in "\t\n\r").strip("".join(chr(n) for n in range(0x21)))
    return path.replace("\\", "/")


@given(st.text(alphabet=st.sampled_from("/\\:.@ehtps?#%25\t\n\r \x00evil\u2028"), max_size=12) | st.text(max_size=30))
@example("//evil.example")
@example("/\\evil.example")
@example("/\t/evil.example")
@example("/.//evil.example")
@example("https:/evil.example")
def test_a_return_path_stays_at_home(path: str) -> None:
    back = as_a_browser_reads(safe_return(path))
    assert back.startswith("/") and not back.startswith("//")
    assert urlsplit("http://home.example" + back).netloc == "home.example"


@pytest.mark.parametrize("path", ["/", "/workloads", "/workloads?state=running&kind=job", "/models/景区", "/trace/chg_1#x"])
def test_pages_of_the_console_are_returned_to(path: str) -> None:
    assert safe_return(path) == path


@pytest.mark.parametrize("path", [None, "", "workloads", "/sign-in", "/sign-up?x=1", "/" + "x" * 600])
def test_everything_else_leads_to_the_first_page(path: str | None) -> None:
    assert safe_return(path) == "/"


@given(st.lists(st.text(max_size=20), min_size=1, max_size=3))
def test_a_step_of_a_path_stays_one_step(steps: list[str]) -> None:
    path = local(*steps)
    assert path.count("/") == len(steps)
    assert "?" not in path and "#" not in path and "\\" not in path


@pytest.mark.parametrize(("month", "by", "wanted"), [("2026-01", -1, "2025-12"), ("2026-12", 1, "2027-01"), ("2026-05", 0, "2026-05"), ("2026-03", -15, "2024-12")])
def test_months_move(month: str, by: int, wanted: str) -> None:
    assert moved(month, by) == wanted


def test_what_a_month_is() -> None:
    assert known_month("2026-08") == "2026-08"
    assert [known_month(x) for x in ("2026-13", "26-08", "2026-08-01", "", "2026-08\n", "<script>")] == [None] * 6


@pytest.mark.parametrize(("text", "milli"), [("1.42", 1420), ("1", 1000), ("3.000", 3000), (" 1.005 ", 1005), ("0.999", None), ("3.001", None),
                                             ("1.4200", None), ("1,42", None), ("", None), ("1e0", None), ("１.42", 1420), ("nan", None)])  # fmt: skip
def test_pue(text: str, milli: int | None) -> None:
    assert pue_milli(text) == milli


@pytest.mark.parametrize(("text", "fen"), [("120.5", 12050), ("0.05", 5), (" 7 ", 700), ("1.005", None), ("-1", None), ("", None), ("1e3", None)])
def test_fen(text: str, fen: int | None) -> None:
    assert fen_of(text) == fen


@given(st.text(max_size=40), st.text(max_size=40))
def test_the_snippet_is_python_whatever_the_names(model: str, prompt: str) -> None:
    tree = ast.parse(snippet("http://127.0.0.1:1/v1", model, prompt))
    texts = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}
    assert {model, prompt} <= texts


def test_figures_of_an_evaluation() -> None:
    assert flat({"a": {"b": 1, "c": {"d": "x"}}, "list": [1], "none": None, "long": "y" * 100}) == [("a.b", "1"), ("a.c.d", "x"), ("long", "y" * 60)]
