"""Secrets reach the work through the agent, which keeps them nowhere; without them the work does not start."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from agent_process import AgentProcess, offer
from aiohttp import web
from control_server import ControlServer, problem

from zhisuan.wire.site import LeasePhase

AgentFactory = Callable[..., AgentProcess]
ONE, TWO = ("lea_one", 1), ("lea_two", 1)
VALUE = "value-that-is-nowhere-else"


def holding(folder: Path) -> list[Path]:
    """The files below that hold the value; what goes away meanwhile holds nothing."""
    found = []
    for path in (Path(at, name) for at, _, names in os.walk(folder) for name in names):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and VALUE.encode() in path.read_bytes():
                found.append(path)
    return found


def test_they_are_asked_for_at_the_start_and_not_kept(server: ControlServer, agents: AgentFactory) -> None:
    away = [True, True]

    def fault(request: web.Request) -> web.StreamResponse | None:
        return problem(503, "away", "Come back.") if "/secrets/" in request.path and away and away.pop() else None

    server.faults.append(fault)
    server.secrets[ONE[0]] = {"TOKEN": VALUE}
    agent = agents().start()
    server.offer(offer(ONE[0], 'echo "${#TOKEN} $PLAIN"; sleep 2', secrets=["TOKEN"], env={"PLAIN": "seen"}))
    server.wait_phase(ONE, LeasePhase.running)
    server.wait("its output", lambda seen: seen.logs.get(ONE))
    assert [path for path in holding(agent.data_dir) if "engine" not in path.parts] == [], "no file of the agent itself"
    end = server.wait_complete(ONE)
    assert (end.reason, server.seen.logs[ONE]) == ("completed", f"{len(VALUE)} seen\n".encode()) and not away
    assert VALUE not in agent.log
    server.wait("it to be gone with the run", lambda _: not holding(agent.data_dir))


def test_work_whose_secrets_are_refused_does_not_start(server: ControlServer, agents: AgentFactory) -> None:
    agents().start()
    server.offer(offer(TWO[0], "echo started", secrets=["TOKEN"]))
    end = server.wait_complete(TWO)
    assert end.reason == "start_failed" and "secrets" in (end.message or "") and not server.seen.logs.get(TWO)
