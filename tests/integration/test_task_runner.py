"""The program that carries an order of tasks out at a site: real processes, run as a site runs it."""

import csv
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zhisuan.base.secrets import digest
from zhisuan.workload.programs import task_mates
from zhisuan.workload.tasks import PORTS, PORTS_FROM, PORTS_TRIED, Tasks, script

RECORD = ".zhisuan-tasks"
PATIENCE_SECONDS = 60.0


def wait(look: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.01)
    return found


@dataclass
class Site:
    """A folder with what an engine gives a run; ``variables`` beside that."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    token: str = ""
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("checkpoint", "artifacts", "work"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    def start(
        self, tasks: Tasks, run: str, *, share_threads: bool = True, nodes: int = 1, before: Sequence[str] = ()
    ) -> subprocess.Popen[bytes]:
        text = script(tasks, run, share_threads=share_threads, nodes=nodes, token=self.token)
        (self.folder / "run.sh").write_bytes(text.encode())
        environment = {
            "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "ZHISUAN_CPUS_MILLI": "3000", "OMP_NUM_THREADS": "3",
            "ZHISUAN_CHECKPOINT": str(self.folder / "checkpoint"), "ZHISUAN_ARTIFACTS": str(self.folder / "artifacts"),
            "ZHISUAN_PROGRESS": str(self.folder / "progress"), "MARK": str(self.folder), **self.variables,
        }  # fmt: skip
        with (self.folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*before, "bash", str(self.folder / "run.sh")], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                cwd=self.folder / "work", start_new_session=True,
            )  # fmt: skip
        self.started.append(process)
        return process

    def run(self, tasks: Tasks, run: str, **options: Any) -> int:
        return self.start(tasks, run, **options).wait(PATIENCE_SECONDS * 3)

    @property
    def log(self) -> list[str]:
        return (self.folder / "log").read_bytes().decode("utf-8", "surrogateescape").splitlines()

    def output(self, index: int) -> list[str]:
        prefix = f"[task {index}] "
        return [line.removeprefix(prefix) for line in self.log if line.startswith(prefix)]

    def table(self) -> dict[int, tuple[int, int]]:
        """Tries and exit status of each task."""
        return _read(self.folder / "artifacts" / "tasks.csv")

    def record(self) -> dict[int, tuple[int, int]]:
        found: dict[int, tuple[int, int]] = {}
        for part in sorted((self.folder / "checkpoint" / RECORD).glob("*.csv")):
            found |= _read(part)
        return found

    def keep(self, text: str) -> None:
        """A record as an attempt before has left it."""
        folder = self.folder / "checkpoint" / RECORD
        folder.mkdir()
        (folder / "00000.csv").write_text(text)

    def forget(self) -> None:
        shutil.rmtree(self.folder / "checkpoint" / RECORD)

    def marks(self) -> list[str]:
        """What tasks have written to ``work/marks``."""
        path = self.folder / "work" / "marks"
        return path.read_text().split() if path.exists() else []

    def processes(self) -> list[psutil.Process]:
        """Those of this run that live, wherever they are."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("MARK") == str(self.folder) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found


def _read(path: Path) -> dict[int, tuple[int, int]]:
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        began, ended = (datetime.fromisoformat(row[name]) for name in ("began", "ended"))
        assert began <= ended and began.tzinfo is not None
    return {int(row["index"]): (int(row["tries"]), int(row["exit_status"])) for row in rows}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert wait(lambda: not made.processes(), "all to be gone"), "nothing outlives the order"


def test_each_index_runs_once_and_knows_which_it_is(site: Site) -> None:
    say = "echo index $ZHISUAN_TASK_INDEX of $ZHISUAN_TASK_COUNT try $ZHISUAN_TASK_ATTEMPT in $PWD; echo $ZHISUAN_TASK_INDEX >> marks"
    assert site.run(Tasks(40, 4), say) == 0
    for index in range(40):
        assert site.output(index) == [f"index {index} of 40 try 1 in {site.folder}/work"]
    assert Counter(site.marks()) == Counter(map(str, range(40)))
    assert site.table() == dict.fromkeys(range(40), (1, 0)) == site.record()
    assert "[zhisuan] 40 of 40 tasks done." in site.log
    assert '"fraction": 1.0' in (site.folder / "progress").read_text()


