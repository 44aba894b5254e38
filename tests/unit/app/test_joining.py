"""``zhisuan site join`` and ``check`` on the machine itself: options, verdicts, the unit."""

import fcntl
import os
import shutil
import ssl
import subprocess
import threading
from collections import namedtuple
from pathlib import Path

import pytest

from zhisuan.app.findings import Finding
from zhisuan.app.joining import host
from zhisuan.app.joining.asked import Asked, config_of, registration_of
from zhisuan.app.joining.host import agent_pid, examine_host
from zhisuan.app.joining.server import _reach
from zhisuan.app.joining.unit import unit_text
from zhisuan.base.clock import SystemClock
from zhisuan.base.errors import InvalidInput
from zhisuan.site.config import AgentConfig, read_config, write_config
from zhisuan.site.main import LOCK_NAME

Usage = namedtuple("Usage", "total used free")
GIB = 1024**3


def asked(folder: Path, **more: object) -> Asked:
    return Asked(url="https://platform.example", data_dir=folder, **more)  # type: ignore[arg-type]


def found(folder: Path, **more: object) -> dict[str, Finding]:
    options = asked(folder, **more)
    findings = examine_host(config_of(options), options.engine, SystemClock(), for_service=False)
    return {f.name: f for f in findings}


# --- options


def test_what_is_said_of_the_site_is_read_exactly(tmp_path: Path) -> None:
    said = registration_of(
        asked(
            tmp_path, city="庆阳", latitude="35.709", longitude="107.643", pue="1.18", tariff="0.35",
            claims=("nvidia-l40s-48g:8@362.05", "nvidia-h20-96g:2"),
        )
    )  # fmt: skip
    assert said is not None and said.claims is not None
    assert (said.latitude_e6, said.longitude_e6, said.pue_milli, said.tariff_ucny_per_kwh) == (
        35_709_000,
        107_643_000,
        1180,
        350_000,
    )
    assert [(c.class_id, c.count, c.tflops_milli) for c in said.claims] == [
        ("nvidia-l40s-48g", 8, 362_050), ("nvidia-h20-96g", 2, None),
    ]  # fmt: skip
    assert registration_of(asked(tmp_path)) is None


def test_every_wrong_option_is_named_at_once(tmp_path: Path) -> None:
    wrong = asked(
        tmp_path,
        pue="1.2345",
        tariff="cheap",
        latitude="NaN",
        claims=("abacus:1", "nvidia-h20-96g", "nvidia-h20-96g:0"),
    )
    with pytest.raises(InvalidInput) as caught:
        registration_of(wrong)
    assert [p.where for p in caught.value.problems] == [
        "--latitude",
        "--pue",
        "--tariff",
        "--claim",
        "--claim",
        "--claim",
    ]
    assert all(p.problem.zh for p in caught.value.problems)


@pytest.mark.parametrize("url", ["platform.example", "ftp://x", "http://", ""])
def test_an_address_that_is_none(tmp_path: Path, url: str) -> None:
    with pytest.raises(InvalidInput):
        config_of(Asked(url=url, data_dir=tmp_path))


def test_engine_options_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "engine.yaml"
    file.write_text("partition: gpu\nunix_user: zhisuan\n", "utf-8")
    config = config_of(asked(tmp_path, engine="slurm", engine_options=file, allow_unisolated=True))
    assert (config.engine.kind, config.engine.partition, config.engine.allow_unisolated) == ("slurm", "gpu", True)  # type: ignore[union-attr]
    file.write_text("partiton: gpu\n", "utf-8")
    with pytest.raises(InvalidInput) as caught:
        config_of(asked(tmp_path, engine="slurm", engine_options=file))
    assert any("partiton" in p.where for p in caught.value.problems)
    file.write_text("- a list\n", "utf-8")
    with pytest.raises(InvalidInput):
        config_of(asked(tmp_path, engine="slurm", engine_options=file))
    with pytest.raises(InvalidInput):
        config_of(asked(tmp_path, engine="kubernetes"))


# --- this machine


