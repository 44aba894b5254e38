"""Agents killed at any moment, answers that never arrive, a server that fails: each job runs once and is told whole."""

import random
import time
from collections.abc import Callable

import pytest
from agent_process import AgentProcess, offer
from aiohttp import web
from control_server import ControlServer, Key, assert_tiled, problem, windows_of

from zhisuan.wire.site import LeaseOffer

AgentFactory = Callable[..., AgentProcess]

LINES = 25
SCRIPT = f"""
    echo x >> "$ZHISUAN_ARTIFACTS/starts"
    for i in $(seq 1 {LINES}); do echo line $i; sleep 0.1; done
    head -c 3000000 /dev/zero | tr '\\0' 'z' > "$ZHISUAN_ARTIFACTS/big"
    exit 7
"""
LOG = "".join(f"line {i}\n" for i in range(1, LINES + 1)).encode()


def assert_whole(server: ControlServer, key: Key) -> None:
    """What one job must have left at the server, however the way there was."""
    end = server.wait_complete(key, 120)
    assert (end.reason, end.exit_code) == ("failed", 7)
    assert server.seen.logs[key] == LOG
    assert server.seen.artefacts[key] == {"starts": b"x\n", "big": b"z" * 3_000_000}
    assert_tiled(windows_of(server.seen, key), end)


SLOW = pytest.mark.slow


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=SLOW), pytest.param(3, marks=SLOW)])
def test_kill_the_agent_again_and_again(server: ControlServer, agents: AgentFactory, seed: int) -> None:
    chance = random.Random(seed)
    agent = agents().start()
    keys: list[Key] = [(f"lea_{seed}{letter}", 1) for letter in "abc"]
    waiting = [offer(key[0], SCRIPT) for key in keys]
    server.wait("inventory", lambda seen: seen.inventories)
    told = 0
    for number in range(14):
        if waiting and number % 2 == 0:
            server.offer(waiting.pop())
        # Some die before they have read their journal, some in the middle of a start, some while they deliver.
        time.sleep(chance.choice([0.0, 0.02, 0.3, 0.6, 0.65, 0.7, 0.8, 1.2]))
        agent.kill()
        told = len(server.seen.inventories)
        agent.start()
    for key in keys:
        assert_whole(server, key)
    server.wait("the last start", lambda seen: len(seen.inventories) > told)
    assert agent.stop() == 0
    print("seed", seed, "windows replayed", server.seen.replayed_windows, "uploads", len(server.seen.uploads))


@pytest.mark.parametrize("seed", [11, pytest.param(12, marks=SLOW)])
def test_kill_the_agent_just_after_each_thing_it_says(server: ControlServer, agents: AgentFactory, seed: int) -> None:
    """The server has taken a message and the agent dies before it can note that: the worst moment for doubling."""
    chance = random.Random(seed)
    agent = agents()
    kills: list[str] = []

    def after(request: web.Request) -> None:
        what = request.path.split("/")[3]
        if len(kills) < 12 and what != "join" and (kills.count(what) < 3) and chance.random() < 0.5:
            kills.append(what)
            agent.kill()

    server.after.append(after)
    agent.start()
    key = (f"lea_{seed}", 1)
    server.offer(offer(key[0], SCRIPT))
    deadline = time.monotonic() + 600
    while not any(r.complete for _, r in server.seen.reports[key]):
        assert time.monotonic() < deadline
        if agent.process is not None and agent.process.poll() is not None:
            agent.start()
        time.sleep(0.01)
    assert_whole(server, key)
    assert len(kills) >= 4
    print("killed after", kills)


def test_kill_the_agent_in_the_middle_of_an_upload(server: ControlServer, agents: AgentFactory) -> None:
    """The head of a part has come and not its body: half a part counts as none, and it is sent again."""
    agent = agents()
    kills: list[str] = []

    def during(request: web.Request) -> web.StreamResponse | None:
        if request.method == "PUT" and len(kills) < 2:
            kills.append(request.query["artefact"])
            agent.kill()
        return None

    server.faults.append(during)
    agent.start()
    key = ("lea_upload", 1)
    server.offer(offer(key[0], "head -c 40000000 /dev/zero | tr '\\0' 'u' > \"$ZHISUAN_ARTIFACTS/big\""))
    deadline = time.monotonic() + 240
    while not any(r.complete for _, r in server.seen.reports[key]):
        assert time.monotonic() < deadline
        if agent.process is not None and agent.process.poll() is not None:
            agent.start()
        time.sleep(0.02)
    assert kills == ["big", "big"]
    assert server.seen.artefacts[key] == {"big": b"u" * 40_000_000}
    assert server.wait_complete(key).reason == "completed"


def test_answers_that_fail_or_never_arrive(server: ControlServer, agents: AgentFactory) -> None:
    chance = random.Random(5)

    def sometimes(request: web.Request) -> web.StreamResponse | None:
        fate = chance.random()
        if fate < 0.2:
            return problem(503, "unavailable", "Not now.")
        if fate < 0.3 and request.transport is not None:
            request.transport.abort()
        return None

    def cut_answer(request: web.Request) -> None:
        if chance.random() < 0.2 and request.transport is not None:
            request.transport.abort()

    agents().start()
    server.wait("inventory", lambda seen: seen.inventories)
    server.faults.append(sometimes)
    server.after.append(cut_answer)
    keys: list[Key] = [(f"lea_{letter}", 1) for letter in "ab"]
    for key in keys:
        server.offer(offer(key[0], SCRIPT))
    for key in keys:
        assert_whole(server, key)


def test_a_stop_that_meets_a_start_cut_short(server: ControlServer, agents: AgentFactory) -> None:
    """Killed at the moment of starting, and no longer wanted when it comes back: it never stays running unseen."""
    chance = random.Random(3)
    agent = agents().start()
    server.wait("inventory", lambda seen: seen.inventories)
    for number in range(4):
        key = (f"lea_cut{number}", 1)
        server.offer(offer(key[0], "sleep 600", grace_seconds=0))
        runs = agent.data_dir / "engine" / "runs" / key[0]
        deadline = time.monotonic() + 60
        while not runs.exists() and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(chance.choice([0.0, 0.005, 0.02, 0.05]))
        agent.kill()
        server.withdraw(key)
        agent.start()
        end = server.wait_complete(key)
        assert end.reason == "cancelled"
        server.wait("the run is gone", lambda seen, runs=runs: not runs.exists())


@SLOW
def test_the_last_minute_and_the_ones_before(server: ControlServer, agents: AgentFactory) -> None:
    """Over a minute's border with kills on both sides of it."""
    agent = agents().start()
    server.wait("inventory", lambda seen: seen.inventories)
    left = 60 - time.time() % 60
    key = ("lea_long", 1)
    server.offer(_long(key, left + 5))
    time.sleep(left + 2.3)
    agent.kill()
    agent.start()
    end = server.wait_complete(key, 90)
    windows = windows_of(server.seen, key)
    assert len(windows) >= 2
    assert_tiled(windows, end)


def _long(key: Key, seconds: float) -> LeaseOffer:
    return offer(key[0], f"sleep {seconds:.1f}")
