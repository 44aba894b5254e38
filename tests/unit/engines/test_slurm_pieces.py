"""The Slurm engine's pieces that need no Slurm: configuration, limits, the merged log, archives, what is enforced."""

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from zhisuan.engines.local.sandbox.unpack import ArchiveRefused, Budget
from zhisuan.engines.slurm import archives
from zhisuan.engines.slurm.config import SlurmEngineConfig
from zhisuan.engines.slurm.logs import MergedLog, prefixed, whole_lines
from zhisuan.engines.slurm.paths import RunPaths
from zhisuan.engines.slurm.report import enforced
from zhisuan.engines.slurm.submit import time_limit


@pytest.mark.parametrize("option", ["--mem=4G", "--uid=0", "mem", "-n4", "--array", "--comment=x"])
def test_an_option_the_engine_sets_itself_is_refused(option: str) -> None:
    with pytest.raises(ValidationError):
        SlurmEngineConfig(options=(option,))


def test_other_options_are_passed_on() -> None:
    assert SlurmEngineConfig(options=("--constraint=ib", "--exclusive")).options == ("--constraint=ib", "--exclusive")


@pytest.mark.parametrize("glob", ["/etc/shadow", "/dev/../etc/*", "/dev/$(id)", "/dev/a b"])
def test_a_device_glob_stays_below_dev(glob: str) -> None:
    with pytest.raises(ValidationError):
        SlurmEngineConfig(device_globs=(glob,))


@pytest.mark.parametrize(
    ("wanted", "longest", "expected"),
    [(None, None, "UNLIMITED"), (None, 86_400, "1440"), (60, None, "17"), (60, 600, "10"), (10**6, None, "16682")],
)
def test_slurms_limit_lies_outside_ours(wanted: int | None, longest: int | None, expected: str) -> None:
    assert time_limit(wanted, 10, longest) == expected


@given(st.binary(max_size=300), st.integers(0, 12))
def test_prefixing_loses_and_invents_nothing(data: bytes, rank: int) -> None:
    lines = prefixed(data, rank).split(b"\n")
    assert lines.pop() == b""
    mark = b"[%d] " % rank
    assert all(line.startswith(mark) for line in lines)
    back = b"\n".join(line.removeprefix(mark) for line in lines)
    assert back == data.removesuffix(b"\n")


def test_a_line_is_shown_when_it_is_whole_or_the_run_is_over() -> None:
    assert whole_lines(b"a\nb", ended=False) == b"a\n"
    assert whole_lines(b"a\nb", ended=True) == b"a\nb"
    assert whole_lines(b"x" * 70_000, ended=False) == b"x" * 70_000


def merged(folder: Path, limit: int = 1 << 20) -> MergedLog:
    return MergedLog(RunPaths(folder), 2, limit)


def test_the_log_of_several_nodes_only_grows(tmp_path: Path) -> None:
    for rank in (0, 1):
        (tmp_path / str(rank)).mkdir()
    (tmp_path / "0" / "out").write_bytes(b"a\nunfin")
    merged(tmp_path).extend(ended=False)
    assert merged(tmp_path).read(0, 100) == b"[0] a\n"
    # A process that died while it wrote leaves more in the file than it had noted.
    with open(tmp_path / "log", "ab") as file:
        file.write(b"[1] half wri")
    (tmp_path / "1" / "out").write_bytes(b"b\n")
    (tmp_path / "0" / "out").write_bytes(b"a\nunfinished")
    log = merged(tmp_path)
    assert log.read(0, 100) == b"[0] a\n"
    log.extend(ended=False)
    assert log.read(0, 100) == b"[0] a\n[1] b\n"
    log.extend(ended=True)
    assert log.read(6, 100) == b"[1] b\n[0] unfinished\n"
    log.extend(ended=True)
    assert log.read(0, 100) == b"[0] a\n[1] b\n[0] unfinished\n"


def test_a_log_of_several_nodes_has_its_limit(tmp_path: Path) -> None:
    for rank in (0, 1):
        (tmp_path / str(rank)).mkdir()
        (tmp_path / str(rank) / "out").write_bytes(b"line\n" * 1000)
    log = merged(tmp_path, 500)
    log.extend(ended=True)
    text = log.read(0, 10_000)
    assert len(text) < 700
    assert text.endswith(b"further output is not kept\n")
    assert merged(tmp_path, 500).read(0, 10_000) == text


def pack(path: Path, member: tarfile.TarInfo, data: bytes = b"") -> Path:
    with tarfile.open(path, "w:gz") as tar:
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    return path


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    "member",
    [
        tarfile.TarInfo("../x"), tarfile.TarInfo("/etc/x"), tarfile.TarInfo("a/../../x"), link("l", "/etc"), link("a/l", "../../x"),
        link("h", "/etc/passwd", tarfile.LNKTYPE), link("d", "", tarfile.CHRTYPE), link("p", "", tarfile.FIFOTYPE),
    ],
)  # fmt: skip
def test_an_archive_that_leads_out_is_refused(tmp_path: Path, member: tarfile.TarInfo) -> None:
    archive = pack(tmp_path / "a.tgz", member)
    with pytest.raises(ArchiveRefused):
        archives.bring(archive, tmp_path / "copy", Budget(1000, 10))


def test_an_archive_is_copied_whole_and_has_its_limit(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.tgz", tarfile.TarInfo("x"), b"y" * 500)
    archives.bring(archive, tmp_path / "copy", Budget(1000, 10))
    assert (tmp_path / "copy").read_bytes() == archive.read_bytes()
    with pytest.raises(ArchiveRefused, match="499"):
        archives.bring(archive, tmp_path / "other", Budget(499, 10))
    (tmp_path / "broken.tgz").write_bytes(archive.read_bytes()[:40])
    with pytest.raises(ArchiveRefused, match="damaged"):
        archives.bring(tmp_path / "broken.tgz", tmp_path / "third", Budget(1000, 10))


def test_only_what_slurm_is_configured_for_counts_as_enforced() -> None:
    plain = {"TaskPlugin": "task/none", "SelectTypeParameters": "CR_CPU_MEMORY"}
    assert enforced(plain) == {"memory": False, "cpu": False, "devices": False}
    grouped = {
        "TaskPlugin": "task/cgroup,task/affinity",
        "SelectTypeParameters": "CR_CORE_MEMORY",
        "ConstrainRAMSpace": "yes",
        "ConstrainCores": "yes",
        "ConstrainDevices": "yes",
    }
    assert enforced(grouped) == {"memory": True, "cpu": True, "devices": True}
    assert enforced({**grouped, "SelectTypeParameters": "CR_CORE"})["memory"] is False
    assert enforced({**grouped, "ConstrainDevices": "no"})["devices"] is False
