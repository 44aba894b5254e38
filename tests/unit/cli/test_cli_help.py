"""Help: complete in both languages, narrow enough, and shown before anything heavy is loaded."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from typing import Annotated, Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import Result

from zhisuan.cli.cells import width_of, wrapped
from zhisuan.cli.commands import ROOT
from zhisuan.cli.reference import render_reference
from zhisuan.cli.text import in_reader_language, language_of, use_language
from zhisuan.cli.tree import Command, Group, built

CHINESE = re.compile(r"[\u4e00-\u9fff]")
Run = Callable[..., Result]


def all_commands() -> Iterator[tuple[tuple[str, ...], Command | Group]]:
    for section in ROOT:
        for member in section.members:
            yield (member.name,), member
            for below in member.members if isinstance(member, Group) else ():
                yield (member.name, below.name), below


COMMANDS = dict(all_commands())


@pytest.mark.parametrize("path", sorted(COMMANDS), ids=" ".join)
def test_every_page_is_whole_in_both_languages(run: Run, path: tuple[str, ...]) -> None:
    pages = {language: run(*path, "--help", lang=language) for language in ("en", "zh")}
    for page in pages.values():
        assert page.exit_code == 0, page.stderr
        assert all(width_of(line) <= 80 for line in page.stdout.splitlines())
    assert not CHINESE.search(pages["en"].stdout.replace("度", ""))
    about = [line for line in pages["zh"].stdout.splitlines() if line.startswith("  ")]
    assert CHINESE.search(about[0])


@pytest.mark.parametrize("path", [p for p, m in sorted(COMMANDS.items()) if isinstance(m, Command)], ids=" ".join)
def test_every_option_says_what_it_is_in_both_languages(path: tuple[str, ...]) -> None:
    use_language("zh")
    try:
        for parameter in built(COMMANDS[path]).params:
            assert parameter.help, parameter.name
            assert CHINESE.search(in_reader_language(parameter.help)), f"{parameter.name} has no Chinese"
    finally:
        use_language("en")


def test_every_command_takes_json_but_those_that_run_on_this_machine(run: Run) -> None:
    for path, member in COMMANDS.items():
        if isinstance(member, Command) and not member.source.startswith("@") and path[-1] != "shell":
            assert any("--json" in p.opts for p in built(member).params), path


@pytest.mark.parametrize(
    "words", [["--help"], ["launch", "--help"], ["--version"], ["nope"], ["jobs", "nope"], ["logout"]], ids=" ".join
)
def test_help_and_mistakes_load_nothing_heavy(words: list[str], tmp_path: Any) -> None:
    code = (
        "import sys\nfrom zhisuan.cli.main import main\ntry:\n    main()\nfinally:\n"
        "    print('HEAVY', sorted({'httpx', 'pydantic', 'rich.table', 'sqlalchemy', 'fastapi', 'yaml', 'openai',"
        " 'zhisuan.sdk', 'zhisuan.app'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, env={"HOME": str(tmp_path)}
    )
    heavy = done.stdout.splitlines()[-1]
    # Flags with values load the parser's validation library, and ``--json`` is the only flag of logout.
    assert heavy == "HEAVY []", heavy


def test_the_first_page_needs_no_argument(run: Run) -> None:
    assert run().stdout == run("--help").stdout
    assert run().exit_code == 0


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "C"}, "en"),
        ({"LANG": "zh_CN", "LC_ALL": "en_US"}, "en"),
        ({"LC_MESSAGES": "zh_TW", "LANG": "de_DE"}, "zh"),
        ({"ZHISUAN_LANG": "zh", "LC_ALL": "en_US"}, "zh"),
        ({"ZHISUAN_LANG": "en", "LANG": "zh_CN"}, "en"),
        ({"ZHISUAN_LANG": "", "LANG": "zh_CN"}, "zh"),
    ],
)
def test_the_language_is_that_of_the_environment(environ: dict[str, str], language: str) -> None:
    assert language_of(environ) == language


@given(text=st.text("ab 中文，。", max_size=60), width=st.integers(4, 30))
def test_wrapping_loses_nothing_but_blanks_and_keeps_the_width(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(width_of(line) <= width for line in lines)


def test_no_line_begins_with_closing_punctuation() -> None:
    assert wrapped("中文字符，然后。继续", 8) == ["中文字", "符，然", "后。继续"]


@pytest.mark.parametrize("text", ["The file {} is broken: it ends early.", "文件 {} 已损坏：提前结束。"])
def test_a_path_is_never_cut(text: str) -> None:
    path = "/var/lib/" + "a.long-name/" * 12 + "credentials.json"
    lines = wrapped(text.format(path), 40)
    assert sum(path in line for line in lines) == 1
    assert all(width_of(line) <= 40 for line in lines if path not in line)


def test_a_command_of_another_package_comes_by_its_entry_point(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "zhisuan.cli.test_plugin:wave", wave)
    for name in ("up", "extra"):
        assert run(name, "你好").stdout == "你好!\n"
    assert "Wave at somebody." in run("extra", "--help").stdout
    assert run("site", "join", "x").stdout == "x!\n"


def wave(name: Annotated[str, typer.Argument()]) -> None:
    """Wave at somebody."""
    print(name + "!")


def offer(monkeypatch: pytest.MonkeyPatch, value: str, function: Callable[..., Any] | Exception | None) -> None:
    """Let every name of our group be given by ``function``: found, broken or missing."""

    class Given(EntryPoint):
        def load(self) -> Any:
            if isinstance(function, Exception):
                raise function
            return function

    def entry_points(group: str, name: str) -> list[EntryPoint]:
        assert group == "zhisuan.commands"
        return [] if function is None else [Given(name, value, group)]

    built.cache_clear()
    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)


@pytest.fixture(autouse=True)
def commands_as_installed() -> Iterator[None]:
    yield
    built.cache_clear()


def test_a_missing_command_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "", None)
    result = run("up")
    assert result.exit_code == 1
    assert "'up' is not part of this installation" in result.stderr
    assert run("extra").exit_code == 2
    assert "up" in run("--help").stdout


def test_a_broken_command_names_what_broke(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "zhisuan.app.commands:up", ImportError("No module named 'torch'"))
    result = run("up", COLUMNS="200")
    assert result.exit_code == 1
    told = " ".join(result.stderr.split())
    assert "(zhisuan.app.commands:up) cannot be loaded: ImportError: No module named 'torch'" in told
    assert "无法加载命令 up" in run("up", lang="zh").stderr


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_reference_has_every_command_and_option(language: str) -> None:
    text = render_reference(language)
    for path, member in COMMANDS.items():
        if isinstance(member, Command):
            assert f"### `zhisuan {' '.join(path)}`\n" in text
            for parameter in built(member).params:
                assert f"{max(parameter.opts, key=len)}" in text or parameter.param_type_name == "argument"
    assert text == render_reference(language)
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_the_reference_stands_without_other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "", None)
    assert "### `zhisuan up`\n\nRun the platform here" in render_reference()
