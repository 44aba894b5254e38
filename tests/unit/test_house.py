"""House rules that no linter knows. Each is tried on a wrong example, so that it can fail."""

import ast
import re
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACT = runpy.run_path(str(ROOT / "scripts" / "import_contract.py"))
SRC = ROOT / "src" / "zhisuan"
FILES = sorted(p for p in SRC.rglob("*.py") if "migrations/versions" not in p.as_posix())
LINES_MAX, FUNCTION_LINES_MAX = 500, 80
EXACT = ("ledger", "usage", "catalog", "settlement", "green", "placement", "execution")
# Edges: what runs as a process of its own, or shows time to a person, has the machine's clock.
CLOCK_EDGES = (
    "workload/programs/",
    "base/clock.py",
    "app/",
    "site/",
    "cli/",
    "gateway/",
    "engines/",
    "console/",
    "sdk/",
    "models/serving",
    "testing/",
)
CLOCK_CALLS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns"}
FORBIDDEN = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|\b(?i:for now|placeholder|dummy|simplified)\b")
CJK = re.compile("[\u3000-\u9fff\uff00-\uffef]")
SENTENCE = re.compile(r"[A-Za-z]{2,} +[A-Za-z]{2,}")


def name_of(path: Path) -> str:
    return path.relative_to(SRC).as_posix()


def clocks(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).replace("datetime.datetime", "datetime") in CLOCK_CALLS
        ):
            yield f"line {node.lineno}: {ast.unparse(node.func)}"


def floats(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        annotations = []
        if isinstance(node, ast.AnnAssign | ast.arg):
            annotations = [node.annotation]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            annotations = [node.returns]
        for each in annotations:
            if each is not None and re.search(r"\bfloat\b", ast.unparse(each)):
                yield f"line {node.lineno}: {ast.unparse(each)}"
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield f"line {node.lineno}: {node.value}"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "float":
            yield f"line {node.lineno}: float()"


def long_functions(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"line {node.lineno}: {node.name} has {lines} lines"


def one_sided_texts(tree: ast.AST) -> Iterator[str]:
    """``Text`` and ``Words`` whose Chinese is an English phrase (a name such as PUE is the same in both))."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("Text", "Words")):
            continue
        given = dict(zip(("en", "zh"), node.args, strict=False)) | {k.arg: k.value for k in node.keywords if k.arg}
        for language, value in given.items():
            said = _literal(value)
            is_chinese = said is not None and CJK.search(said)
            if said and language == "zh" and not is_chinese and SENTENCE.search(re.sub(r"\{.*?\}", "", said)):
                yield f"line {node.lineno}: zh is {said!r}"


def _literal(node: ast.AST) -> str | None:
    """What a literal or f-string says itself; None for one that is all values, or no literal at all."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        said = "".join(part.value for part in node.values if isinstance(part, ast.Constant))
        return said if re.search(r"\w", said) else None
    return None


def offences(files: list[Path], rule: Callable[[ast.AST], Iterator[str]]) -> list[str]:
    return [f"{name_of(p)} {what}" for p in files for what in rule(ast.parse(p.read_text(encoding="utf-8")))]


def test_the_import_contract_is_the_table() -> None:
    assert (ROOT / ".importlinter").read_text() == CONTRACT["contracts"](), "run: python -m scripts.import_contract"
    packages = {p.name for p in SRC.iterdir() if p.is_dir() and (p / "__init__.py").exists()}
    assert packages <= set(CONTRACT["TABLE"]), "a package without a row"


def test_time_is_passed_in() -> None:
    inside = [p for p in FILES if not name_of(p).startswith(CLOCK_EDGES)]
    assert len(inside) > 80 and offences(inside, clocks) == []


def test_there_is_no_float_where_money_and_quantities_are() -> None:
    files = [p for p in FILES if name_of(p).startswith(tuple(f"{name}/" for name in EXACT))]
    assert offences(files, floats) == []


def test_files_and_functions_are_short_enough_to_hold_in_the_head() -> None:
    assert [f"{name_of(p)}: {n}" for p in FILES if (n := len(p.read_text().splitlines())) > LINES_MAX] == []
    assert offences(FILES, long_functions) == []


def test_each_package_says_what_it_owns() -> None:
    skipped = {"testing"}
    missing = [
        p.name
        for p in SRC.iterdir()
        if (p / "__init__.py").exists() and p.name not in skipped and not (p / "README.md").is_file()
    ]
    assert missing == []
    for readme in SRC.glob("*/README.md"):
        assert readme.read_text().startswith(f"# {readme.parent.name}"), readme


def test_no_word_says_that_something_is_not_done() -> None:
    found = [
        f"{name_of(p)}:{n}: {line.strip()}"
        for p in FILES
        for n, line in enumerate(p.read_text().splitlines(), 1)
        if FORBIDDEN.search(line) and "placeholder=" not in line
    ]
    assert found == []


def test_what_people_read_is_in_both_languages() -> None:
    assert offences(FILES, one_sided_texts) == []


@pytest.mark.parametrize(
    ("rule", "wrong", "right"),
    [
        (clocks, "from datetime import datetime\nx = datetime.now()", "x = clock.now()"),
        (clocks, "import time\nx = time.time()", "x = time.monotonic()"),
        (floats, "def f(price: float) -> int: ...", "def f(price: int) -> int: ..."),
        (floats, "price = 0.5", "price = 5"),
        (long_functions, "def f():\n" + "    x = 1\n" * 90, "def f():\n" + "    x = 1\n" * 20),
        (one_sided_texts, "Text('one thing', 'two things')", "Text('one thing', '一件事')"),
        (one_sided_texts, "Text(f'{x} is one', f'{x} is two')", "Text(f'{x} / {y}', f'{x} / {y}')"),
        (one_sided_texts, "Words(en='one day', zh='one day')", "Words(en='CPU', zh='CPU')"),
    ],
)
def test_the_rules_can_fail(rule: Callable[[ast.AST], Iterator[str]], wrong: str, right: str) -> None:
    assert list(rule(ast.parse(wrong))) and not list(rule(ast.parse(right)))
