"""A real agent that loses its server: after the term of a lease the work is ended, and told as ended for that reason."""

from collections.abc import Callable

from agent_process import AgentProcess, offer
from aiohttp import web
from control_server import ControlServer, assert_tiled, problem, windows_of

AgentFactory = Callable[..., AgentProcess]
TERM_SECONDS = 5


def test_work_ends_after_the_term_and_other_work_goes_on(server: ControlServer, agents: AgentFactory) -> None:
    # The engine is told every two seconds that the agent lives, well within the term.
    agent = agents(engine={"allow_unisolated": True, "orphan_grace_seconds": 8}).start()
    short, long = ("lea_short", 1), ("lea_long", 1)
    server.offer(offer(short[0], "echo up; sleep 600", term_seconds=TERM_SECONDS, grace_seconds=1))
    server.offer(offer(long[0], "echo up; sleep 600", term_seconds=7200, grace_seconds=1))
    for key in (short, long):
        server.wait("the work runs", lambda seen, key=key: any(r.started_at for _, r in seen.reports[key]))

    def away(_: web.Request) -> web.StreamResponse:
        return problem(503, "unavailable", "Not now.")

    server.faults.append(away)
    runs = agent.data_dir / "engine" / "runs"
    server.wait("the short one is over", lambda seen: list((runs / short[0]).rglob("exit")))
    assert not list((runs / long[0]).rglob("exit"))
    server.faults.clear()
    end = server.wait_complete(short)
    assert (end.reason, end.exit_code) == ("orphaned", None)
    assert "could not be reached" in (end.message or "")
    assert end.started_at is not None
    assert end.ended_at is not None
    assert TERM_SECONDS - 1 <= (end.ended_at - end.started_at).total_seconds() <= TERM_SECONDS + 30
    assert_tiled(windows_of(server.seen, short), end)
    server.withdraw(long)
    assert server.wait_complete(long).reason == "cancelled"
