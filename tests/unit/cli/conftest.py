"""The command line over a platform of canned answers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from cli_canned import CannedPlatform
from typer.testing import CliRunner, Result

import zhisuan.sdk
from zhisuan.cli.main import app


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> CannedPlatform:
    canned = CannedPlatform()
    real = zhisuan.sdk.Client

    def client(url: str, key: str | None, **more: Any) -> zhisuan.sdk.Client:
        return real(url, key, transport=httpx.MockTransport(canned), pause=lambda _: None, **more)

    monkeypatch.setattr("zhisuan.sdk.Client", client)
    return canned


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nobody's own settings: an empty home, no language, a narrow terminal."""
    for name in ("ZHISUAN_PROFILE", "LC_ALL", "LC_MESSAGES", "LANG", "FORCE_COLOR", "ZHISUAN_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("ZHISUAN_URL", "http://platform.test")
    monkeypatch.setenv("ZHISUAN_API_KEY", "zsk_test")
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.fixture
def run() -> Callable[..., Result]:
    """Run the command line in a language; standard output and error apart."""

    def call(*words: str, lang: str = "en", stdin: str | None = None, **environ: str | None) -> Result:
        return CliRunner().invoke(app, list(words), input=stdin, env={"ZHISUAN_LANG": lang, **environ})

    return call


@pytest.fixture
def workload_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``job.yaml`` in the current folder."""
    folder = home / "work"
    folder.mkdir()
    file = folder / "job.yaml"
    file.write_text("name: n\nrun: echo hi\n", "utf-8")
    monkeypatch.chdir(folder)
    return file