def test_as_many_run_at_once_as_there_are_cores_and_share_them(site: Site) -> None:
    count = 'echo in >> marks; sleep 0.2; echo out >> marks; echo "threads $OMP_NUM_THREADS"'
    assert site.run(Tasks(6), count) == 0
    assert at_once(site.marks()) == 3, "three cores"
    assert site.output(0) == ["threads 1"]
    assert site.run(Tasks(6, 1), "rm -f marks; " + count) == 0
    assert site.output(0) == []
    site.forget()
    assert site.run(Tasks(2, 1), count, share_threads=True) == 0
    assert site.output(1) == ["threads 3"], "one at a time has them all"
    site.forget()
    site.variables = {"OMP_NUM_THREADS": "7"}
    assert site.run(Tasks(2, 2), count, share_threads=False) == 0
    assert site.output(1) == ["threads 7"], "what the tenant set is left alone"


def at_once(marks: list[str]) -> int:
    level = most = 0
    for mark in marks:
        level += 1 if mark == "in" else -1
        most = max(most, level)
    return most


def test_exit_statuses_signals_and_tries_are_told(site: Site) -> None:
    run = """case $ZHISUAN_TASK_INDEX in
        1) exit 3 ;; 2) kill -9 $$ ;; 3) kill -TERM $$ ;;
        4) [[ $ZHISUAN_TASK_ATTEMPT == 3 ]] ;;
        5) no_such_command ;;
    esac"""
    assert site.run(Tasks(6, 2, 2), run) == 1
    assert site.table() == {0: (1, 0), 1: (3, 3), 2: (3, 137), 3: (3, 143), 4: (3, 0), 5: (3, 127)}
    assert site.record() == {0: (1, 0), 4: (3, 0)}, "who has it run again wants those that failed"
    assert "[zhisuan] Task 2: exit status 137 (SIGKILL), try 1 of 3." in site.log
    told = [line for line in site.log if " failed: " in line]
    assert told == [
        "[zhisuan] Task 1 failed: exit status 3, after 3 tries.",
        "[zhisuan] Task 2 failed: exit status 137 (SIGKILL), after 3 tries.",
        "[zhisuan] Task 3 failed: exit status 143 (SIGTERM), after 3 tries.",
        "[zhisuan] Task 5 failed: exit status 127, after 3 tries.",
    ]
    assert "[zhisuan] 6 of 6 tasks done, 4 failed." in site.log
    assert sum("no_such_command" in line for line in site.output(5)) == 3, "what went wrong is in its output"
    assert site.run(Tasks(6, 2, 0), "true") == 0
    assert site.table() == {0: (1, 0), 1: (1, 0), 2: (1, 0), 3: (1, 0), 4: (3, 0), 5: (1, 0)}


def test_a_task_that_fails_waits_until_all_others_have_been_tried(site: Site) -> None:
    run = "echo $ZHISUAN_TASK_INDEX >> marks; [[ $ZHISUAN_TASK_INDEX != 0 || $ZHISUAN_TASK_ATTEMPT == 3 ]]"
    assert site.run(Tasks(3, 1, 2), run) == 0
    assert site.marks() == ["0", "1", "2", "0", "0"]


def test_output_is_kept_whole_whatever_it_is(site: Site) -> None:
    run = r"""case $ZHISUAN_TASK_INDEX in
        0) printf 'no newline' ;;
        1) printf 'half'; sleep 0.3; printf ' and half\n\nlast\n' ;;
        2) printf '\x00\xff\xfe\n\x80' ;;
        3) head -c 200000 /dev/zero | tr '\0' x ;;
        4) for i in {1..3000}; do echo line $i; done ;;
        5) for i in {1..3000}; do echo line $i; done >&2 ;;
        6) exec >&- 2>&-; sleep 0.1 ;;
    esac"""
    assert site.run(Tasks(7, 7), run) == 0
    assert site.output(0) == ["no newline"]
    assert site.output(1) == ["half and half", "", "last"]
    raw = (site.folder / "log").read_bytes()
    assert b"[task 2] \x00\xff\xfe\n" in raw and b"[task 2] \x80\n" in raw
    assert "".join(site.output(3)) == "x" * 200_000
    assert site.output(4) == site.output(5) == [f"line {i}" for i in range(1, 3001)]
    assert all(line.startswith(("[task ", "[zhisuan] ")) for line in site.log), "whole lines only"


