"""The site's volume cache: fetched once, checked, dropped by age, never while in use; what cannot be had says why."""

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from zhisuan.base.packs import PACK_BYTES, grouped
from zhisuan.base.trees import File, manifest_digest
from zhisuan.site.errors import Unreachable
from zhisuan.site.starter import fetching_text
from zhisuan.site.volumes.cache import VolumeCache, VolumeUnusable
from zhisuan.wire.data import Pack, VolumeMount


class Answer:
    def __init__(self, data: bytes, status: int = 200) -> None:
        self.status, self._data = status, data
        self.content = asyncio.StreamReader()
        self.content.feed_data(data)
        self.content.feed_eof()
        self.content.iter_chunked = self._chunks  # type: ignore[attr-defined]

    async def read(self) -> bytes:
        return self._data

    async def _chunks(self, size: int) -> AsyncIterator[bytes]:
        while data := await self.content.read(size):
            yield data


class Server:
    """The wire of volumes over some trees; ``spoil`` changes what goes out, ``asked`` is what was asked for."""

    def __init__(self, trees: Mapping[str, Mapping[str, bytes]]) -> None:
        self.trees = trees
        self.asked: list[str] = []
        self.spoil = lambda data: data
        self.cut_at: int | None = None

    def mount(self, version: str, **more: Any) -> VolumeMount:
        files = self.files(version)
        return VolumeMount(
            target="/d", version_id=version, name="老数据", number=1, manifest_sha256=manifest_digest(files), file_count=len(files),
            size_bytes=sum(f.size_bytes for f in files), **more,
        )  # fmt: skip

    def files(self, version: str) -> list[File]:
        return [
            File(p, 0o755 if p.endswith(".sh") else 0o644, len(d), hashlib.sha256(d).hexdigest())
            for p, d in self.trees[version].items()
        ]

    @asynccontextmanager
    async def transfer(self, method: str, where: str, *, data: bytes | None = None, headers: Any = None, **_: Any) -> AsyncIterator[Answer]:
        _, _, version, what, *rest = where.split("/")
        self.asked.append(what)
        content = {hashlib.sha256(d).hexdigest(): d for d in self.trees[version].values()}
        if what == "manifest":
            rows = ",".join(
                f'{{"path":"{f.path}","mode":{f.mode},"size_bytes":{f.size_bytes},"sha256":"{f.sha256}"}}' for f in self.files(version)
            )
            yield Answer(f'{{"files":[{rows}]}}'.encode())
        elif what == "pack":
            assert data is not None
            yield Answer(self.spoil(b"".join(content[d] for d in Pack.model_validate_json(data).digests)))
        else:
            start = int((headers or {}).get("range", "bytes=0-")[6:-1])
            self.asked[-1] = f"content from {start}"
            body = self.spoil(content[rest[0]][start:])
            yield Answer(body[: self.cut_at], 206 if start else 200)
            if self.cut_at is not None:
                self.cut_at = None
                raise Unreachable("cut")


def cache_of(folder: Path, server: Server, *, bytes_max: int = 10**9, in_use: tuple[str, ...] = ()) -> VolumeCache:
    return VolumeCache(folder, server, bytes_max=bytes_max, in_use=lambda: in_use)  # type: ignore[arg-type]


def get(cache: VolumeCache, mount: VolumeMount) -> tuple[dict[str, bytes], list[int]]:
    told: list[int] = []
    folder = asyncio.run(cache.get(mount, lambda here, _: told.append(here)))
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}, told


TREE = {"a": b"one", "深/b.sh": b"one", "c": b"two", "big": os.urandom(1) * 1_500_000}


def test_a_version_is_fetched_once_and_again_after_a_restart_it_is_there(tmp_path: Path) -> None:
    server = Server({"v1": TREE, "v2": {"c": b"two"}})
    cache = cache_of(tmp_path, server)
    found, told = get(cache, server.mount("v1"))
    assert found == TREE and told[-1] == server.mount("v1").size_bytes
    asked = len(server.asked)
    assert get(cache_of(tmp_path, server), server.mount("v1"))[0] == TREE
    assert get(cache, server.mount("v2"))[0] == {"c": b"two"}
    assert server.asked[asked:] == ["manifest"], "files that another version has are not fetched again"
    assert (tmp_path / "trees/v1/深/b.sh").stat().st_mode & 0o777 == 0o555
    assert (tmp_path / "trees/v1/a").stat().st_mode & 0o777 == 0o444


