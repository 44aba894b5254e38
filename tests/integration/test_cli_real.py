"""The command line against a whole platform: ``zhisuan up``, a real site, real processes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from zhisuan.cli.main import app
from zhisuan.testing.platform import RunningPlatform

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PASSWORD = "correct horse battery"
JOB = """\
name: 打招呼
workdir: code
resources: {cpus: 0.5, memory: 0.5}
envs: {WHO: null, CODE: 0}
run: |
  cat words.txt
  echo "hello $WHO"
  mkdir -p $ZHISUAN_ARTIFACTS/model && cp words.txt $ZHISUAN_ARTIFACTS/model/
  exit $CODE
zhisuan: {artefacts: [model]}
"""


@dataclass
class Up:
    """A running platform and a home to keep keys in."""

    url: str
    home: Path
    operator_password: str

    @property
    def environ(self) -> dict[str, str | None]:
        nothing = dict.fromkeys(("ZHISUAN_URL", "ZHISUAN_API_KEY", "ZHISUAN_PROFILE"))
        return {**nothing, "XDG_CONFIG_HOME": str(self.home), "ZHISUAN_LANG": "en", "COLUMNS": "100"}

    def run(self, *words: str, stdin: str = "", status: int = 0) -> Result:
        done = CliRunner().invoke(app, list(words), input=stdin, env=self.environ)
        assert done.exit_code == status, done.output
        return done

    def json(self, *words: str, stdin: str = "", status: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", stdin=stdin, status=status).stdout)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("cli")
    folder.chmod(0o755)
    platform = RunningPlatform(folder / "data", environment={"ZHISUAN_ALLOW_UNISOLATED": "true"})
    try:
        platform.start()
        secrets = json.loads((folder / "data" / "secrets.json").read_text())
        yield Up(platform.runtime["server_url"], folder / "home", secrets["operator_password"])
    finally:
        platform.stop()


@pytest.fixture(scope="module")
def tenant(up: Up) -> str:
    """The id of an organisation that has money; its profile is ``t``, the operator's ``op``."""
    words = ["--organisation", "黄山旅游", "--email", "t@example.cn", "--name", "某人", "--password-stdin"]
    up.run("--profile", "t", "signup", "--url", up.url, *words, stdin=PASSWORD + "\n")
    signed_in = ["--email", "operator@localhost", "--password-stdin"]
    up.run("--profile", "op", "login", "--url", up.url, *signed_in, stdin=up.operator_password + "\n")
    found = up.json("--profile", "op", "org")["items"]
    org = next(str(o["id"]) for o in found if o["name"] == "黄山旅游")
    up.run("--profile", "op", "org", "topup", org, "100.00", "--reference", "bank 1")
    return org


@pytest.fixture(scope="module")
def job_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("job")
    (folder / "code").mkdir()
    (folder / "code" / "words.txt").write_text("迎客松\n", "utf-8")
    (folder / "job.yaml").write_text(JOB, "utf-8")
    return folder / "job.yaml"


def test_a_job_from_its_file_to_its_artefacts_and_its_bill(up: Up, tenant: str, job_file: Path, tmp_path: Path) -> None:
    done = up.run("--profile", "t", "launch", str(job_file), "--env", "WHO=世界", "--idempotency-key", "once")
    assert "Placed on" in done.stdout
    assert "迎客松\nhello 世界\n" in done.stdout
    again = up.json(
        "--profile", "t", "launch", str(job_file), "--env", "WHO=世界", "--idempotency-key", "once", "--detach"
    )
    job = again["workload"]["id"]
    assert job in done.stdout
    assert up.run("--profile", "t", "logs", job, "--tail", "1").stdout == "hello 世界\n"
    assert up.json("--profile", "t", "jobs", "show", job)["state"] == "succeeded"
    up.run("--profile", "t", "jobs", "artefacts", job, "--download", str(tmp_path))
    assert (tmp_path / "model" / "words.txt").read_text("utf-8") == "迎客松\n"
    assert up.json("--profile", "t", "models", "register", "words", "--from", job)["number"] == 1
    stations = [s["station"] for s in up.json("--profile", "t", "trace", job)["stations"]]
    assert stations[0] == "supply"
    assert stations[-1] == "carbon"


def test_a_job_that_fails_ends_the_command_with_its_own_status(up: Up, tenant: str, job_file: Path) -> None:
    up.run("--profile", "t", "launch", str(job_file), "--env", "WHO=x", "--env", "CODE=7", status=7)


