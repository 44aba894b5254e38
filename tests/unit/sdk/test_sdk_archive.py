"""Archives: the same folder, the same bytes; nothing that should stay behind; nothing that leads out."""

import os
import socket
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhisuan.base.errors import InvalidInput, TooLarge
from zhisuan.engines.local.sandbox.unpack import Budget, unpack
from zhisuan.sdk import pack_folder

NAMES = st.text("abcé中 .-_", min_size=1, max_size=8).filter(
    lambda n: n.strip(". ") == n and n not in (".venv", ".git")
)
FILES = st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.binary(max_size=200), max_size=8)


def write(root: Path, files: dict[str, bytes]) -> None:
    """Those of ``files`` whose folders are not files already."""
    for name, data in files.items():
        path = root / name
        if path.is_dir() or any(p.is_file() for p in path.parents):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def names(folder: Path) -> list[str]:
    with pack_folder(folder) as archive, tarfile.open(archive.path) as tar:
        return tar.getnames()


@settings(max_examples=25)
@given(files=FILES, stamp=st.integers(0, 2**31))
def test_time_order_and_rights_of_others_do_not_change_the_bytes(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], stamp: int
) -> None:
    here, there = tmp_path_factory.mktemp("a"), tmp_path_factory.mktemp("b")
    write(here, files)
    write(there, dict(reversed(files.items())))
    for path in there.rglob("*"):
        os.utime(path, (stamp, stamp))
        path.chmod(0o700 if path.is_dir() else 0o600)
    if sorted(p.relative_to(here) for p in here.rglob("*")) != sorted(p.relative_to(there) for p in there.rglob("*")):
        return
    with pack_folder(here) as one, pack_folder(there) as two:
        assert one.sha256 == two.sha256
        assert one.path.read_bytes() == two.path.read_bytes()
        assert one.size_bytes == one.path.stat().st_size


@settings(max_examples=25)
@given(files=FILES)
def test_the_engine_unpacks_exactly_what_was_packed(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    source, target = tmp_path_factory.mktemp("s"), tmp_path_factory.mktemp("t")
    write(source, files)
    with pack_folder(source) as archive:
        root = os.open(target, os.O_RDONLY)
        try:
            unpack(os.open(archive.path, os.O_RDONLY), root, Budget(10**9, 10**6))
        finally:
            os.close(root)

    def content(folder: Path) -> dict[str, bytes | None]:
        return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}

    assert content(target) == content(source)


def test_what_may_be_executed_stays_so(tmp_path: Path) -> None:
    write(tmp_path, {"run.sh": b"#!/bin/sh\n", "data": b"x"})
    (tmp_path / "run.sh").chmod(0o750)
    with pack_folder(tmp_path) as archive, tarfile.open(archive.path) as tar:
        modes = {m.name: m.mode for m in tar.getmembers()}
        assert modes == {"run.sh": 0o755, "data": 0o644}
        assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in tar.getmembers()} == {(0, 0, "", "", 0)}


def test_versions_caches_and_environments_stay_behind_at_any_depth(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            ".git/HEAD": b"",
            "a/.git/x": b"",
            "a/__pycache__/m.pyc": b"",
            ".venv/bin/python": b"",
            "a/m.py": b"",
            ".env": b"",
        },
    )
    assert names(tmp_path) == [".env", "a", "a/m.py"]


def test_the_ignore_file_names_paths_names_and_folders(tmp_path: Path) -> None:
    write(tmp_path, {"a/big.bin": b"", "b/big.bin": b"", "c/log/x": b"", "log": b"", "keep.txt": b"", "d/e/f.tmp": b""})
    (tmp_path / ".zhisuanignore").write_text("# remarks\n\n*.tmp\na/big.bin\nlog/\n")
    assert names(tmp_path) == [".zhisuanignore", "a", "b", "b/big.bin", "c", "d", "d/e", "keep.txt", "log"]


def test_a_pattern_that_would_bring_back_is_refused_by_its_line(tmp_path: Path) -> None:
    (tmp_path / ".zhisuanignore").write_text("*.bin\n!keep.bin\n")
    with pytest.raises(InvalidInput, match=r"\.zhisuanignore, line 2"):
        pack_folder(tmp_path)


def test_links_inside_are_kept_and_links_outward_are_refused_by_name(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(root, {"a/data": b"x"})
    (root / "b").mkdir()
    (root / "b" / "near").symlink_to("../a/data")
    with pack_folder(root) as archive, tarfile.open(archive.path) as tar:
        assert tar.getmember("b/near").linkname == "../a/data"
    (root / "b" / "far").symlink_to("../../secret")
    (root / "abs").symlink_to("/etc/passwd")
    with pytest.raises(InvalidInput) as caught:
        pack_folder(root)
    assert sorted(p.where for p in caught.value.problems) == ["abs", "b/far"]
    (root / ".zhisuanignore").write_text("far\nabs\n")
    assert "b/near" in names(root)


def test_a_link_to_a_folder_is_not_walked_into(tmp_path: Path) -> None:
    write(tmp_path, {"a/x": b""})
    (tmp_path / "loop").symlink_to("a")
    assert names(tmp_path) == ["a", "a/x", "loop"]


def test_a_socket_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.sock")
        with pytest.raises(InvalidInput) as caught:
            pack_folder(tmp_path)
    assert [p.where for p in caught.value.problems] == ["s.sock"]


def test_too_much_names_the_biggest_files_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, scratch = tmp_path / "f", tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    write(folder, {f"file{n}": os.urandom(n * 100) for n in range(1, 9)})
    with pytest.raises(TooLarge) as caught:
        pack_folder(folder, bytes_max=1000)
    assert [p.where for p in caught.value.problems] == ["file8", "file7", "file6", "file5", "file4"]
    assert list(scratch.iterdir()) == []
    with pack_folder(folder, bytes_max=10_000) as archive:
        assert archive.size_bytes <= 10_000
    assert list(scratch.iterdir()) == []


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="missing is not a folder"):
        pack_folder(tmp_path / "missing")