def test_standard_input_is_empty_and_variables_are_those_of_the_run(site: Site) -> None:
    site.variables = {"MINE": "a value\nof two lines"}
    assert site.run(Tasks(2, 1), 'cat; read -r x || echo "end of input"; echo "$MINE"; echo x >> $ZHISUAN_PROGRESS; yes | head -n 1') == 0
    assert site.output(1) == ["end of input", "a value", "of two lines", "y"], "a broken pipe ends what writes"
    assert "x" not in (site.folder / "progress").read_text().split(), "progress is that of the order"


def test_a_long_script_with_every_character_arrives_as_it_is(site: Site) -> None:
    text = "# " + "长" * 60_000 + "\necho 'quote \" $x `y` \\ 你好'\n" + "true\n" * 10_000
    assert site.run(Tasks(1), text) == 0
    assert site.output(0) == ['quote " $x `y` \\ 你好']


def test_what_a_task_leaves_running_is_killed_with_its_end(site: Site) -> None:
    run = """sleep 300 & (sleep 300 &) ; setsid sleep 300 & disown -a
    (setsid bash -c 'sleep 300 & sleep 300' & )
    env -i sleep 300 & echo $! >> marks
    echo $ZHISUAN_TASK_INDEX done; [[ $ZHISUAN_TASK_INDEX == 0 ]] || sleep 0.2"""
    process = site.start(Tasks(30, 3), run)
    wait(lambda: site.output(20), "some of the tasks")
    assert len(site.processes()) < 60, "they do not pile up"
    assert process.wait(PATIENCE_SECONDS) == 0
    assert wait(lambda: not site.processes(), "all to be killed")
    assert not any(Path(f"/proc/{pid}").exists() for pid in site.marks()), "also what hides where it comes from"


def test_a_task_may_have_children_of_its_own_while_it_runs(site: Site) -> None:
    """Among them some in sessions of their own, while tasks beside it come and go."""
    run = """if [[ $ZHISUAN_TASK_INDEX == 0 ]]; then
        (setsid bash -c 'sleep 1.5; echo survived >> marks' &) ; sleep 2
    fi"""
    assert site.run(Tasks(60, 2), run) == 0
    assert site.marks() == ["survived"]


@pytest.mark.slow
def test_five_thousand_tasks(site: Site) -> None:
    assert site.run(Tasks(5000, 3), "true") == 0
    assert site.table() == dict.fromkeys(range(5000), (1, 0))
    assert len(site.log) < 200, "what has nothing to say is not spoken of"


def test_a_full_part_of_the_record_is_not_written_again(site: Site) -> None:
    """So that a checkpoint that is saved each minute sends what is new."""
    folder = site.folder / "checkpoint" / RECORD
    run = "[[ $ZHISUAN_TASK_INDEX -lt 600 ]] || sleep 0.05; [[ $ZHISUAN_TASK_INDEX != 300 ]]"
    process = site.start(Tasks(700, 2), run)
    first = wait(lambda: len(site.record()) > 600 and (folder / "00000.csv").stat(), "two full parts")
    assert process.wait(PATIENCE_SECONDS) == 1
    assert (folder / "00000.csv").stat().st_ino == first.st_ino
    assert sorted(path.name for path in folder.iterdir()) == ["00000.csv", "00001.csv", "00002.csv"]
    assert site.record() == {i: (1, 0) for i in range(700) if i != 300}
    site.run(Tasks(700, 2), "echo $ZHISUAN_TASK_INDEX >> marks")
    assert site.marks() == ["300"]


