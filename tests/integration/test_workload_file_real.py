"""What a workload file says, on a real platform with real sandboxed jobs: secrets that no file keeps, single files, templates."""

import hashlib
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from zhisuan.sdk import Client
from zhisuan.testing.platform import RunningPlatform

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")]
JOB = """
resources: {cpus: 1, memory: 1}
secrets: {TOKEN: %s}
run: |
  printf %%s "$TOKEN" | sha256sum
  while [ ! -e "$ZHISUAN_ARTIFACTS/stop" ]; do sleep 0.2; [ $SECONDS -lt 6 ] || exit 0; done
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    folder = tmp_path_factory.mktemp("file")
    folder.chmod(0o755)
    running = RunningPlatform(folder / "data")
    running.start()
    yield running
    running.stop()


def files_with(folder: Path, value: bytes) -> list[Path]:
    found = []
    for path in folder.rglob("*"):
        try:
            if path.is_file() and not path.is_symlink() and value in path.read_bytes():
                found.append(path)
        except OSError:
            continue
    return found


def test_no_file_of_the_platform_keeps_a_secret(platform: RunningPlatform) -> None:
    _, key = platform.new_tenant()
    secret = secrets.token_hex(20)
    job = platform.call("POST", "/workloads", key, json={"file": JOB % secret})["workload"]["id"]
    digest = hashlib.sha256(secret.encode()).hexdigest()
    platform.wait(lambda: digest in platform.call("GET", f"/workloads/{job}/logs", key)["text"], "the work to see it")
    while_running = files_with(platform.folder, secret.encode())
    for path in while_running:
        assert any(stat.S_IMODE(p.stat().st_mode) & 0o077 == 0 for p in (path, *path.parents)), f"{path} is open to others"
        assert "postgres" not in path.parts and "logs" not in path.parts and path.suffix not in (".sqlite", ".sqlite-wal")
    platform.wait(lambda: platform.call("GET", f"/workloads/{job}", key)["state"] == "succeeded", "the job to end")
    platform.wait(lambda: not files_with(platform.folder, secret.encode()), "it to be gone", 30)


def launched(platform: RunningPlatform, client: Client, file: Path) -> str:
    """Launch a file and give its output once it has succeeded."""
    made = client.launch(file).workload
    platform.wait(lambda: client.workload(made.id).ended, f"{file.name} to end")
    output = "".join(part.text for part in client.log_parts(made.id))
    assert client.workload(made.id).state == "succeeded", output
    return output


@pytest.fixture
def client(platform: RunningPlatform) -> Iterator[Client]:
    _, key = platform.new_tenant()
    with Client(str(platform.runtime["server_url"]), key) as made:
        yield made


def test_a_single_file_is_there_at_its_path_with_its_neighbours(
    platform: RunningPlatform, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "beside.txt").write_text("beside\n")
    (tmp_path / "one.txt").write_text("one\n")
    (tmp_path / "tool.sh").write_text("#!/bin/sh\necho tool ran\n")
    (tmp_path / "tool.sh").chmod(0o755)
    file = tmp_path / "job.yaml"
    file.write_text(
        "resources: {cpus: 1, memory: 1}\n"
        "file_mounts: {/data: ./folder, /data/renamed.txt: ./one.txt, ~/in/home.txt: ./one.txt, tool: ./tool.sh}\n"
        "run: cat /data/beside.txt /data/renamed.txt ~/in/home.txt && ./tool && ls /data\n"
    )
    assert launched(platform, client, file) == "beside\none\none\ntool ran\nbeside.txt\nrenamed.txt\n"


@pytest.mark.parametrize("name", ["hello", "batch-inference", "many-tasks", "pytorch-train"])
def test_a_template_runs_as_it_is(platform: RunningPlatform, client: Client, tmp_path: Path, name: str) -> None:
    if name == "pytorch-train":
        pytest.importorskip("torch")
    file = tmp_path / "job.yaml"
    file.write_text(next(t.file for t in client.templates() if t.name == name))
    output = launched(platform, client, file)
    assert {"hello": "step 5 of 5", "batch-inference": "1000 of 1000", "many-tasks": "1,000 of 1,000 tasks done", "pytorch-train": "epoch 5 of 5"}[name] in output
