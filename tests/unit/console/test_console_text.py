"""Every text is there in both languages, and every text on a page comes from the catalogue."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from string import Formatter

import pytest

import zhisuan.console
from zhisuan.base.text import Text

ROOT = Path(zhisuan.console.__file__).parent
CJK = re.compile(r"[\u4e00-\u9fff]")
# Proper names and signs that are the same in Chinese.
SAME = {"PUE", "SHA-256", "CPU", "Token", "English"}
SOURCES = sorted(p for p in ROOT.rglob("*.py") if not p.name.startswith("text_"))


def catalogue() -> Iterator[tuple[str, Text]]:
    for path in sorted(ROOT.glob("text_*.py")):
        module = import_module(f"zhisuan.console.{path.stem}")
        for holder in vars(module).values():
            if not isinstance(holder, type) or holder.__module__ != module.__name__:
                continue
            for name, value in vars(holder).items():
                if isinstance(value, Text):
                    yield f"{holder.__name__}.{name}", value
                elif isinstance(value, dict) and not name.startswith("_"):
                    yield from ((f"{holder.__name__}.{name}[{k}]", v) for k, v in value.items())


TEXTS = dict(catalogue())


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_the_catalogue_is_found() -> None:
    assert len(TEXTS) > 500


@pytest.mark.parametrize("name", TEXTS)
def test_both_languages(name: str) -> None:
    text = TEXTS[name]
    assert isinstance(text, Text)
    assert bool(text.en) == bool(text.zh)
    assert fields(text.en) == fields(text.zh), "both languages fill in the same values"
    assert text.zh == text.zh.strip(" ") and text.en == text.en.strip(" ")
    words = re.sub(r"\{\w+\}|[\W_]", "", text.zh)
    assert not words or CJK.search(words) or text.zh in SAME, "the Chinese text is Chinese"
    if name not in ("Frame.OTHER_LANGUAGE",):
        assert not CJK.search(text.en.replace("度", "")), "the English text is English"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_pages_hold_no_texts_of_their_own(path: Path) -> None:
    tree = ast.parse(path.read_text())
    doc = {id(n.body[0].value) for n in ast.walk(tree) if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
           and n.body and isinstance(n.body[0], ast.Expr)}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in doc and path.name != "format.py":
            assert not CJK.search(node.value.replace("度", "")), (node.lineno, node.value)


def test_every_text_is_used() -> None:
    used = "\n".join(p.read_text() for p in SOURCES)
    unused = {n.partition("[")[0] for n in TEXTS} - set(re.findall(r"\b[A-Z][a-z]+\.[A-Z_0-9]+\b", used))
    assert unused == set()


def test_pages_never_put_text_in_as_markup() -> None:
    for path in SOURCES:
        source = path.read_text()
        for way in ("ui.html", "ui.markdown", "ui.restructured_text", "innerHTML", "v-html", "run_javascript", "add_body_html"):
            assert way not in source, (path.name, way)
    for script in ROOT.rglob("*.js"):
        assert "innerHTML" not in script.read_text() and "v-html" not in script.read_text()


def test_the_console_sees_only_http() -> None:
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                if name.startswith("zhisuan"):
                    assert name.startswith(("zhisuan.base", "zhisuan.console")) or name in ("zhisuan.sdk.shell", "zhisuan.sdk.terminal"), (path.name, name)
                    assert name not in ("zhisuan.base.db", "zhisuan.base.postgres", "zhisuan.base.store"), (path.name, name)


def test_importing_the_mount_loads_no_web_framework() -> None:
    import subprocess
    import sys

    code = "import sys, zhisuan.console.app; sys.exit('nicegui' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