def test_told_to_end_the_tasks_are_told_and_the_rest_runs_later(site: Site) -> None:
    run = """trap 'echo told; exit 5' TERM; echo began $ZHISUAN_TASK_INDEX >> marks
    [[ $ZHISUAN_TASK_INDEX -lt 10 ]] || sleep 60 & wait; echo ended $ZHISUAN_TASK_INDEX >> marks"""
    process = site.start(Tasks(30, 4), run)
    wait(lambda: site.marks().count("began") == 14, "four that sleep")
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(PATIENCE_SECONDS) == 143
    assert site.table() == site.record() == dict.fromkeys(range(10), (1, 0)), "what was cut off has not been run"
    assert [site.output(i) for i in range(9, 15)] == [[], ["told"], ["told"], ["told"], ["told"], []]
    assert site.run(Tasks(30, 4), "echo again $ZHISUAN_TASK_INDEX >> marks") == 0
    assert sorted(m for m in site.marks()[-40:] if m.isdigit())[-20:] == sorted(map(str, range(10, 30)))[-20:]
    assert site.marks().count("again") == 20
    assert "[zhisuan] 10 of 30 tasks done before; these are not run again." in site.log


def test_a_task_that_ends_well_after_it_was_told_has_finished(site: Site) -> None:
    run = "trap 'sleep 0.3; echo saved; exit 0' TERM; echo began >> marks; sleep 60 & wait"
    process = site.start(Tasks(5, 2, 3), run)
    wait(lambda: site.marks().count("began") == 2, "two")
    os.killpg(process.pid, signal.SIGTERM)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(PATIENCE_SECONDS) == 143
    assert site.table() == {0: (1, 0), 1: (1, 0)} and site.output(1) == ["saved"]


def test_a_runner_that_is_killed_takes_its_tasks_along_and_the_next_goes_on(site: Site) -> None:
    run = "echo $ZHISUAN_TASK_INDEX >> marks; [[ $ZHISUAN_TASK_INDEX -lt 30 ]] && sleep 0.05 || sleep 300"
    process = site.start(Tasks(120, 3), run)
    wait(lambda: len(site.record()) > 20 and site.marks().count("31"), "a record, and tasks that would go on for long")
    process.kill()
    process.wait()
    assert wait(lambda: not site.processes(), "its tasks to be gone")
    kept, before = site.record(), Counter(site.marks())
    assert site.run(Tasks(120, 3), "echo $ZHISUAN_TASK_INDEX >> marks") == 0
    assert site.table() == dict.fromkeys(range(120), (1, 0))
    after = Counter(site.marks())
    assert set(after) == set(map(str, range(120)))
    again = {int(name) for name in after if after[name] > 1}
    assert not again & set(kept), "what is in the record is not run again"
    assert all(after[name] - before[name] <= 1 for name in after)


def test_a_record_of_other_tasks_or_none_is_passed_over(site: Site) -> None:
    at = "2026-01-01T00:00:00.000Z"
    site.keep(f"index,tries,exit_status,began,ended\n0,1,0,{at},{at}\n9,1,0,{at},{at}\nx,1,0,{at},{at}\n-1,1,0,,\n2,1,0,{at}")
    assert site.run(Tasks(3, 1), "echo $ZHISUAN_TASK_INDEX >> marks") == 0
    assert site.marks() == ["1", "2"] and set(site.table()) == {0, 1, 2}
    site.forget()
    (site.folder / "checkpoint" / RECORD).write_text("")
    assert site.run(Tasks(3, 1), "true") == 0, "a record that cannot be written costs the record, not the work"
    assert set(site.table()) == {0, 1, 2}
    assert sum("cannot be read or written" in line for line in site.log) == 1


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    failures=st.lists(st.integers(0, 3), min_size=1, max_size=14), parallel=st.integers(1, 5), retries=st.integers(0, 2),
    done=st.sets(st.integers(0, 13)),
)  # fmt: skip
def test_whatever_fails_each_task_is_tried_as_often_as_it_may_and_told_once(
    tmp_path: Path, failures: list[int], parallel: int, retries: int, done: set[int]
) -> None:
    """``failures``: how often each fails before it succeeds; ``done``: those that an attempt before has finished."""
    here = Site(Path(tempfile.mkdtemp(dir=tmp_path)))
    before = {i for i in done if i < len(failures)}
    rows = "".join(f"{i},1,0,2026-01-01T00:00:00.000Z,2026-01-01T00:00:00.000Z\n" for i in before)
    here.keep("index,tries,exit_status,began,ended\n" + rows)
    run = f"fail=({' '.join(map(str, failures))}); echo $ZHISUAN_TASK_INDEX >> marks; [ $ZHISUAN_TASK_ATTEMPT -gt ${{fail[ZHISUAN_TASK_INDEX]}} ]"
    status = here.run(Tasks(len(failures), parallel, retries), run)
    expected = {
        i: (1, 0) if i in before else (min(n, retries) + 1, 0 if n <= retries else 1) for i, n in enumerate(failures)
    }
    assert here.table() == expected
    assert status == (1 if any(code for _, code in expected.values()) else 0)
    tries = {str(i): n for i, (n, _) in expected.items() if i not in before}
    assert Counter(here.marks()) == tries


