"""What every engine driver must do. A driver's own test module subclasses ``EngineConformance`` and gives ``harness``.

class TestMyDriver(EngineConformance):
    @pytest.fixture
    def harness(self, tmp_path): yield Harness(open_engine=lambda: MyEngine(...))
"""

import http.client
import io
import socket
import tarfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from zhisuan.engines.artifacts import iter_artifacts
from zhisuan.engines.contract import (
    Engine,
    ExitReason,
    FileMount,
    FolderMount,
    NodeGrant,
    Observation,
    RunPhase,
    RunSpec,
    ServicePort,
)
from zhisuan.engines.errors import InvalidSpec, RunStillActive, StaleGeneration, UnknownRun

WAIT_SECONDS = 60.0
T = TypeVar("T")


def wait_for(get: Callable[[], T], check: Callable[[T], bool]) -> T:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        value = get()
        if check(value):
            return value
        assert time.monotonic() < deadline, f"still {value!r} after {WAIT_SECONDS} s"
        time.sleep(0.01)


def spec(run: str, **changes: Any) -> RunSpec:
    values: dict[str, Any] = {
        "lease_id": "lease_a", "generation": 1, "setup": None, "run": run, "env": {}, "cpus_milli": 1000, "memory_mib": 256,
    }  # fmt: skip
    return RunSpec(**{**values, **changes})


def pack(path: Path, files: Mapping[str, str | bytes], members: list[tarfile.TarInfo] | None = None) -> Path:
    """A tar.gz with these files, and with bare members as given."""
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            data = text.encode() if isinstance(text, str) else text
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mode = 0o755 if name.endswith(".sh") else 0o644
            tar.addfile(info, io.BytesIO(data))
        for member in members or []:
            tar.addfile(member)
    return path


@dataclass
class Harness:
    """``open_engine`` gives a fresh driver object on the same state, as a restarted agent would make one."""

    open_engine: Callable[[], Engine]
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        self.engine = self.open_engine()

    def reopen(self) -> None:
        self.engine = self.open_engine()

    def run(self, script: str, **changes: Any) -> Observation:
        """Start and wait for the end."""
        wanted = spec(script, **changes)
        self.engine.start(wanted)
        return self.ended(wanted.lease_id, wanted.generation)

    def until(
        self, check: Callable[[Observation], bool], lease_id: str = "lease_a", generation: int = 1
    ) -> Observation:
        return wait_for(lambda: self.engine.observe(lease_id, generation), check)

    def ended(self, lease_id: str = "lease_a", generation: int = 1) -> Observation:
        return self.until(lambda seen: seen.phase is RunPhase.exited, lease_id, generation)

    def log(self, lease_id: str = "lease_a", generation: int = 1) -> str:
        return self.engine.read_log(lease_id, generation, 0, 1 << 22).decode()

    def said(self, text: str, lease_id: str = "lease_a", generation: int = 1) -> str:
        """Wait until the log holds ``text``."""
        return wait_for(lambda: self.log(lease_id, generation), lambda log: text in log)

    def clear(self) -> None:
        """End and remove everything; for the fixture's own end."""
        for key in self.engine.list():
            self.engine.stop(*key, 0)
        for key in self.engine.list():
            self.ended(*key)
            self.engine.remove(*key)


