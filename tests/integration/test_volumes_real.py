"""Volumes end to end: a real platform, the SDK, a real sandboxed job; cuts in the middle by a proxy."""

import hashlib
import random
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cutting_proxy import CuttingProxy

from zhisuan.sdk import Client, NotReachable
from zhisuan.sdk.progress import Progress
from zhisuan.testing.platform import RunningPlatform

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")]
SHARE = "zhisuan: {restarts: 0, max_duration: 3m}"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    folder: Path = tmp_path_factory.mktemp("volumes")
    folder.chmod(0o755)
    running = RunningPlatform(folder / "data")
    running.start()
    yield running
    running.stop()


@pytest.fixture
def client(platform: RunningPlatform) -> Iterator[Client]:
    _, key = platform.new_tenant()
    with Client(platform.runtime["server_url"], key, retries=30) as made:
        yield made


def tree(folder: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def run(client: Client, platform: RunningPlatform, script: str, volumes: str) -> tuple[Any, str]:
    lines = "".join(f"  {line}\n" for line in script.splitlines())
    file = f"resources: {{cpus: 1, memory: 1}}\nvolumes: {volumes}\n{SHARE}\nrun: |\n{lines}"
    job = client.submit(file).workload.id
    ended = platform.wait(lambda: (w := client.workload(job)).ended and w, "the job to end", 90)
    return ended, "".join(p.text for p in client.log_parts(job))


def test_a_job_sees_a_volume_read_only_and_its_own_copy_becomes_a_version(
    platform: RunningPlatform, client: Client, tmp_path: Path
) -> None:
    big = random.Random(1).randbytes(3_000_000)
    local = tree(tmp_path / "local", {"a.txt": b"one\n", "图/b.sh": b"#!/bin/sh\necho from script\n", "big.bin": big})
    (local / "图/b.sh").chmod(0o755)
    client.create_volume("老数据")
    shown: list[Progress] = []
    first = client.put_volume(local, "老数据", watcher=shown.append)
    assert (first.number, first.file_count) == (1, 3)
    assert shown[-1].bytes_done == shown[-1].bytes_total == sum(f.stat().st_size for f in local.rglob("*") if f.is_file())

    script = "cat /data/a.txt; /data/图/b.sh; sha256sum < /data/big.bin; echo x 2>&1 >> /data/a.txt || echo refused\n"
    script += "rm /data/a.txt 2>/dev/null || echo kept; cat sub/b.sh > /dev/null && echo part\n"
    script += "echo two > /own/a.txt; rm /own/big.bin; mkdir /own/neu; echo new > /own/neu/c; ln -s /etc/passwd /own/link"
    volumes = "{/data: 老数据, /own: {name: 老数据, mode: rw}, sub: {name: 老数据, version: 1, path: 图}}"
    ended, log = run(client, platform, script, volumes)
    assert ended.state == "succeeded", (ended, log)
    assert log.splitlines()[:2] == ["one", "from script"]
    assert hashlib.sha256(big).hexdigest() in log
    assert "refused" in log and "kept" in log and "part" in log

    made = client.volume("老数据")
    assert made.current_number == 2 and made.current is not None and made.current.workload_id == ended.id
    fetched = client.get_volume("老数据", tmp_path / "fetched")
    assert {p.relative_to(tmp_path / "fetched").as_posix(): p.read_bytes() for p in fetched} == {
        "a.txt": b"two\n", "neu/c": b"new\n", "图/b.sh": b"#!/bin/sh\necho from script\n",
    }  # fmt: skip
    assert (tmp_path / "fetched/图/b.sh").stat().st_mode & 0o111
    assert [(u.target, u.number, u.mode) for u in client.volume_uses("老数据")] == [
        ("/data", 1, "ro"), ("/own", 1, "rw"), ("sub", 1, "ro"),
    ]  # fmt: skip

    pool = next((platform.folder / "sites").glob("*/volumes/files"), None) or next(platform.folder.rglob("volumes/files"))
    kept = pool / hashlib.sha256(big).hexdigest()
    kept.chmod(0o644)
    damaged = bytearray(big)
    damaged[7] ^= 1
    kept.write_bytes(damaged)
    platform.kill("site agent")
    ended, log = run(client, platform, "sha256sum < /data/big.bin", "{/data: {name: 老数据, version: 1}}")
    assert hashlib.sha256(big).hexdigest() in log, "a damaged file is found and fetched again"

    another_put = tree(tmp_path / "more", {"d": b"d"})
    job = client.submit(
        f"resources: {{cpus: 1, memory: 1}}\nvolumes: {{/own: {{name: 老数据, mode: rw}}}}\n{SHARE}\nrun: sleep 6; echo mine > /own/e\n"
    ).workload.id
    platform.wait(lambda: client.workload(job).state == "running", "the job to run")
    assert client.put_volume(another_put, "老数据").number == 3
    ended = platform.wait(lambda: (w := client.workload(job)).ended and w, "the job to end", 90)
    side = next(v for v in client.volume_versions("老数据") if v.workload_id == job)
    assert (side.number, side.parent_number, side.side) == (4, 2, f"conflict-{job}")
    assert client.volume("老数据").current_number == 3, "nothing is lost, and nothing is overwritten"


def test_what_a_job_has_is_settled_before_it_starts(platform: RunningPlatform, client: Client) -> None:
    client.create_volume("leer")
    for volumes, code in (("{/d: nirgends}", "not_found"), ("{/d: leer}", "volume_empty")):
        with pytest.raises(Exception) as told:
            client.submit(f"run: x\nvolumes: {volumes}\n")
        assert getattr(told.value, "code", "") == code
    assert list(client.workloads()) == []


def test_transfers_go_on_after_cuts_and_after_the_server_was_killed(
    platform: RunningPlatform, client: Client, tmp_path: Path
) -> None:
    """A connection that breaks after every few megabytes, and SIGKILL of the server, cost little more than the bytes."""
    data = random.Random(2).randbytes(40_000_000)
    local = tree(tmp_path / "local", {"big.bin": data})
    client.create_volume("groß")
    with CuttingProxy(platform.runtime["server_url"], every_bytes=5_000_000) as proxy:
        key = client._http.headers["Authorization"].removeprefix("Bearer ")
        with Client(proxy.url, key, retries=60, pause=lambda s: time.sleep(min(s, 0.3))) as cut:
            killer = threading.Timer(0.5, lambda: platform.kill("server"))
            killer.start()
            try:
                assert cut.put_volume(local, "groß").file_count == 1
                proxy.target = platform.runtime["server_url"]
                sent, proxy.moved = proxy.moved, 0
                cut.get_volume("groß", tmp_path / "back")
            finally:
                killer.join()
        assert proxy.cuts > 8
        assert sent < 2.2 * len(data) and proxy.moved < 1.3 * len(data)
    assert (tmp_path / "back/big.bin").read_bytes() == data
    assert list((tmp_path / "back").iterdir()) == [tmp_path / "back/big.bin"]


def test_many_small_files_go_on_after_cuts_and_after_the_server_was_killed(
    platform: RunningPlatform, client: Client, tmp_path: Path
) -> None:
    """Of a pack that is cut off the files before the cut are there; only the others are sent, or fetched, again."""
    made = random.Random(3)
    files = {f"{n % 7}/{n}": made.randbytes(made.choice([0, 10, 9_000, 30_000])) for n in range(600)}
    local, size = tree(tmp_path / "local", files), sum(map(len, files.values()))
    client.create_volume("klein")
    shown: list[Progress] = []
    with CuttingProxy(platform.runtime["server_url"], every_bytes=700_000) as proxy:
        key = client._http.headers["Authorization"].removeprefix("Bearer ")
        with Client(proxy.url, key, retries=60, pause=lambda s: time.sleep(min(s, 0.3))) as cut:
            killer = threading.Timer(0.3, lambda: platform.kill("server"))
            killer.start()
            try:
                assert cut.put_volume(local, "klein", watcher=shown.append).file_count == 600
                proxy.target = platform.runtime["server_url"]
                sent, proxy.moved = proxy.moved, 0
                cut.get_volume("klein", tmp_path / "back")
            finally:
                killer.join()
        assert proxy.cuts > 8
        assert sent < 2.2 * size and proxy.moved < 1.6 * size
    assert {p.relative_to(tmp_path / "back").as_posix(): p.read_bytes() for p in (tmp_path / "back").rglob("*") if p.is_file()} == files
    last = shown[-1]
    assert (last.files_done, last.bytes_done) == (last.files_total, last.bytes_total)


def test_a_big_artefact_survives_cuts_of_the_agents_link(platform: RunningPlatform, client: Client, tmp_path: Path) -> None:
    """The agent sends it in parts; the server is killed while they come."""
    file = f"resources: {{cpus: 1, memory: 1}}\n{SHARE}\nrun: head -c 60000000 /dev/zero | tr '\\0' x > $ZHISUAN_ARTIFACTS/big\n"
    job = client.submit(file).workload.id
    platform.wait(lambda: client.workload(job).state in ("running", "succeeded"), "the job to run")
    platform.kill("server")
    platform.wait(lambda: client.workload(job).ended, "the job to end", 90)
    (artefact,) = client.artefacts(job)
    assert (artefact.size_bytes, artefact.sha256) == (60_000_000, hashlib.sha256(b"x" * 60_000_000).hexdigest())
    client.download_all([artefact], tmp_path)
    assert (tmp_path / "big").stat().st_size == 60_000_000


def test_nobody_reaches_what_is_away(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x" * 100)
    with Client("http://127.0.0.1:9", "k", retries=0) as away, pytest.raises(NotReachable):
        away.put_volume(tmp_path, "v")