@dataclass
class Nodes:
    """Several nodes of one order on this machine, each with its folder; the token is of this order alone, and so are its ports."""

    sites: list[Site]

    def start(self, tasks: Tasks, run: str, late: float = 0.0) -> list[subprocess.Popen[bytes]]:
        started = []
        for site in self.sites:
            started.append(site.start(tasks, run, nodes=len(self.sites)))
            time.sleep(late)
        return started


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    made = [
        Site(
            tmp_path / str(rank),
            {"ZHISUAN_NODE_RANK": str(rank), "ZHISUAN_NUM_NODES": "3", "ZHISUAN_NODE_IPS": "127.0.0.1\n127.0.0.1\n127.0.0.1"},
            f"zsw_{tmp_path}",
        )
        for rank in range(3)
    ]
    yield Nodes(made)
    for site in made:
        for process in site.started:
            process.kill()
            process.wait()


@pytest.mark.parametrize("first_rank_last", [False, True])
def test_several_nodes_share_the_indices_and_the_first_knows_all(nodes: Nodes, first_rank_last: bool) -> None:
    run = "echo $ZHISUAN_TASK_INDEX >> marks; [[ $ZHISUAN_TASK_INDEX != 4 ]]"
    if first_rank_last:
        nodes.sites.reverse()
    started = nodes.start(Tasks(31, 2), run, late=0.5)
    if first_rank_last:
        nodes.sites.reverse()
        started.reverse()
    statuses = [process.wait(PATIENCE_SECONDS) for process in started]
    assert statuses == [1, 0, 0], "the first says how the order ended; the others do not end it before its time"
    for rank, site in enumerate(nodes.sites):
        assert sorted(map(int, site.marks())) == list(range(rank, 31, 3))
    head = nodes.sites[0]
    assert head.table() == {i: (1, int(i == 4)) for i in range(31)}
    assert "[zhisuan] 31 of 31 tasks done, 1 failed." in head.log and "[zhisuan] Task 4 failed: exit status 1, after 1 try." in head.log
    assert not nodes.sites[1].table()


def test_several_nodes_that_are_told_to_end_go_on_from_the_first_ones_record(nodes: Nodes) -> None:
    run = "echo $ZHISUAN_TASK_INDEX >> marks; [[ $ZHISUAN_TASK_INDEX -lt 12 ]] || exec sleep 60"
    started = nodes.start(Tasks(30, 1), run)
    wait(lambda: all(len(site.marks()) == 5 for site in nodes.sites), "all to have come to what sleeps")
    for process in started:
        os.killpg(process.pid, signal.SIGTERM)
    assert [process.wait(PATIENCE_SECONDS) for process in started] == [143, 0, 0]
    record = nodes.sites[0].record()
    assert record == dict.fromkeys(range(12), (1, 0))
    kept = (nodes.sites[0].folder / "checkpoint" / RECORD / "00000.csv").read_text()
    for site in nodes.sites:
        shutil.rmtree(site.folder / "checkpoint" / RECORD, ignore_errors=True)
        site.keep(kept)
        (site.folder / "work" / "marks").unlink()
    started = nodes.start(Tasks(30, 1), "echo $ZHISUAN_TASK_INDEX >> marks")
    assert [process.wait(PATIENCE_SECONDS) for process in started] == [0, 0, 0]
    assert sorted(int(m) for site in nodes.sites for m in site.marks()) == list(range(12, 30))
    assert nodes.sites[0].table() == dict.fromkeys(range(30), (1, 0))


