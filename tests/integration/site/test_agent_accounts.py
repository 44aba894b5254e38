"""The agent asks the engine for its own account of what has ended, keeps it, and sends it until the server has it."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta

from agent_process import AgentProcess, offer
from aiohttp import web
from control_server import ControlServer, problem

AgentFactory = Callable[..., AgentProcess]
ONE = ("lea_one", 1)


def kept(agent: AgentProcess) -> int:
    with closing(sqlite3.connect(agent.data_dir / "journal.db")) as journal:
        found: int = journal.execute("SELECT count(*) FROM account").fetchone()[0]
    return found


def test_the_account_of_an_ended_run_agrees_and_is_told_once(server: ControlServer, agents: AgentFactory) -> None:
    agent = agents().start()
    server.offer(offer(ONE[0], "sleep 1.2"))
    end = server.wait_complete(ONE)
    (account,) = server.wait("the account", lambda seen: seen.accounts[ONE])
    assert (account.source, account.state, account.nodes) == ("supervisor", "completed", 1)
    assert end.started_at is not None
    assert end.ended_at is not None
    second = timedelta(seconds=1)
    assert end.started_at <= account.started_at <= end.started_at + second
    assert abs(account.elapsed_milliseconds - (account.ended_at - account.started_at) / timedelta(milliseconds=1)) <= 1
    assert abs(account.ended_at - end.ended_at) <= 2 * second
    agent.wait_gone(ONE)
    assert kept(agent) == 0


def test_an_account_the_server_did_not_hear_of_is_told_by_the_next_agent(
    server: ControlServer, agents: AgentFactory
) -> None:
    agent = agents().start()

    def away(request: web.Request) -> web.Response | None:
        return problem(503, "unavailable", "later") if request.path == "/wire/v1/accounts" else None

    server.faults.append(away)
    server.offer(offer(ONE[0], "sleep 0.5"))
    server.wait_complete(ONE)
    agent.wait_gone(ONE)
    assert kept(agent) == 1
    agent.kill()
    server.faults.remove(away)
    agent.start()
    assert server.wait("the account", lambda seen: seen.accounts[ONE])[0].state == "completed"


def test_a_server_that_knows_no_accounts_holds_up_nothing(server: ControlServer, agents: AgentFactory) -> None:
    agent = agents().start()
    server.faults.append(
        lambda request: problem(404, "not_found", "no such call") if request.path == "/wire/v1/accounts" else None
    )
    server.offer(offer(ONE[0], "true"))
    server.wait_complete(ONE)
    agent.wait_gone(ONE)


def test_work_that_never_began_has_no_account(server: ControlServer, agents: AgentFactory) -> None:
    agent = agents().start()
    server.offer(offer(ONE[0], "true", workdir_blob="blb_missing"))
    server.wait_complete(ONE)
    agent.wait_gone(ONE)
    assert server.seen.accounts == {}
