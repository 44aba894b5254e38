"""Shells beside work through the real gateway and a real tunnel: who gets in, what is carried, and what a hostile sandbox cannot do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_servers import City, Site, eventually
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from zhisuan.base.errors import Conflict, Forbidden, NotFound, Unavailable, ZhisuanError
from zhisuan.base.secrets import digest
from zhisuan.base.shells import ENDED_WITHOUT_STATUS, PAYLOAD_BYTES_MAX, Channel, Frames, frame
from zhisuan.sdk.shell import Shell, shell_url
from zhisuan.wire.gateway import ShellAnswer, ShellRefusal

pytestmark = pytest.mark.anyio
JOB = "job_" + "0" * 25 + "1"
OWNER, STRANGER = "zsk_" + "o" * 40, "zsk_" + "s" * 40
Act = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Sandbox:
    """The other end: what it does with a connection is each test's own."""

    def __init__(self) -> None:
        self.act: Act = self.echo
        self.heard: list[tuple[int, bytes]] = []
        self.gone = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self.act(reader, writer)
        except ConnectionError:
            pass
        finally:
            self.gone += 1
            writer.close()

    async def echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Gives back what is typed, and ends with 7 at the end of it."""
        frames = Frames()
        while data := await reader.read(1 << 16):
            for channel, payload in frames.take(data):
                self.heard.append((channel, payload))
                if channel == Channel.STDIN:
                    writer.write(frame(Channel.STDOUT, payload))
                elif channel == Channel.END:
                    writer.write(frame(Channel.STDERR, b"over") + frame(Channel.EXIT, b"7"))
                    await writer.drain()
                    writer.write_eof()
            await writer.drain()


@pytest.fixture
async def sandbox(bare_city: City, tmp_path: Path) -> AsyncIterator[Sandbox]:
    await bare_city.start(workspace_recheck_seconds=0.2, refused_ttl_seconds=0.05, shells_max=2)
    site = await bare_city.add_site()
    bare_city.control.holders[JOB] = {digest(OWNER)}
    bare_city.control.shells[JOB, 0] = ShellAnswer(lease_id="lse_1", generation=1, site_id="site_1")
    made, path = Sandbox(), tmp_path / "shell.sock"
    server = await asyncio.start_unix_server(made.serve, path=path)
    site.sockets["lse_1/0", 1] = path
    await eventually(lambda: bare_city.inner.hub.reachable("site_1"))
    async with server:
        yield made


def site_of(city: City) -> Site:
    return city.sites["site_1"]


def socket(city: City, place: str = f"{JOB}/0", key: str | None = OWNER) -> Any:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return connect(city.gateway_url.replace("http", "ws", 1) + f"/shells/{place}", additional_headers=headers, proxy=None, max_size=None)


async def refusal(city: City, place: str = f"{JOB}/0", key: str | None = OWNER) -> int:
    with pytest.raises(InvalidStatus) as refused:
        async with socket(city, place, key):
            pass
    return int(refused.value.response.status_code)


async def rest(client: ClientConnection) -> tuple[list[bytes], int | None]:
    found: list[bytes] = []
    try:
        while True:
            found.append(bytes(await client.recv(decode=False)))
    except ConnectionClosed:
        return found, client.close_code


def client_of(city: City, seen: list[bytes], **more: Any) -> Shell:
    async def show(data: bytes) -> None:
        seen.append(data)

    return Shell(shell_url(city.gateway_url, JOB, 0), OWNER, show, **more)


async def test_bytes_go_both_ways_and_the_status_comes_last(sandbox: Sandbox, bare_city: City) -> None:
    seen: list[bytes] = []
    shell = client_of(bare_city, seen, command=["x", "y z"], on_terminal=False)
    data = bytes(range(256)) * 4000
    running = asyncio.create_task(shell.run())
    await shell.feed(data)
    shell.resize(33, 111)
    shell.end()
    assert await running == 7
    assert b"".join(seen) == data + b"over"
    kinds = [channel for channel, _ in sandbox.heard]
    assert kinds[0] == Channel.START and (Channel.SIZE, b"\x00\x21\x00\x6f") in sandbox.heard
    assert bare_city.control.openings == [(JOB, 0)]
    assert site_of(bare_city).tunnel.calls("lse_1", 1) == (0, 0), "a shell is no call to the work: it is no use of it for autostop"


async def test_a_client_that_goes_is_noticed_at_the_site(sandbox: Sandbox, bare_city: City) -> None:
    async with socket(bare_city) as client:
        await client.send(bytes([Channel.STDIN]) + b"x")
        assert await client.recv() == bytes([Channel.STDOUT]) + b"x"
        client.transport.abort()
    await eventually(lambda: sandbox.gone == 1)


async def test_nobody_else_gets_in_and_each_no_is_said(sandbox: Sandbox, bare_city: City) -> None:
    assert await refusal(bare_city, key=None) == 401
    assert await refusal(bare_city, key=STRANGER) == await refusal(bare_city, "job_" + "9" * 26 + "/0") == 404
    for nonsense in (f"{JOB}/x", f"{JOB}/0/more", "..%2f/0", JOB):
        assert await refusal(bare_city, nonsense) == 404
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"{bare_city.gateway_url}/shells/{JOB}/0", headers={"Authorization": f"Bearer {OWNER}"})).status_code == 426
    told = ShellRefusal(status=409, code="workload_waiting", what_en="It waits.", what_zh="等待中。", remedy_en="Wait.", remedy_zh="请稍候。")
    bare_city.control.shells[JOB, 0] = ShellAnswer(refusal=told)
    with pytest.raises(Conflict) as waits:
        await client_of(bare_city, []).run()
    assert (waits.value.code, waits.value.what.zh, waits.value.remedy.en) == ("workload_waiting", "等待中。", "Wait.")
    bare_city.control.down = True
    assert await refusal(bare_city) == 503
    assert sandbox.gone == 0 and bare_city.control.openings == []


async def test_a_site_that_is_away_or_has_no_way_in_is_told_apart(sandbox: Sandbox, bare_city: City) -> None:
    async def code() -> str:
        with pytest.raises(ZhisuanError) as error:
            await client_of(bare_city, []).run()
        return error.value.code

    kept = dict(site_of(bare_city).sockets)
    site_of(bare_city).sockets.clear()
    assert await code() == "no_way_in"
    site_of(bare_city).sockets["lse_1/0", 1] = Path("/nonexistent/socket")
    assert await code() == "no_way_in"
    site_of(bare_city).sockets.update(kept)
    await site_of(bare_city).disconnect()
    await eventually(lambda: not bare_city.inner.hub.reachable("site_1"))
    assert await code() == "site_unreachable"
    assert bare_city.control.openings == [], "what did not stand is not written down as opened"


async def test_what_a_hostile_sandbox_says_is_bounded(sandbox: Sandbox, bare_city: City) -> None:
    said: list[bytes] = [
        b"\x01\xff\xff\xff\xff" + b"x" * 1000,
        frame(Channel.START, b"{}") + frame(Channel.STDIN, b"for the client?") + frame(200, b"?") + frame(Channel.EXIT, b"0"),
        frame(Channel.EXIT, b"999999999999") + frame(Channel.STDOUT, b"\xff\xfe"),
        frame(Channel.STDOUT, b"x" * PAYLOAD_BYTES_MAX),
    ]
    answers = []
    for data in said:

        async def act(_: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes = data) -> None:
            writer.write(data)
            await writer.drain()
            writer.write_eof()

        sandbox.act = act
        async with socket(bare_city) as client:
            answers.append(await rest(client))
    assert answers[0] == ([], 1011)
    assert answers[1] == ([b"\xc8?", bytes([Channel.EXIT]) + b"0"], 1000)
    assert answers[2][1] == 1000 and answers[3] == ([bytes([Channel.STDOUT]) + b"x" * PAYLOAD_BYTES_MAX], ENDED_WITHOUT_STATUS)
    with pytest.raises(Conflict, match="shell is gone"):
        await client_of(bare_city, []).run()
    sandbox.act = lambda _, writer: _say(writer, frame(Channel.EXIT, b"nonsense"))
    assert await client_of(bare_city, []).run() == 255
    sandbox.act = lambda _, writer: _say(writer, frame(Channel.TROUBLE, b"too_many"))
    with pytest.raises(Conflict, match="as many shells"):
        await client_of(bare_city, []).run()


async def _say(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


@pytest.mark.parametrize(
    ("message", "code"),
    [(b"\x01x", 1003), ("text", 1003), (b"", 1003), (bytes([Channel.STDIN]) + b"x" * (PAYLOAD_BYTES_MAX + 1), 1009)],
)
async def test_a_client_that_says_nonsense_is_let_go(sandbox: Sandbox, bare_city: City, message: bytes | str, code: int) -> None:
    async with socket(bare_city) as client:
        await client.send(message)
        assert (await rest(client))[1] == code
    await eventually(lambda: sandbox.gone == 1)


async def test_whoever_may_no_longer_be_there_is_put_out(sandbox: Sandbox, bare_city: City) -> None:
    shell = asyncio.create_task(client_of(bare_city, []).run())
    await eventually(lambda: bool(sandbox.heard))
    bare_city.control.down = True
    await asyncio.sleep(0.6)
    assert not shell.done(), "a server that is away puts nobody out"
    bare_city.control.down = False
    bare_city.control.holders[JOB].clear()
    with pytest.raises(Forbidden):
        await asyncio.wait_for(shell, 10)
    await eventually(lambda: sandbox.gone == 1)


async def test_there_is_a_bound_for_each_work(sandbox: Sandbox, bare_city: City) -> None:
    async with socket(bare_city), socket(bare_city):
        assert await refusal(bare_city) == 429
    await eventually(lambda: sandbox.gone == 2)
    async with socket(bare_city) as client:
        await client.send(bytes([Channel.END]))
        assert (await rest(client))[1] == 1000


async def test_the_loss_of_the_tunnel_is_the_end_of_the_shell(sandbox: Sandbox, bare_city: City) -> None:
    shell = asyncio.create_task(client_of(bare_city, []).run())
    await eventually(lambda: bool(sandbox.heard))
    await site_of(bare_city).disconnect()
    with pytest.raises(Unavailable, match="is lost"):
        await asyncio.wait_for(shell, 10)
    await eventually(lambda: sandbox.gone == 1)


async def test_a_platform_without_shells_says_so(bare_city: City) -> None:
    await bare_city.start()
    shell = Shell(f"{bare_city.gateway_url}/v2/{JOB}/0", OWNER, lambda _: asyncio.sleep(0))
    with pytest.raises(NotFound, match="no shells"):
        await shell.run()
