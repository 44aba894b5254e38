"""Small decisions about the host: versions, user ids, device nodes, folders, texts."""

import os
import threading
from pathlib import Path

import pytest

from zhisuan.engines.artifacts import iter_artifacts
from zhisuan.engines.contract import AcceleratorGrant
from zhisuan.engines.errors import InvalidSpec, StartRefused
from zhisuan.engines.local import problems, runtime
from zhisuan.engines.local.accelerators import view
from zhisuan.engines.local.config import LocalEngineConfig
from zhisuan.engines.local.folders import EngineFolders
from zhisuan.engines.local.host import become, uid_is_mapped, version_tuple
from zhisuan.engines.local.shim.log import Log
from zhisuan.engines.local.uids import UidRegistry, UidsExhausted


def test_versions_compare_by_number() -> None:
    assert version_tuple("0.8.0") == (0, 8, 0)
    assert version_tuple("0.10.0") > version_tuple("0.8.0")
    assert version_tuple("") < (0, 8, 0)


@pytest.mark.parametrize(
    ("uid_map", "first", "expected"),
    [
        ("         0          0 4294967295\n", 200_000, True),
        ("0 100000 65536\n", 200_000, False),
        ("0 1000 1\n200000 300000 70000\n", 200_000, True),
        ("0 100000 65536\n", 30_000, False),
        ("", 1, False),
    ],
)
def test_whether_a_range_of_ids_exists(uid_map: str, first: int, expected: bool) -> None:
    assert uid_is_mapped(uid_map, first, 50_000) is expected


def test_root_is_given_up_whole() -> None:
    assert become("/usr/bin/setpriv", 7) == [
        "/usr/bin/setpriv", "--reuid", "7", "--regid", "7", "--clear-groups", "--inh-caps=-all", "--no-new-privs", "--",
    ]  # fmt: skip
    assert "--groups" in become("setpriv", 7, (44, 109))


def devices(tmp_path: Path, *names: str) -> Path:
    for name in names:
        (tmp_path / name).touch(0o666)
        (tmp_path / name).chmod(0o666)
    return tmp_path


def test_only_granted_accelerators_are_shown(tmp_path: Path) -> None:
    dev = devices(tmp_path, "nvidia0", "nvidia1", "nvidia2", "nvidiactl", "nvidia-uvm")
    found = view([AcceleratorGrant("nvidia", 2), AcceleratorGrant("nvidia", 0)], isolated=True, dev=dev)
    assert [node.name for node in found.nodes] == ["nvidia2", "nvidia0", "nvidiactl", "nvidia-uvm"]
    assert found.env["NVIDIA_VISIBLE_DEVICES"] == "2,0"
    assert found.env["CUDA_VISIBLE_DEVICES"] == "0,1"


def test_without_a_sandbox_the_hosts_numbers_hold(tmp_path: Path) -> None:
    found = view([AcceleratorGrant("nvidia", 2)], isolated=False, dev=devices(tmp_path, "nvidia2"))
    assert found.env["CUDA_VISIBLE_DEVICES"] == "2"


def test_a_uuid_names_a_device_in_either_case(tmp_path: Path) -> None:
    found = view([AcceleratorGrant("nvidia", 1, "GPU-abc")], isolated=True, dev=devices(tmp_path, "nvidia1"))
    assert found.env["CUDA_VISIBLE_DEVICES"] == "GPU-abc"


def test_ascend_devices(tmp_path: Path) -> None:
    dev = devices(tmp_path, "davinci5", "davinci_manager", "devmm_svm", "hisi_hdc")
    found = view([AcceleratorGrant("huawei", 5, "ignored")], isolated=True, dev=dev)
    assert len(found.nodes) == 4
    assert (found.env["ASCEND_RT_VISIBLE_DEVICES"], found.env["ASCEND_VISIBLE_DEVICES"]) == ("0", "5")


def test_no_grant_means_no_device() -> None:
    found = view([], isolated=True)
    assert found.nodes == ()
    assert found.env["CUDA_VISIBLE_DEVICES"] == ""


def test_a_node_closed_to_others_brings_its_group(tmp_path: Path) -> None:
    dev = devices(tmp_path, "nvidia0")
    (dev / "nvidia0").chmod(0o660)
    group = os.stat(dev / "nvidia0").st_gid
    found = view([AcceleratorGrant("nvidia", 0)], isolated=True, dev=dev)
    assert found.groups == ((group,) if group else ())


def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec, match="nvidia 3"):
        view([AcceleratorGrant("nvidia", 3)], isolated=True, dev=tmp_path)
    with pytest.raises(InvalidSpec, match="'acme'"):
        view([AcceleratorGrant("acme", 0)], isolated=True, dev=tmp_path)


def test_every_problem_speaks_both_languages_and_has_a_remedy() -> None:
    examples = [make() for make in problems.ALL]
    assert len({one.code for one in examples}) == len(examples)
    for one in examples:
        assert one.message_en
        assert one.remedy_en
        assert any("一" <= char <= "鿿" for char in one.message_zh)
        assert any("一" <= char <= "鿿" for char in one.remedy_zh)


