"""What is seen before a model is loaded."""

import socket
import sys
from pathlib import Path

import pytest

from zhisuan.models.serving import __main__ as command
from zhisuan.models.serving import model_directory
from zhisuan.models.serving.model_directory import CannotServe, find_model_directory


def model_in(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("{}")
    return folder


def test_the_directory_itself_or_the_only_model_in_it(tmp_path: Path) -> None:
    model = model_in(tmp_path / "top" / "model", "config.json", "model.safetensors", "tokenizer.json")
    assert find_model_directory(model).path == model
    assert find_model_directory(tmp_path / "top").path == model


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ((), "holds no config.json"),
        (("config.json", "pytorch_model.bin", "tokenizer.json"), "no weights as safetensors"),
        (("config.json", "model.safetensors"), "has no tokenizer"),
    ],
)
def test_an_incomplete_directory_is_refused_with_the_reason(tmp_path: Path, names: tuple[str, ...], told: str) -> None:
    with pytest.raises(CannotServe, match=told):
        find_model_directory(model_in(tmp_path / "model", *names))


def test_a_choice_between_models_is_not_guessed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        model_in(tmp_path / name, "config.json")
    with pytest.raises(CannotServe, match=r"several models \(a, b\)"):
        find_model_directory(tmp_path)


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotServe, match="not a directory"):
        find_model_directory(tmp_path / "gone")


def test_without_pytorch_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(model_directory, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["serving", "--model", str(tmp_path)])
    assert command.main() == 2
    assert "pip install 'zhisuan[train]'" in capsys.readouterr().err


def test_a_taken_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotServe, match=f"cannot listen on 127.0.0.1 port {port}"):
            command.listen("127.0.0.1", port)


def test_threads_follow_the_grant(monkeypatch: pytest.MonkeyPatch) -> None:
    for granted, threads in (("3", 3), ("1.5", 1), ("0.5", 1)):
        monkeypatch.setenv("ZHISUAN_CPUS", granted)
        assert command.cpu_threads() == threads
    monkeypatch.setenv("ZHISUAN_CPUS", "many")
    with pytest.raises(CannotServe, match="ZHISUAN_CPUS is 'many'"):
        command.cpu_threads()