def test_looking_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    verdicts = found(folder)
    assert verdicts["python"].verdict == "ok"
    assert verdicts["data_folder"].verdict == "ok"
    assert verdicts["agent"].verdict == "ok"
    assert "engine" in verdicts
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("free", "verdict"), [(0, "fail"), (GIB - 1, "fail"), (GIB, "warn"), (20 * GIB, "ok")])
def test_a_full_disk_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, verdict: str) -> None:
    monkeypatch.setattr(host.shutil, "disk_usage", lambda _: Usage(100 * GIB, 0, free))
    disk = found(tmp_path)["disk"]
    assert disk.verdict == verdict
    assert (disk.remedy is None) == (verdict == "ok")


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="a disk of its own takes root and mount")
def test_a_disk_that_is_really_full_stops(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], check=False, capture_output=True
    )
    if made.returncode != 0:
        pytest.skip("this container may not mount")
    try:
        (disk / "filler").write_bytes(b"x" * 1000 * 1024)
        verdicts = found(disk / "site")
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert verdicts["disk"].verdict == "fail"
    assert "--data-dir" in (verdicts["disk"].remedy or verdicts["disk"].what).en


def test_a_folder_that_cannot_be_used_stops(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    verdicts = found(tmp_path / "file" / "site")
    assert verdicts["data_folder"].verdict == "fail"
    assert "agent" not in verdicts


def test_a_folder_that_is_open_to_others_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert found(tmp_path)["data_folder"].verdict == "warn"
    tmp_path.chmod(0o700)
    assert found(tmp_path)["data_folder"].verdict == "ok"


def test_an_agent_that_works_there_already_stops(tmp_path: Path) -> None:
    handle = os.open(tmp_path / LOCK_NAME, os.O_RDWR | os.O_CREAT)
    try:
        assert agent_pid(tmp_path) is None
        fcntl.flock(handle, fcntl.LOCK_EX)
        os.pwrite(handle, b"4321\n", 0)
        assert agent_pid(tmp_path) == 4321
        assert found(tmp_path)["agent"].verdict == "fail"
    finally:
        os.close(handle)
    assert agent_pid(tmp_path) is None


def test_a_host_that_cannot_isolate_stops_unless_that_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    engine = found(tmp_path)["engine"]
    assert (engine.verdict, engine.remedy is not None) == ("fail", True)
    assert found(tmp_path, allow_unisolated=True)["engine"].verdict == "warn"
    assert "bubblewrap" in found(tmp_path)["bwrap_missing"].remedy.en  # type: ignore[union-attr]


# --- the way to the server: certificates


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and self-signed certificate for localhost in one file, good for a year."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "365",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "key", "-out", folder / "cert"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


def reach(certificate: Path, host_name: str, ca_file: Path | None) -> Finding:
    """What is found of a TLS server on this machine that shows ``certificate``."""
    import socket

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert", certificate / "key")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            plain, _ = listening.accept()
            with plain:
                try:
                    context.wrap_socket(plain, server_side=True).close()
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        port = listening.getsockname()[1]
        finding = _reach(AgentConfig(data_dir=Path("/x"), server_url=f"https://{host_name}:{port}", ca_file=ca_file))
        thread.join()
    return finding


def test_a_certificate_of_ones_own_authority_is_trusted_by_name(certificate: Path) -> None:
    good = reach(certificate, "localhost", certificate / "cert")
    assert (good.verdict, "TLS" in good.what.en, "36" in good.what.en) == ("ok", True, True)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_certificate_that_cannot_be_trusted_stops(certificate: Path, name: str) -> None:
    bad = reach(certificate, name, None if name == "localhost" else certificate / "cert")
    assert bad.verdict == "fail"
    assert "not trusted" in bad.what.en
    assert "--ca-file" in (bad.remedy or bad.what).en


# --- the unit


def test_the_unit_leaves_work_running_when_the_agent_stops(tmp_path: Path) -> None:
    folder = tmp_path / 'odd "name" $HOME 100%'
    folder.mkdir()
    config = config_of(asked(folder))
    file = folder / "agent.json"
    write_config(config, file)
    text = unit_text(config, file, "合肥 100%\nExecStart=/bin/evil", root=True)
    assert "KillMode=process" in text and "Delegate=yes" in text
    assert text.count("ExecStart=") == 2 and "\nExecStart=/bin/evil" not in text
    assert read_config(file) == config
    verify = shutil.which("systemd-analyze")
    if verify:
        unit = tmp_path / "zhisuan-site.service"
        unit.write_text(text, "utf-8")
        checked = subprocess.run([verify, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
        assert "Failed to parse" not in checked.stderr and "Unknown" not in checked.stderr, checked.stderr