class EngineConformance:
    # Ends and what is known of them

    def test_work_that_succeeds_is_completed(self, harness: Harness) -> None:
        before = datetime.now(UTC)
        seen = harness.run("echo hello")
        assert (seen.reason, seen.exit_code, seen.signal) == (ExitReason.completed, 0, None)
        assert harness.log() == "hello\n"
        assert seen.started_at is not None
        assert seen.ended_at is not None
        assert (
            before - timedelta(seconds=2)
            <= seen.started_at
            <= seen.ended_at
            <= datetime.now(UTC) + timedelta(seconds=2)
        )

    def test_an_exit_code_is_kept(self, harness: Harness) -> None:
        seen = harness.run("exit 7")
        assert (seen.reason, seen.exit_code) == (ExitReason.failed, 7)
        assert "7" in (seen.message or "")

    def test_a_failing_command_in_run_does_not_end_it(self, harness: Harness) -> None:
        assert harness.run("false; echo on").reason is ExitReason.completed
        assert harness.log() == "on\n"

    def test_a_signal_that_kills_the_script_is_kept(self, harness: Harness) -> None:
        seen = harness.run("kill -SEGV $$")
        assert seen.reason is ExitReason.failed
        assert (seen.exit_code, seen.signal) in ((None, 11), (139, None))

    def test_setup_comes_first_and_stops_at_its_first_failure(self, harness: Harness) -> None:
        seen = harness.run("echo run", setup="echo one\nsh -c 'exit 4'\necho two")
        assert (seen.reason, seen.exit_code) == (ExitReason.setup_failed, 4)
        assert harness.log() == "one\n"

    def test_setup_prepares_the_work_folder_for_run(self, harness: Harness) -> None:
        assert harness.run("cat made", setup="echo prepared > made").reason is ExitReason.completed
        assert harness.log() == "prepared\n"

    def test_phases_are_seen_in_order(self, harness: Harness) -> None:
        harness.engine.start(
            spec(
                "echo running; while [ ! -e end ]; do sleep 0.05; done", setup="while [ ! -e go ]; do sleep 0.05; done"
            )
        )
        work = wait_for(lambda: harness.engine.observe("lease_a", 1), lambda seen: seen.started_at is not None)
        assert work.phase is RunPhase.preparing
        harness.engine.stop("lease_a", 1, 0)
        assert harness.ended().started_at == work.started_at

    def test_an_exited_observation_never_changes(self, harness: Harness) -> None:
        first = harness.run("echo x")
        harness.reopen()
        assert harness.engine.observe("lease_a", 1) == first

    def test_its_own_books_agree_with_what_it_shows(self, harness: Harness) -> None:
        key, never = ("lease_a", 1), ("lease_never", 1)
        harness.engine.stop(*never, 0)
        seen = harness.run("sleep 1.5")
        harness.reopen()
        asked = (key, never, ("lease_unknown", 1))
        account = wait_for(lambda: harness.engine.accounts(asked), lambda found: key in found)[key]
        assert harness.engine.accounts(asked).keys() == {key}
        assert seen.started_at is not None
        assert seen.ended_at is not None
        second = timedelta(seconds=1)
        ours = seen.ended_at - seen.started_at
        assert account.started_at <= seen.started_at + second
        assert seen.ended_at - second <= account.ended_at <= seen.ended_at + 5 * second
        assert timedelta(milliseconds=account.elapsed_milliseconds) >= ours - second
        assert account.nodes in (1, None)
        assert account.source
        assert account.reference

    def test_cpu_time_and_memory_are_measured(self, harness: Harness) -> None:
        seen = harness.run("x=$(head -c 30000000 /dev/zero | tr '\\0' a); for i in $(seq 100000); do :; done")
        assert seen.cpu_seconds_milli >= 50
        assert seen.memory_peak_bytes >= 30_000_000

    # What goes in

    def test_the_environment_is_the_one_given_whatever_it_holds(self, harness: Harness) -> None:
        odd = {"A": "two\nlines", "B": '中文 "quotes" $HOME \\n', "EMPTY": "", "EQUALS": "a=b"}
        harness.run('python3 -c \'import os; print([os.environ[k] for k in ("A","B","EMPTY","EQUALS")])\'', env=odd)
        assert harness.log().strip() == str(list(odd.values()))

    def test_a_run_of_one_node_is_told_so(self, harness: Harness) -> None:
        names = ("NUM_NODES", "NODE_RANK", "NODE_IPS")
        assert harness.run("; ".join(f"echo $ZHISUAN_{n} $SKYPILOT_{n}" for n in names)).reason is ExitReason.completed
        nodes, rank, ips = (line.split() for line in harness.log().splitlines())
        assert (nodes, rank, len(ips), len(set(ips))) == (["1", "1"], ["0", "0"], 2, 1)

    def test_more_nodes_than_there_can_be_are_refused(self, harness: Harness) -> None:
        most = harness.engine.preflight().nodes_max
        with pytest.raises(InvalidSpec, match="node"):
            harness.engine.start(spec("true", nodes=tuple(NodeGrant(f"n{i}") for i in range(most + 1))))
        with pytest.raises(UnknownRun):
            harness.engine.observe("lease_a", 1)

    def test_a_script_may_be_longer_than_an_argument_can_be(self, harness: Harness) -> None:
        harness.run("# " + "x" * 300_000 + "\necho long")
        assert harness.log() == "long\n"

    def test_archives_are_unpacked_where_they_belong(self, harness: Harness, tmp_path: Path) -> None:
        work = pack(tmp_path / "w.tgz", {"main.sh": "cat data/in.txt lib/deep/x ~/home.txt\n", "lib/deep/x": "x\n"})
        data = pack(tmp_path / "d.tgz", {"in.txt": "in\n"})
        home = pack(tmp_path / "h.tgz", {"home.txt": "home\n"})
        mounts = (FileMount(data, "data"), FileMount(home, "~"))
        seen = harness.run("./main.sh && echo more >> data/in.txt", workdir_archive=work, mounts=mounts)
        assert (seen.reason, harness.log()) == (ExitReason.completed, "in\nx\nhome\n")

    @pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/../../evil"])
    def test_an_archive_that_leads_out_is_refused(self, harness: Harness, tmp_path: Path, name: str) -> None:
        archive = pack(tmp_path / "bad.tgz", {name: "x"})
        seen = harness.run("echo never", workdir_archive=archive)
        assert seen.reason is ExitReason.start_failed
        assert seen.started_at is None
        assert name in (seen.message or "")
        assert harness.log() == ""

    def test_a_folder_is_shown_and_a_writable_one_is_the_runs_own(self, harness: Harness, tmp_path: Path) -> None:
        """What the run does to its copy is found afterwards; the folders on the host stay as they were."""
        given = tmp_path / "given"
        for path, mode in (("a.txt", 0o444), ("深/run.sh", 0o555), ("深/twin.sh", 0o555)):
            (given / path).parent.mkdir(parents=True, exist_ok=True)
            (given / path).write_text("#!/bin/sh\necho 数据\n")
            (given / path).chmod(mode)
        before = {p: (p.stat().st_mode, p.read_bytes()) for p in given.rglob("*") if p.is_file()}
        folders = (FolderMount(given, "seen"), FolderMount(given, "own/deep", read_only=False))
        script = "seen/深/run.sh && rm own/deep/a.txt && echo new > own/deep/深/new.txt && echo more >> own/deep/深/twin.sh"
        seen = harness.run(script, folders=folders)
        assert (seen.reason, seen.exit_code) == (ExitReason.completed, 0), harness.log()
        assert "数据" in harness.log()
        own = harness.engine.folder_dir("lease_a", 1, "own/deep")
        assert {a.path: (own / a.path).read_bytes() for a in iter_artifacts(own)} == {
            "深/new.txt": b"new\n", "深/run.sh": before[given / "深/run.sh"][1], "深/twin.sh": before[given / "深/twin.sh"][1] + b"more\n",
        }  # fmt: skip
        assert {p: (p.stat().st_mode, p.read_bytes()) for p in given.rglob("*") if p.is_file()} == before
        for target in ("seen", "nothing"):
            with pytest.raises(UnknownRun):
                harness.engine.folder_dir("lease_a", 1, target)

    def test_a_missing_archive_is_refused_at_once_and_leaves_nothing(self, harness: Harness, tmp_path: Path) -> None:
        with pytest.raises(InvalidSpec, match=r"gone\.tgz"):
            harness.engine.start(spec("true", workdir_archive=tmp_path / "gone.tgz"))
        assert harness.engine.list() == []

    # What comes out

    def test_output_is_combined_in_order_and_read_in_pieces(self, harness: Harness) -> None:
        harness.run("for i in $(seq 200); do echo out $i; echo err $i >&2; done")
        expected = "".join(f"out {i}\nerr {i}\n" for i in range(1, 201)).encode()
        pieces, offset = [], 0
        while piece := harness.engine.read_log("lease_a", 1, offset, 97):
            assert len(piece) <= 97
            pieces.append(piece)
            offset += len(piece)
        assert b"".join(pieces) == expected
        assert harness.engine.read_log("lease_a", 1, len(expected) + 50, 10) == b""

    def test_output_is_seen_while_the_work_runs(self, harness: Harness) -> None:
        harness.engine.start(spec("echo early; sleep 600"))
        assert harness.said("early") == "early\n"

    def test_artifacts_are_found_where_the_work_put_them(self, harness: Harness) -> None:
        harness.run(
            "mkdir -p $ZHISUAN_ARTIFACTS/m && echo weights > $ZHISUAN_ARTIFACTS/m/w; ln -s /etc/shadow $ZHISUAN_ARTIFACTS/link"
        )
        found = list(iter_artifacts(harness.engine.artifacts_dir("lease_a", 1)))
        assert [one.path for one in found] == ["m/w"]
        with found[0].open() as file:
            assert file.read() == b"weights\n"

    def test_progress_is_the_last_line_that_is_whole(self, harness: Harness) -> None:
        seen = harness.run(
            """echo '{"fraction": 0.25, "message": "a"}' >> $ZHISUAN_PROGRESS
            echo '{"fraction": 0.5, "message": "epoch 2", "loss": 1.5}' >> $ZHISUAN_PROGRESS
            printf '{"fraction": 0.7' >> $ZHISUAN_PROGRESS"""
        )
        assert seen.progress is not None
        assert (seen.progress.fraction_ppm, seen.progress.message) == (500_000, "epoch 2")
        assert seen.progress.extra == {"loss": 1.5}

    # Ending

    def test_stop_gives_the_work_its_grace(self, harness: Harness) -> None:
        harness.engine.start(spec("trap 'echo saved; exit 0' TERM; echo ready; while :; do sleep 0.05; done"))
        harness.said("ready")
        harness.engine.stop("lease_a", 1, 60)
        assert harness.ended().reason is ExitReason.cancelled
        assert "saved" in harness.log()

    def test_stop_kills_what_does_not_end(self, harness: Harness) -> None:
        harness.engine.start(spec("trap '' TERM; echo ready; while :; do sleep 0.05; done"))
        harness.said("ready")
        harness.engine.stop("lease_a", 1, 1)
        assert harness.ended().reason is ExitReason.cancelled

    def test_a_second_stop_shortens_the_grace(self, harness: Harness) -> None:
        harness.engine.start(spec("trap '' TERM; echo ready; while :; do sleep 0.05; done"))
        harness.said("ready")
        harness.engine.stop("lease_a", 1, 3600)
        harness.engine.stop("lease_a", 1, 0)
        assert harness.ended().reason is ExitReason.cancelled

    def test_stop_before_start_means_that_it_never_starts(self, harness: Harness) -> None:
        harness.engine.stop("lease_a", 1, 5)
        harness.reopen()
        seen = harness.run("echo never")
        assert seen.reason is ExitReason.cancelled
        assert seen.started_at is None
        assert harness.log() == ""

    def test_stop_of_an_ended_run_changes_nothing(self, harness: Harness) -> None:
        before = harness.run("true")
        harness.engine.stop("lease_a", 1, 0)
        assert harness.engine.observe("lease_a", 1) == before

    def test_time_that_is_used_up_ends_the_work(self, harness: Harness) -> None:
        seen = harness.run("echo ready; exec sleep 600", max_seconds=1)
        assert seen.reason is ExitReason.timed_out
        assert "1 second" in (seen.message or "")
        assert seen.started_at is not None
        assert seen.ended_at is not None
        assert seen.ended_at - seen.started_at >= timedelta(seconds=1) - timedelta(milliseconds=20)

    # One run per lease and generation

    def test_start_is_idempotent(self, harness: Harness) -> None:
        for _ in range(3):
            harness.engine.start(spec("echo once"))
        harness.ended()
        harness.engine.start(spec("echo once"))
        harness.reopen()
        harness.engine.start(spec("echo once"))
        assert harness.ended().reason is ExitReason.completed
        assert harness.log() == "once\n"

    def test_start_is_idempotent_from_many_sides_at_once(self, harness: Harness) -> None:
        errors: list[BaseException] = []

        def start() -> None:
            try:
                harness.open_engine().start(spec("echo once"))
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=start) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        harness.ended()
        assert harness.log() == "once\n"

    def test_a_lower_generation_is_refused(self, harness: Harness) -> None:
        harness.run("true", generation=5)
        with pytest.raises(StaleGeneration, match="5"):
            harness.engine.start(spec("true", generation=4))
        assert harness.engine.list() == [("lease_a", 5)]

    def test_a_higher_generation_ends_the_lower_before_it_begins(self, harness: Harness) -> None:
        harness.engine.start(spec("echo one; sleep 600"))
        harness.said("one")
        harness.engine.start(spec("echo two; sleep 600", generation=2))
        old = harness.engine.observe("lease_a", 1)
        assert (old.phase, old.reason) == (RunPhase.exited, ExitReason.cancelled)
        harness.said("two", generation=2)
        new = harness.until(lambda seen: seen.started_at is not None, "lease_a", 2)
        assert old.ended_at is not None
        assert new.started_at is not None
        assert old.ended_at <= new.started_at

    def test_leases_do_not_disturb_each_other(self, harness: Harness) -> None:
        for name in ("lease_a", "lease_b"):
            harness.engine.start(spec(f"echo {name}; while [ ! -e end ]; do sleep 0.05; done", lease_id=name))
        assert harness.engine.list() == [("lease_a", 1), ("lease_b", 1)]
        harness.said("lease_b", "lease_b")
        harness.engine.stop("lease_a", 1, 0)
        harness.ended("lease_a")
        assert harness.until(lambda seen: seen.phase is not RunPhase.preparing, "lease_b").phase is RunPhase.running
        assert harness.log("lease_b") == "lease_b\n"

    def test_an_unknown_run_is_said_to_be_unknown(self, harness: Harness) -> None:
        for ask in (
            lambda: harness.engine.observe("nobody", 1),
            lambda: harness.engine.read_log("nobody", 1, 0, 1),
            lambda: harness.engine.artifacts_dir("nobody", 1),
            lambda: harness.engine.service_socket("nobody", 1),
        ):
            with pytest.raises(UnknownRun):
                ask()
        harness.engine.remove("nobody", 1)

    @pytest.mark.parametrize("lease_id", ["../x", "a/b", "", ".", "a b", "x" * 97])
    def test_a_lease_id_that_could_lead_astray_is_refused(self, harness: Harness, lease_id: str) -> None:
        for act in (
            lambda: harness.engine.start(spec("true", lease_id=lease_id)),
            lambda: harness.engine.stop(lease_id, 1, 0),
            lambda: harness.engine.remove(lease_id, 1),
            lambda: harness.engine.observe(lease_id, 1),
        ):
            with pytest.raises(InvalidSpec):
                act()

    def test_remove_forgets_an_ended_run_and_only_that(self, harness: Harness) -> None:
        harness.engine.start(spec("echo on; sleep 600"))
        harness.said("on")
        with pytest.raises(RunStillActive):
            harness.engine.remove("lease_a", 1)
        harness.engine.stop("lease_a", 1, 0)
        harness.ended()
        harness.engine.remove("lease_a", 1)
        harness.engine.remove("lease_a", 1)
        assert harness.engine.list() == []
        with pytest.raises(UnknownRun):
            harness.engine.observe("lease_a", 1)

    def test_a_reopened_engine_takes_up_what_runs(self, harness: Harness) -> None:
        harness.engine.start(spec("echo first; while [ ! -e end ]; do sleep 0.05; done; echo never"))
        before = harness.until(lambda seen: seen.phase is RunPhase.running)
        harness.reopen()
        assert harness.engine.list() == [("lease_a", 1)]
        assert harness.engine.observe("lease_a", 1).started_at == before.started_at
        harness.said("first")
        harness.engine.stop("lease_a", 1, 0)
        assert harness.ended().reason is ExitReason.cancelled

    # Services

    def test_a_service_is_reached_through_its_socket(self, harness: Harness) -> None:
        harness.engine.start(
            spec("echo page > index.html; exec python3 -m http.server 8123 --bind 127.0.0.1", service=ServicePort(8123))
        )
        path = harness.engine.service_socket("lease_a", 1)
        assert path is not None
        assert wait_for(lambda: get(path, "/index.html"), lambda answer: answer is not None) == (200, b"page\n")
        assert get(path, "/missing")[0] == 404  # type: ignore[index]

    def test_work_without_a_service_has_no_socket(self, harness: Harness) -> None:
        harness.run("true")
        assert harness.engine.service_socket("lease_a", 1) is None

    def test_preflight_says_what_the_engine_is(self, harness: Harness) -> None:
        report = harness.engine.preflight()
        assert report.engine
        assert set(report.limits) == {"memory", "cpu", "pids", "cgroup_version"}
        for problem in report.problems:
            assert all((problem.code, problem.message_en, problem.message_zh, problem.remedy_en, problem.remedy_zh))


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("service", timeout=WAIT_SECONDS)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def get(path: Path, url: str) -> tuple[int, bytes] | None:
    """One request; None while nothing answers yet."""
    connection = UnixConnection(path)
    try:
        connection.request("GET", url)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
