"""The parts that run on Ray's nodes, without Ray: one log of many, one end of many, who may decide, old Pythons."""

import ast
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhisuan.engines.local import records
from zhisuan.engines.local.paths import RunPaths
from zhisuan.engines.ray.library import Library
from zhisuan.engines.ray.node.claim import claim_for_agent, claim_for_node, ticket_path
from zhisuan.engines.ray.node.gang_log import GangLog
from zhisuan.engines.ray.node.gang_parts import Part, cause, part_paths, whole_exit


def gang(folder: Path, *ends: dict[str, str]) -> list[Part]:
    parts = [Part(rank, f"host{rank}", part_paths(RunPaths(str(folder)), rank)) for rank in range(len(ends))]
    for part, end in zip(parts, ends, strict=True):
        part.ended = {"cpu_ms": "10", "memory_peak_bytes": "5", **end}
    return parts


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["a", "bc", "\n", "d\ne", "é"]), max_size=12), min_size=1, max_size=3))
def test_every_line_of_every_node_is_there_once_in_its_order(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[list[str]]
) -> None:
    """However the writing and the reading interleave."""
    folder = tmp_path_factory.mktemp("log")
    sources = [folder / str(rank) for rank in range(len(pieces))]
    log = GangLog(str(folder / "log"), [str(source) for source in sources])
    for turn in range(max(len(one) for one in pieces)):
        for source, one in zip(sources, pieces, strict=True):
            if turn < len(one):
                with open(source, "ab") as file:
                    file.write(one[turn].encode())
        log.read()
        log.write()
    log.close()
    whole = (folder / "log").read_bytes().decode()
    for rank, one in enumerate(pieces):
        text = "".join(one)
        expected = text.split("\n")[:-1] if text.endswith("\n") or not text else text.split("\n")
        prefix = f"[{rank}] "
        assert [line.removeprefix(prefix) for line in whole.split("\n")[:-1] if line.startswith(prefix)] == expected


def test_a_line_without_an_end_is_not_kept_in_memory_for_ever(tmp_path: Path) -> None:
    (tmp_path / "0").write_bytes(b"x" * 200_000)
    log = GangLog(str(tmp_path / "log"), [str(tmp_path / "0")])
    log.read()
    log.write()
    assert len((tmp_path / "log").read_bytes()) > 190_000
    log.close()
    text = (tmp_path / "log").read_text()
    assert "".join(line.removeprefix("[0] ") for line in text.splitlines()) == "x" * 200_000


def test_a_gang_is_completed_when_all_are(tmp_path: Path) -> None:
    done = {"reason": "completed", "exit_code": "0"}
    parts = gang(tmp_path, {**done, "started_ms": "7", "ended_ms": "20"}, {**done, "started_ms": "5", "ended_ms": "30"})
    assert cause(parts) is None
    end = dict(whole_exit(parts, None))
    assert end == {
        "reason": "completed", "exit_code": "0", "started_ms": "5", "ended_ms": "30", "cpu_ms": "20", "memory_peak_bytes": "5",
    }  # fmt: skip


def test_the_first_that_failed_is_the_cause_and_is_named(tmp_path: Path) -> None:
    parts = gang(
        tmp_path,
        {"reason": "cancelled", "ended_ms": "30", "message": "node 1 ended first"},
        {"reason": "failed", "exit_code": "9", "ended_ms": "20", "message": "run ended with exit code 9"},
    )
    guilty = cause(parts)
    assert guilty is parts[1]
    end = dict(whole_exit(parts, guilty))
    assert (end["reason"], end["exit_code"], end["ended_ms"]) == ("failed", "9", "30")
    assert end["message"] == "node 1 (host1): run ended with exit code 9"


def test_a_node_that_dies_keeps_its_last_sign_of_life(tmp_path: Path) -> None:
    part = Part(1, "host1", part_paths(RunPaths(str(tmp_path)), 1))
    Path(part.paths.folder).mkdir(parents=True)
    records.write_atomic(part.paths.state, [("phase", "running"), ("started_ms", "5")])
    records.write_atomic(part.paths.heartbeat, [("at_ms", "50"), ("cpu_ms", "9"), ("memory_peak_bytes", "3")])
    part.gone("lost", "the node died", 99)
    assert part.ended is not None
    assert (part.ended["reason"], part.ended["started_ms"], part.ended["ended_ms"]) == ("lost", "5", "50")


def test_only_one_side_gets_the_claim(tmp_path: Path) -> None:
    for round_number in range(20):
        paths = RunPaths(str(tmp_path / str(round_number)))
        Path(paths.folder).mkdir()
        records.write_once(ticket_path(paths), [("submission_id", "job")])
        won: list[str] = []
        sides = [
            threading.Thread(target=lambda paths=paths, won=won: claim_for_node(paths, "job") and won.append("node")),
            threading.Thread(target=lambda paths=paths, won=won: claim_for_agent(paths, []) and won.append("agent")),
        ]
        for side in sides:
            side.start()
        for side in sides:
            side.join()
        assert len(won) == 1


def test_a_job_of_the_past_does_not_get_the_claim(tmp_path: Path) -> None:
    paths = RunPaths(str(tmp_path))
    assert not claim_for_node(paths, "old")
    records.write_once(ticket_path(paths), [("submission_id", "new")])
    assert not claim_for_node(paths, "old")
    assert claim_for_node(paths, "new")


def test_what_nodes_are_given_is_whole_and_can_be_read_by_python_3_9(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.provide()
    library.provide()
    shipped = sorted(library.folder.rglob("*.py"))
    names = {".".join(path.relative_to(library.folder).with_suffix("").parts) for path in shipped}
    for path in shipped:
        tree = ast.parse(path.read_text("utf-8"), feature_version=(3, 9))
        wanted = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
        assert {name for name in wanted if name.startswith("zhisuan.") and name not in names} <= {
            name for name in wanted if any(other.startswith(f"{name}.") for other in names)
        }
    assert "zhisuan.engines.ray.node.gang" in names
    assert not list(tmp_path.glob("lib/*.tmp"))
