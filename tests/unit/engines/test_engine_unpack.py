"""An archive can do nothing outside the folder it is unpacked into, whatever it holds."""

import contextlib
import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhisuan.engines.local.sandbox.unpack import ArchiveRefused, Budget, split_name, unpack

NAMES = st.lists(st.sampled_from(["a", "b", "c", "..", ".", ""]), min_size=1, max_size=4).map("/".join)
TARGETS = st.lists(st.sampled_from(["a", "b", "c", "..", "..", "."]), min_size=1, max_size=5).map("/".join)
TYPES = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b"", mode: int = 0o644
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    info.mode = mode
    info.size = len(data) if kind == tarfile.REGTYPE else 0
    return info, data


def archive(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> int:
    with tarfile.open(path, "w:gz") as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data) if info.size else None)
    return os.open(path, os.O_RDONLY)


def unpack_into(folder: Path, fd: int, bytes_max: int = 1 << 20, entries_max: int = 1000) -> None:
    folder.mkdir(exist_ok=True)
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        unpack(fd, root, Budget(bytes_max, entries_max))
    finally:
        os.close(root)


def snapshot(folder: Path) -> dict[str, bytes | str]:
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else "folder"
    return found


@settings(max_examples=150)
@given(st.lists(st.tuples(NAMES, TYPES, TARGETS), min_size=1, max_size=7))
def test_nothing_outside_changes(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, bytes, str]]
) -> None:
    """Members with hostile names and links, twice over the same folder (as two archives of one run are)."""
    base = tmp_path_factory.mktemp("unpack")
    outside = base / "outside"
    inside = outside / "x" / "y" / "inside"
    inside.mkdir(parents=True)
    (outside / "a").write_bytes(b"precious")
    before = {name: value for name, value in snapshot(outside).items() if not name.startswith("x/y/inside")}
    for _round in range(2):
        fd = archive(base / "a.tgz", [member(name, kind, link, b"new") for name, kind, link in entries])
        with contextlib.suppress(ArchiveRefused):
            unpack_into(inside, fd)
    after = {name: value for name, value in snapshot(outside).items() if not name.startswith("x/y/inside")}
    assert after == before


def test_files_folders_and_links_come_out_as_they_went_in(tmp_path: Path) -> None:
    members = [
        member("./d", tarfile.DIRTYPE, mode=0o700),
        member("d/f", data=b"text"),
        member("run.sh", data=b"#!/bin/sh\n", mode=0o6777),
        member("again", tarfile.LNKTYPE, "d/f"),
        member("l", tarfile.SYMTYPE, "d/f"),
        member("d/up", tarfile.SYMTYPE, "../run.sh"),
        member("deep/er/x", data=b"x"),
    ]
    unpack_into(tmp_path / "to", archive(tmp_path / "a.tgz", members))
    to = tmp_path / "to"
    assert snapshot(to) == {
        "again": b"text", "d": "folder", "d/f": b"text", "d/up": "../run.sh", "deep": "folder", "deep/er": "folder",
        "deep/er/x": b"x", "l": "d/f", "run.sh": b"#!/bin/sh\n",
    }  # fmt: skip
    assert (to / "run.sh").stat().st_mode & 0o7777 == 0o755
    assert (to / "d/f").stat().st_mode & 0o7777 == 0o644


def test_a_later_file_replaces_an_earlier_one(tmp_path: Path) -> None:
    unpack_into(tmp_path / "to", archive(tmp_path / "a.tgz", [member("f", data=b"old"), member("f", data=b"new")]))
    assert (tmp_path / "to/f").read_bytes() == b"new"


def test_a_link_made_by_one_archive_is_not_followed_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "door").symlink_to(tmp_path / "out")
    with pytest.raises(ArchiveRefused, match="door"):
        unpack_into(tmp_path / "to", archive(tmp_path / "a.tgz", [member("door/f", data=b"x")]))
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (member("/abs", data=b"x"), "absolute"),
        (member("a/../../b", data=b"x"), r"\.\."),
        (member("l", tarfile.SYMTYPE, "/etc/passwd"), "absolute"),
        (member("d/l", tarfile.SYMTYPE, "../../x"), "out of the archive"),
        (member("h", tarfile.LNKTYPE, "../x"), r"\.\."),
        (member("h", tarfile.LNKTYPE, "not/there"), "not unpacked before"),
        (member("dev", tarfile.CHRTYPE), "device"),
        (member("pipe", tarfile.FIFOTYPE), "device"),
        (member(".", data=b"x"), "top"),
    ],
)
def test_what_is_refused_is_named(tmp_path: Path, entry: tuple[tarfile.TarInfo, bytes], why: str) -> None:
    with pytest.raises(ArchiveRefused, match=why):
        unpack_into(tmp_path / "to", archive(tmp_path / "a.tgz", [entry]))


def test_sizes_and_counts_are_bounded_over_all_archives(tmp_path: Path) -> None:
    root = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    sized, counted = Budget(1000, 1000), Budget(1000, 3)
    try:
        unpack(archive(tmp_path / "1.tgz", [member("a", data=bytes(600))]), root, sized)
        with pytest.raises(ArchiveRefused, match="1000 bytes"):
            unpack(archive(tmp_path / "2.tgz", [member("b", data=bytes(600))]), root, sized)
        unpack(archive(tmp_path / "3.tgz", [member("c"), member("d")]), root, counted)
        with pytest.raises(ArchiveRefused, match="3 entries"):
            unpack(archive(tmp_path / "4.tgz", [member("e"), member("f")]), root, counted)
    finally:
        os.close(root)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("damage", ["cut", "noise", "empty", "plain"])
def test_a_damaged_archive_is_refused_and_never_a_crash(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.tgz"
    os.close(archive(path, [member("f", data=os.urandom(100_000))]))
    whole = path.read_bytes()
    path.write_bytes(
        {"cut": whole[: len(whole) // 2], "noise": os.urandom(5000), "empty": b"", "plain": b"x" * 2000}[damage]
    )
    with pytest.raises(ArchiveRefused, match="damaged"):
        unpack_into(tmp_path / "to", os.open(path, os.O_RDONLY))


@pytest.mark.parametrize(("name", "parts"), [("a//b/./c", ["a", "b", "c"]), (".", []), ("", []), ("..a", ["..a"])])
def test_names_are_split(name: str, parts: list[str]) -> None:
    assert split_name(name) == parts