def ports_of(token: str) -> list[int]:
    return [PORTS_FROM + int(digest(f"{token}{n}")[:8], 16) % PORTS for n in range(PORTS_TRIED)]


def test_a_stranger_at_the_first_nodes_door_tells_it_nothing(nodes: Nodes) -> None:
    """Who does not know the token is not heard, and one who takes a port beforehand only costs the order its first choice."""
    first, second, *_ = ports_of(nodes.sites[0].token)
    with socket.create_server(("127.0.0.1", first)):
        started = nodes.start(Tasks(6, 1), "sleep 0.7")
        wait(lambda: _forged(second), "the door")
        assert [process.wait(PATIENCE_SECONDS) for process in started] == [0, 0, 0]
    assert nodes.sites[0].table() == dict.fromkeys(range(6), (1, 0))


def _forged(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as door, door.makefile("rwb") as talk:
            talk.readline()
            talk.write(b"1 0 " + b"0" * 64 + b"\n1,9,9,x,x\ndone\n")
            talk.flush()
            return talk.readline() == b""
    except ConnectionResetError:
        return True
    except OSError:
        return False


def test_nodes_that_cannot_reach_each_other_say_so_at_once(nodes: Nodes) -> None:
    """In a network of its own, with nothing but a loopback in it, as the site of several hosts gives where its operator wants that."""
    alone = ["unshare", "--net"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user can make no network namespace")
    site = nodes.sites[1]
    site.variables["ZHISUAN_NODE_IPS"] = "192.0.2.1\n192.0.2.2\n192.0.2.3"
    assert site.start(Tasks(9), "echo ran", nodes=3, before=alone).wait(PATIENCE_SECONDS) == 1
    assert "cannot reach each other" in site.log[-1] and not site.output(1)


def test_a_node_tells_all_again_when_the_first_did_not_take_it_and_believes_no_other(nodes: Nodes) -> None:
    """The first node's part is played here: once by somebody without the token, once broken off, once well."""
    port = ports_of(nodes.sites[0].token)[0]
    heard: list[list[bytes]] = []
    with socket.create_server(("127.0.0.1", port)) as door:
        door.settimeout(PATIENCE_SECONDS)
        process = nodes.sites[1].start(Tasks(9, 1), "true", nodes=3)
        for token, thanks in (("another", True), (nodes.sites[1].token, False), (nodes.sites[1].token, True)):
            heard.append(_play_the_first(door, port, token, nodes.sites[1].token, thanks=thanks))
        assert process.wait(PATIENCE_SECONDS) == 0
    assert heard[0] == []
    assert [row.split(b",")[:3] for row in heard[1]] == [[b"1", b"1", b"0"], [b"4", b"1", b"0"], [b"7", b"1", b"0"]]
    assert heard[1] == heard[2]


def _play_the_first(door: socket.socket, port: int, token: str, theirs: str, *, thanks: bool) -> list[bytes]:
    connection, _ = door.accept()
    connection.settimeout(PATIENCE_SECONDS)
    with connection, connection.makefile("rwb") as talk:
        talk.write(b"nonce\n")
        talk.flush()
        rank, nonce, proof = talk.readline().decode().split()
        assert proof == task_mates._proof(theirs, "mate", rank, "nonce", port)
        talk.write(task_mates._proof(token, "head", rank, nonce, port).encode() + b"\n")
        talk.flush()
        rows = []
        for line in talk:
            if line == b"done\n":
                if thanks:
                    talk.write(b"thanks\n")
                return rows
            rows.append(line)
        return rows
