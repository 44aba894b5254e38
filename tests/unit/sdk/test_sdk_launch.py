"""From a workload file to what is sent."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.base.errors import InvalidInput, PaymentRequired
from zhisuan.sdk import Client
from zhisuan.sdk.launchfile import with_envs

WORKLOAD = {"id": "job_1", "kind": "job", "name": "n", "state": "pending", "created_at": "2026-08-01T00:00:00Z"}
QUOTE = {"rate_udu_per_hour": 25_000, "price_e8_per_du": 72_000_000, "price_book_version": 1, "hour_ucny": 18_000}
FILE = """\
# my job
name: 训练
workdir: code
file_mounts:
  ~/data: ../data   # beside the file's folder
envs:
  EPOCHS: 010
run: |
  python train.py
"""


class Platform:
    """Answers as the API does, and keeps what it was sent."""

    def __init__(self, refuse: httpx.Response | None = None) -> None:
        self.refuse, self.calls = refuse, list[tuple[str, Any]]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v1")
        if path == "/blobs":
            data = request.read()
            self.calls.append((path, data))
            sha = request.headers["X-Content-Sha256"]
            return httpx.Response(201, json={"id": f"blb_{sha[:8]}", "sha256": sha, "size_bytes": len(data)})
        self.calls.append((path, json.loads(request.content)))
        if self.refuse is not None:
            return self.refuse
        return httpx.Response(200, json=QUOTE if path == "/quotes" else {"workload": WORKLOAD, "placement": None})

    def sent(self, path: str) -> list[Any]:
        return [body for where, body in self.calls if where == path]


@pytest.fixture
def job(tmp_path: Path) -> Path:
    (tmp_path / "jobs" / "code").mkdir(parents=True)
    (tmp_path / "jobs" / "code" / "train.py").write_text("print('hi')\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "qa.jsonl").write_text("{}\n")
    file = tmp_path / "jobs" / "job.yaml"
    file.write_text(FILE, "utf-8")
    return file


def client(platform: Platform) -> Client:
    return Client("http://platform.test", "zsk", transport=httpx.MockTransport(platform), pause=lambda _: None)


def members(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.getnames()


def test_the_text_goes_unchanged_with_the_folders_it_names(
    job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    platform = Platform()
    with client(platform) as c:
        assert c.launch(job, project="p", idempotency_key="k").workload.id == "job_1"
    assert [path for path, _ in platform.calls] == ["/quotes", "/blobs", "/blobs", "/workloads"]
    uploads = {tuple(members(data)) for data in platform.sent("/blobs")}
    assert uploads == {("train.py",), ("qa.jsonl",)}
    [body] = platform.sent("/workloads")
    assert body["file"] == FILE
    assert body["project"] == "p"
    assert body["workdir_blob"].startswith("blb_")
    assert list(body["mounts"]) == ["~/data"]
    assert body["mounts"]["~/data"] != body["workdir_blob"]


def test_the_same_bytes_are_sent_once(job: Path) -> None:
    platform = Platform()
    with client(platform) as c:
        c.launch(job)
        c.launch(job)
    assert len(platform.sent("/blobs")) == 2
    first, second = platform.sent("/workloads")
    assert first == second


def test_an_upload_that_breaks_is_sent_again_whole(job: Path) -> None:
    sent = []

    def handler(request: httpx.Request) -> httpx.Response:
        sent.append((request.read(), request.headers["Content-Length"], request.headers["Idempotency-Key"]))
        if len(sent) == 1:
            raise httpx.WriteError("reset")
        return httpx.Response(201, json={"id": "blb_1", "sha256": "0", "size_bytes": 1})

    with Client("http://p.test", "k", transport=httpx.MockTransport(handler), pause=lambda _: None) as c:
        c.upload_folder(job.parent)
    assert sent[0] == sent[1]
    assert int(sent[0][1]) == len(sent[0][0])


def test_a_refused_file_is_refused_before_anything_is_uploaded(job: Path) -> None:
    body = {"title": "payment required", "code": "payment_required", "detail": "No funds.", "remedy": "Top up."}
    platform = Platform(httpx.Response(402, json=body, headers={"Content-Type": "application/problem+json"}))
    with client(platform) as c, pytest.raises(PaymentRequired):
        c.launch(job)
    assert [path for path, _ in platform.calls] == ["/quotes"]


def test_every_missing_path_is_named_and_nothing_is_sent(job: Path) -> None:
    job.write_text("workdir: nowhere\nfile_mounts:\n  /a: gone\n  /b: /dev/null\n  /c: s3://bucket\nrun: x\n")
    platform = Platform()
    with client(platform) as c, pytest.raises(InvalidInput) as caught:
        c.launch(job)
    assert [p.where for p in caught.value.problems] == ["workdir", "file_mounts./a", "file_mounts./b"]
    assert "neither a file nor a folder" in str(caught.value)
    assert platform.calls == []


def test_a_single_file_goes_under_the_name_that_it_is_to_have(job: Path, tmp_path: Path) -> None:
    (tmp_path / "here.json").write_text("{}")
    (tmp_path / "link").symlink_to("here.json")
    job.write_text("file_mounts: {/etc2/config.json: ../here.json, ~/b: ../link, ~/data: ../data}\nrun: x\n")
    platform = Platform()
    with client(platform) as c:
        c.launch(job)
    [body] = platform.sent("/workloads")
    assert sorted(body["files"]) == ["/etc2/config.json", "~/b"]
    assert set(body["mounts"]) == {"/etc2/config.json", "~/b", "~/data"}
    assert sorted(members(data) for data in platform.sent("/blobs")) == [["b"], ["config.json"], ["qa.jsonl"]]


def test_secrets_go_beside_the_text(job: Path) -> None:
    platform = Platform()
    with client(platform) as c:
        c.launch(job, secrets={"TOKEN": "v"})
    [body] = platform.sent("/workloads")
    assert body["secrets"] == {"TOKEN": "v"} and body["file"] == FILE
    assert "secrets" not in platform.sent("/quotes")[0]


def test_a_copy_has_the_file_the_uploads_and_what_is_said_anew() -> None:
    detail = WORKLOAD | {
        "project_id": "prj_1", "file": "name: old\nenvs: {A: 010, B: x}\nsecrets: {T: null}\nrun: x\n",
        "uploads": {"workdir_blob": "blb_1", "mounts": {"~/a": "blb_2"}, "files": ["~/a"]},
    }  # fmt: skip
    sent = []

    def handler(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json=detail)
        sent.append(json.loads(request.content))
        return httpx.Response(201, json={"workload": WORKLOAD})

    with Client("http://p.test", "k", transport=httpx.MockTransport(handler), pause=lambda _: None) as c:
        c.copy("job_1", name="new", envs={"B": "y"}, secrets={"T": "again"})
    [body] = sent
    assert yaml.safe_load(body.pop("file")) == {
        "name": "new", "envs": {"A": 8, "B": "y"}, "secrets": {"T": None}, "run": "x",
    }  # fmt: skip
    assert body == {
        "workdir_blob": "blb_1", "mounts": {"~/a": "blb_2"}, "files": ["~/a"], "secrets": {"T": "again"}, "project": "prj_1",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["{{{", "- a\n- b\n", "", "workdir: [1]\nfile_mounts: 3\nrun: x\n"])
def test_what_is_wrong_with_the_file_is_the_platforms_to_say(job: Path, text: str) -> None:
    job.write_text(text)
    platform = Platform()
    with client(platform) as c:
        c.launch(job, envs={"A": "b"} if text == "{{{" else None)
    [body] = platform.sent("/workloads")
    assert body == {"file": text}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with client(Platform()) as c:
        with pytest.raises(InvalidInput, match=r"There is no file .*missing\.yaml"):
            c.launch(tmp_path / "missing.yaml")
        with pytest.raises(InvalidInput, match="not UTF-8"):
            c.launch(tmp_path / "binary")
        with pytest.raises(InvalidInput, match="cannot be read"):
            c.launch(tmp_path)


NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,5}", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)


@given(
    envs=st.dictionaries(NAMES, VALUES, min_size=1, max_size=4), old=st.dictionaries(NAMES, st.integers(), max_size=3)
)
def test_variables_are_set_and_all_else_keeps_its_value(envs: dict[str, str], old: dict[str, int]) -> None:
    section = "".join(f"\n  {name}: {value}" for name, value in old.items()) or " {}"
    text = f"name: 作业\nresources: {{cpus: 2+}}\nenvs:{section}\nrun: |\n  echo a: b\n\n  echo 'c'\n"
    before, after = yaml.safe_load(text), yaml.safe_load(with_envs(text, envs))
    assert after.pop("envs") == {**old, **envs}
    before.pop("envs")
    assert after == before
    assert list(after) == list(before)


def test_scalars_stay_letter_for_letter() -> None:
    changed = with_envs("envs:\n  A: 010\n  T: 1:30\n  B: null\nrun: x\n", {"B": "yes"})
    assert "A: 010" in changed
    assert "T: 1:30" in changed
    assert yaml.safe_load(changed)["envs"]["B"] == "yes"


def test_without_variables_the_text_is_the_same_object() -> None:
    assert with_envs(FILE, {}) is FILE
    assert with_envs("- no mapping\n", {"A": "1"}) == "- no mapping\n"
    assert yaml.safe_load(with_envs("run: x\n", {"A": "1"})) == {"run": "x", "envs": {"A": "1"}}
    assert yaml.safe_load(with_envs("envs:\nrun: x\n", {"A": "1"})) == {"run": "x", "envs": {"A": "1"}}
