"""Seeded scenarios: real services, routes and agents, with faults at every kind of moment, judged after each.

A seed that fails prints all that was drawn and all that happened, and does the same again in any process.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fault_city import play, told

from zhisuan.testing.city import draw
from zhisuan.testing.city.city import People
from zhisuan.testing.database import TestServer

BLOCK = 10
FAST = range(1)
SLOW = range(1, int(os.environ.get("ZHISUAN_FAULT_BLOCKS", "30")))


@pytest.mark.parametrize("block", [*FAST, *(pytest.param(b, marks=pytest.mark.slow) for b in SLOW)])
def test_seeds(block: int, postgres: TestServer, people: People, tmp_path: Path) -> None:
    orders = ran = 0
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        scenario = draw(seed)
        found, problems = play(scenario, postgres, people, tmp_path / str(seed))
        assert not problems, told(scenario, found, problems)
        orders += len(found.ordered)
        ran += len({run.workload_id for run in found.runs.values()})
    assert ran > orders / 2, "most orders never ran: these scenarios prove little"


def test_a_seed_does_the_same_again(postgres: TestServer, people: People, tmp_path: Path) -> None:
    first, _ = play(draw(7), postgres, people, tmp_path / "first")
    second, _ = play(draw(7), postgres, people, tmp_path / "second")
    assert first.story == second.story


ELSEWHERE = """
import sys, tempfile
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from fault_city import build_template, play
from zhisuan.testing.city import draw
from zhisuan.testing.database import TestServer
server = TestServer(Path(sys.argv[2]))
try:
    found, problems = play(draw(11), server, build_template(server), Path(sys.argv[2]) / "city")
finally:
    server.stop()
print("\\n".join(found.story))
"""


@pytest.mark.slow
def test_a_seed_does_the_same_in_another_process(tmp_path: Path) -> None:
    """Also where sets and dictionaries of texts have another order."""
    stories = []
    for hash_seed in ("1", "2"):
        folder = tmp_path / hash_seed
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", ELSEWHERE, str(Path(__file__).parent), str(folder)],
            capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )  # fmt: skip
        stories.append(done.stdout)
    assert stories[0] == stories[1] and stories[0]