@pytest.mark.parametrize("name", ["c", "big"])
def test_a_damaged_file_is_found_by_the_next_process_and_fetched_again(tmp_path: Path, name: str) -> None:
    server = Server({"v1": TREE})
    get(cache_of(tmp_path, server), server.mount("v1"))
    kept = tmp_path / "files" / hashlib.sha256(TREE[name]).hexdigest()
    kept.chmod(0o644)
    kept.write_bytes(b"x" * len(TREE[name]))
    assert get(cache_of(tmp_path, server), server.mount("v1"))[0] == TREE


def test_a_big_file_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    server = Server({"v1": {"big": TREE["big"]}})
    server.cut_at = 700_000
    with pytest.raises(Unreachable):
        get(cache_of(tmp_path, server), server.mount("v1"))
    assert get(cache_of(tmp_path, server), server.mount("v1"))[0] == {"big": TREE["big"]}
    assert server.asked == ["manifest", "content from 0", "content from 700000"]


@pytest.mark.parametrize("tree", [{"a": b"one"}, {"big": TREE["big"]}])
def test_wrong_bytes_are_never_kept(tmp_path: Path, tree: dict[str, bytes]) -> None:
    server = Server({"v1": tree})
    server.spoil = lambda data: bytes(b ^ 1 for b in data)
    with pytest.raises(Unreachable, match="damaged"):
        get(cache_of(tmp_path, server), server.mount("v1"))
    assert not (tmp_path / "trees/v1").exists()
    server.spoil = lambda data: data
    assert get(cache_of(tmp_path, server), server.mount("v1"))[0] == tree


def test_another_tree_than_promised_is_refused(tmp_path: Path) -> None:
    server = Server({"v1": {"a": b"one"}})
    with pytest.raises(Unreachable, match="list of files"):
        get(cache_of(tmp_path, server), server.mount("v1").model_copy(update={"manifest_sha256": "0" * 64}))


def test_the_least_recently_used_goes_first_and_what_runs_stays(tmp_path: Path) -> None:
    trees = {f"v{n}": {f"f{n}": bytes([n]) * 1000} for n in range(1, 5)}
    server = Server(trees)
    cache = cache_of(tmp_path, server, bytes_max=2500, in_use=("v1",))
    for at, version in enumerate(("v1", "v2", "v3")):
        get(cache, server.mount(version))
        os.utime(tmp_path / "trees" / version, (at, at))
    assert sorted(p.name for p in (tmp_path / "trees").iterdir()) == ["v1", "v3"], "v2 went: v1 is older, and in use"
    assert get(cache, server.mount("v1"))[0] == trees["v1"]


def test_what_does_not_fit_says_the_figures(tmp_path: Path) -> None:
    server = Server({"v1": {"a": b"x" * 1000}, "v2": {"b": b"y" * 1000}})
    cache = cache_of(tmp_path, server, bytes_max=1500, in_use=("v1",))
    get(cache, server.mount("v1"))
    with pytest.raises(VolumeUnusable, match=r"no room .* 老数据: 1000 bytes are needed"):
        get(cache, server.mount("v2"))


def test_a_full_disk_is_named_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server({"v1": {"a": b"x" * 1000}})
    cache = cache_of(tmp_path, server)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(VolumeUnusable, match=r"disk of the site is full .* 老数据"):
        get(cache, server.mount("v1"))


def test_a_folder_of_a_volume_and_one_that_is_not_there(tmp_path: Path) -> None:
    server = Server({"v1": TREE})
    cache = cache_of(tmp_path, server)
    assert get(cache, server.mount("v1", path="深"))[0] == {"b.sh": b"one"}
    with pytest.raises(VolumeUnusable, match="no folder"):
        get(cache, server.mount("v1", path="nirgends"))


def test_small_files_come_in_bounded_groups() -> None:
    files = [File(str(n), 0o644, 900_000, f"{n:064x}") for n in range(20)] + [File("e", 0o644, 0, "e")] * 1500
    groups = list(grouped(files, lambda f: f.size_bytes))
    assert [f for g in groups for f in g] == files
    assert all(len(g) <= 1000 and sum(f.size_bytes for f in g) <= PACK_BYTES for g in groups)


@pytest.mark.parametrize(
    ("here", "total", "text"),
    [(1_230_000_000, 8_000_000_000, "1.2 of 8.0 GB"), (5, 10, "5 of 10 B"), (0, 2500, "0.0 of 2.5 kB")],
)
def test_progress_reads_as_people_say_it(here: int, total: int, text: str) -> None:
    assert fetching_text("老数据", here, total) == f"Fetching volume 老数据: {text}."