def test_ctrl_c_lets_go_of_work_that_goes_on(up: Up, tenant: str, tmp_path: Path) -> None:
    (tmp_path / "sleep.yaml").write_text("run: echo awake; sleep 300\nresources: {cpus: 0.5, memory: 0.5}\n")
    environ = {**os.environ, **{name: value for name, value in up.environ.items() if value is not None}}
    words = [sys.executable, "-m", "zhisuan.cli", "--profile", "t", "launch", str(tmp_path / "sleep.yaml")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as process:
        try:
            assert process.stdout is not None
            while "awake" not in (line := process.stdout.readline()):
                assert line, process.communicate()
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    [running] = up.json("--profile", "t", "jobs", "--state", "running")["items"]
    assert f"zhisuan cancel {running['id']}" in told
    up.run("--profile", "t", "cancel", running["id"])
    up.run("--profile", "t", "logs", running["id"], "-f")
    assert up.json("--profile", "t", "jobs", "show", running["id"])["state"] == "cancelled"


def test_money_from_the_wallet_to_the_settlement(up: Up, tenant: str) -> None:
    pack = up.json("catalog")["book"]["packs"][0]["product"]
    order = up.json("--profile", "t", "buy", pack)
    assert up.json("--profile", "t", "wallet")["wallet_ucny"] == 100_000_000 - order["amount_ucny"]
    issued = up.json("--profile", "op", "invoice", "issue", tenant)["items"]
    assert issued
    for invoice in issued:
        whole = up.json("--profile", "t", "bill", "--invoice", invoice["id"])
        assert sum(line["amount_ucny"] for line in whole["lines"]) == whole["total_ucny"]
        settled = up.json("--profile", "op", "settle", invoice["id"])
        assert sum(share["amount_fen"] for share in settled["shares"]) == settled["total_fen"]
    assert all(c["ok"] for c in up.json("--profile", "op", "checks")["items"])
    assert all(c["ok"] for c in up.json("--profile", "t", "checks")["items"])
    up.run("--profile", "t", "bill")
    up.run("--profile", "t", "bill", "--charges")
    up.run("--profile", "t", "trace", issued[0]["id"])


def test_what_is_refused_is_refused_with_its_reason(up: Up, tenant: str, tmp_path: Path) -> None:
    for text, told in (
        ("run: x\nresources: {cpus: 100000}\n", "No site could ever run this"),
        ("run: x\nresources: {cloud: aws}\n", "resources.cloud"),
        ("run: x\nworkdir: nowhere\n", "workdir"),
        ("run: [\n", "is not YAML"),
    ):
        (tmp_path / "job.yaml").write_text(text)
        assert told in up.run("--profile", "t", "launch", str(tmp_path / "job.yaml"), status=1).stderr
    assert "not allow" in up.run("--profile", "t", "org", status=1).stderr
    assert up.run("--profile", "t", "jobs", "show", "job_0", status=1).stderr.startswith("Error: There is no")


def test_the_gateway_and_the_key_speak_of_models_alike(up: Up, tenant: str) -> None:
    assert "'nobody'" in up.run("--profile", "t", "chat", "nobody", "hello", status=1).stderr


def test_every_page_of_every_role_can_be_read(up: Up, tenant: str) -> None:
    for words in (["overview"], ["jobs"], ["models"], ["keys"], ["wallet"], ["catalog"], ["bill"]):
        up.run("--profile", "t", *words)
    for words in (["overview"], ["site"], ["org"], ["prices"], ["keys"]):
        up.run("--profile", "op", *words)
    site = up.json("--profile", "op", "site")["items"][0]["id"]
    for words in (["show"], ["drain"], ["open"]):
        up.run("--profile", "op", "site", *words, site)


def test_signing_out_makes_the_key_void(up: Up) -> None:
    words = ["--organisation", "一次", "--email", "once@example.cn", "--name", "某人", "--password-stdin"]
    up.run("--profile", "once", "signup", "--url", up.url, *words, stdin=PASSWORD + "\n")
    key = json.loads((up.home / "zhisuan" / "credentials.json").read_text())["profiles"]["once"]["key"]
    up.run("--profile", "once", "logout")
    up.run("--profile", "once", "wallet", status=4)
    up.run("--profile", "once", "login", "--url", up.url, "--key", key, status=4)
    up.run(
        "--profile",
        "once",
        "login",
        "--url",
        up.url,
        "--email",
        "once@example.cn",
        "--password-stdin",
        stdin=PASSWORD + "\n",
    )
    up.run("--profile", "once", "wallet")