def test_user_ids_are_never_shared(tmp_path: Path) -> None:
    registry = tmp_path / "uids"
    registry.mkdir()
    runs = [tmp_path / f"run{number}" for number in range(12)]
    for run in runs:
        run.mkdir()
    given: list[int] = []
    threads = [
        threading.Thread(target=lambda run=run: given.append(UidRegistry(registry, 300, 12).claim(run))) for run in runs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given) == list(range(300, 312))
    (tmp_path / "late").mkdir()
    with pytest.raises(UidsExhausted, match="12 user ids"):
        UidRegistry(registry, 300, 12).claim(tmp_path / "late")


def test_user_ids_come_back(tmp_path: Path) -> None:
    registry = UidRegistry(tmp_path, 300, 2)
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    for run in (one, two, three):
        run.mkdir()
    assert (registry.claim(one), registry.claim(two), registry.claim(one)) == (300, 301, 300)
    registry.release(one)
    assert registry.claim(three) == 300
    two.rmdir()
    assert registry.claim(one) == 301


def test_the_log_keeps_its_limit_over_many_pieces(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "log"), 10)
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    for piece in (b"0123456", b"789abc", b"more"):
        os.write(writing, piece)
        assert log.pump(reading)
    os.close(writing)
    assert not log.pump(reading)
    os.close(reading)
    log.close()
    text = (tmp_path / "log").read_bytes()
    assert text.startswith(b"0123456789\n[zhisuan]")
    assert text.count(b"\n[zhisuan]") == 1
    assert log.head == b"0123456789abcmore"


def test_artifacts_never_lead_out(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("host")
    root = tmp_path / "artifacts"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "real").write_text("mine")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to(tmp_path)
    os.mkfifo(root / "pipe")
    found = list(iter_artifacts(root))
    assert [(one.path, one.size_bytes) for one in found] == [("sub/real", 4)]
    (root / "sub" / "real").unlink()
    (root / "sub" / "real").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="real"):
        found[0].open()
    (root / "sub" / "real").unlink()
    (root / "sub").rmdir()
    (root / "sub").symlink_to(tmp_path)
    with pytest.raises(OSError, match="sub"):
        found[0].open()


def test_artifacts_are_bounded(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / str(number)).touch()
    with pytest.raises(ValueError, match="more than 3"):
        list(iter_artifacts(tmp_path, 3))


def test_artifacts_nested_without_end_are_refused(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(70):
        deep = deep / "d"
    deep.mkdir(parents=True)
    with pytest.raises(ValueError, match="64 deep"):
        list(iter_artifacts(tmp_path))


def test_the_interpreters_of_linked_environments_are_shown(tmp_path: Path) -> None:
    """venv/bin/python → alias/bin/python → real/bin/python3: every step must exist inside."""
    real, alias, venv = (tmp_path / name for name in ("real", "alias", "venv"))
    for prefix in (real, venv):
        (prefix / "bin").mkdir(parents=True)
        (prefix / "lib" / "python3.11").mkdir(parents=True)
    (real / "bin" / "python3").touch()
    alias.symlink_to(real)
    (venv / "bin" / "python").symlink_to(alias / "bin" / "python3")
    shown = runtime.runtime_folders([venv])
    assert str(venv) in shown
    assert str(alias) in shown
    assert str(real) in shown
    assert runtime.search_path([venv]).startswith(f"{venv}/bin:")


def test_an_interpreter_in_a_persons_own_bin_does_not_show_their_home(tmp_path: Path) -> None:
    home, venv = tmp_path / "home", tmp_path / "venv"
    for folder in (home / "bin", venv / "bin"):
        folder.mkdir(parents=True)
    (home / "bin" / "python").touch()
    (venv / "bin" / "python").symlink_to(home / "bin" / "python")
    assert str(home) not in runtime.runtime_folders([venv])


@pytest.mark.parametrize(
    "changes",
    [
        {"uid_base": 0}, {"log_bytes_max": 0}, {"timeout_grace_seconds": -1}, {"cgroup_parent": "/x"}, {"cgroup_parent": ""},
        {"cgroup_parent": "a/../b"}, {"runtime_prefixes": (Path("venv"),)}, {"runtime_dir": Path("x")},
    ],
)  # fmt: skip
def test_a_configuration_that_makes_no_sense_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes)).removesuffix("es").replace("_", "[ _]")):
        LocalEngineConfig(**changes)  # type: ignore[arg-type]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a folder of another user")
def test_a_runtime_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    os.chown(tmp_path / "run", 12345, 12345)
    with pytest.raises(StartRefused, match="another user"):
        EngineFolders(tmp_path / "engine", tmp_path / "run").prepare_runtime()


def test_socket_names_are_short_whatever_the_root(tmp_path: Path) -> None:
    folders = EngineFolders(tmp_path / ("x" * 150), Path("/run/zhisuan"))
    assert len(str(folders.socket("y" * 96, 10**9))) < 107
    assert folders.socket("a", 1) != folders.socket("a", 11) != folders.socket("a1", 1)


def test_a_program_is_there_when_work_would_find_it(tmp_path: Path) -> None:
    """JupyterLab is reported so: only what is in PATH inside, and may be run."""
    program = tmp_path / "bin" / "a-lab-that-nobody-has"
    assert not runtime.finds(program.name, (tmp_path,))
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    assert not runtime.finds(program.name, (tmp_path,)), "not to be run"
    program.chmod(0o755)
    assert runtime.finds(program.name, (tmp_path,)) and not runtime.finds(program.name, ())
