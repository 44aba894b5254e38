"""Idle work and a stop's hook, by the real agent and the real engine."""

from collections.abc import Callable

from agent_process import AgentProcess, offer
from control_server import ControlServer, assert_tiled, windows_of

AgentFactory = Callable[..., AgentProcess]
ONE = ("lea_one", 1)


def test_work_that_nobody_uses_ends_as_idle(server: ControlServer, agents: AgentFactory) -> None:
    agents().start()
    server.offer(offer(ONE[0], "trap 'echo told; exit 0' TERM; while :; do sleep 0.2; done", idle_seconds=4, on_stop="echo hook"))
    end = server.wait_complete(ONE)
    assert (end.reason, end.message) == ("idle", "Nobody used it for 4 seconds.")
    assert {b"told", b"hook"} <= set(server.seen.logs[ONE].split(b"\n"))
    assert_tiled(windows_of(server.seen, ONE), end)
