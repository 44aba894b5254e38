"""The doctor knows a machine that is a host of a site; what the command line of a host reads."""

import fcntl
from pathlib import Path

import pytest

from zhisuan.app.host_command import _with_port
from zhisuan.app.host_doctor import examine_membership
from zhisuan.site.hosting.membership import FILE_NAME, Membership, keep
from zhisuan.site.main import LOCK_NAME


def verdicts(folder: Path) -> list[str]:
    return [found.verdict for found in examine_membership(folder)]


def test_the_doctor_says_whether_a_hosts_daemon_runs(tmp_path: Path) -> None:
    assert verdicts(tmp_path) == []
    member = Membership(name="n1", fingerprint="0" * 64, credential="zsk_x")
    keep(tmp_path, member)
    assert verdicts(tmp_path) == []
    keep(tmp_path, member.model_copy(update={"joined": True}))
    assert verdicts(tmp_path) == ["warn"]
    with (tmp_path / LOCK_NAME).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert verdicts(tmp_path) == ["ok"]
    (tmp_path / FILE_NAME).write_text("{")
    assert verdicts(tmp_path) == ["fail"]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("10.0.0.5", "10.0.0.5:8627"),
        ("head:9000", "head:9000"),
        ("fd00::5", "[fd00::5]:8627"),
        ("[fd00::5]:9000", "[fd00::5]:9000"),
        ("", ""),
    ],
)
def test_the_heads_port_may_be_left_out(said: str, meant: str) -> None:
    assert _with_port(said) == meant
