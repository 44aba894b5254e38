"""The terminals that a shell workspace runs, as a process of their own, with the client that people use."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

import zhisuan.workload.programs.terminals as program
from zhisuan.sdk.terminal import Terminal

pytestmark = pytest.mark.anyio
TOKEN = "zsw_test"
BASE = "/workspaces/wsp_1/"
KEY = {"Authorization": f"token {TOKEN}"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The address of a server that was handed to Python as text, as a site gets it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8", "ZHISUAN_WORKSPACE_TOKEN": TOKEN,
        "ZHISUAN_WORKSPACE_PATH": BASE, "ZHISUAN_SERVICE_PORT": str(port),
    }  # fmt: skip
    with Path(program.__file__).open("rb") as text:
        # As from an agent that was started in the background, which makes all below it ignore Ctrl-C.
        process = subprocess.Popen(
            ["/bin/sh", "-c", 'trap "" INT QUIT; exec "$0" -I -', sys.executable], stdin=text, stdout=subprocess.PIPE, env=environment, cwd=tmp_path
        )
    assert process.stdout is not None and b"ready" in process.stdout.readline()
    here = f"http://127.0.0.1:{port}{BASE}".rstrip("/")
    for _ in range(200):
        with contextlib.suppress(httpx.TransportError):
            httpx.get(here + "/api", trust_env=False)
            break
    try:
        yield here
    finally:
        process.kill()
        process.communicate()


@dataclass
class Screen:
    """What a person would have seen."""

    text: str = ""
    stands: list[bool] = field(default_factory=list)
    pace: Callable[[], float] = lambda: 0.0

    async def show(self, text: str) -> None:
        self.text += text
        if self.pace():
            await asyncio.sleep(self.pace())

    async def until(self, *words: str, seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while not all(word in self.text for word in words):
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def terminal(url: str, name: str = "1", screen: Screen | None = None):  # type: ignore[no-untyped-def]
    screen = screen or Screen()
    made = Terminal(url, TOKEN, name, screen.show, screen.stands.append)
    running = asyncio.create_task(made.run())
    try:
        yield made, screen, running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_nobody_without_the_token_gets_a_terminal(url: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(url + "/api")).status_code == 200, "the readiness probe needs none"
        for headers in ({}, {"Authorization": "token wrong"}, {"Authorization": f"token {TOKEN}x"}):
            for method, path in (("GET", "/api/terminals"), ("POST", "/api/terminals"), ("GET", "/terminals/websocket/1")):
                assert (await http.request(method, url + path, headers=headers)).status_code == 403
        assert (await http.get(url + "/api/terminals", headers=KEY)).json() == []
        assert (await http.get(url + "/api/terminals/1", headers=KEY)).status_code == 404
        for name in ("../x", "a b", "x" * 33, "é"):
            assert (await http.post(url + "/api/terminals", headers=KEY, json={"name": name})).status_code == 400
        assert (await http.post(url + "/api/terminals", headers=KEY, content=b"x" * 5000)).status_code == 413
        for number in range(program.TERMINALS_MAX):
            assert (await http.post(url + "/api/terminals", headers=KEY, json={"name": f"t{number}"})).status_code == 200
        assert (await http.post(url + "/api/terminals", headers=KEY)).status_code == 429


async def test_a_shell_does_what_is_typed_and_says_how_it_ended(url: str) -> None:
    async with terminal(url) as (made, screen, running):
        made.resize(33, 111)
        made.type("stty size; echo 你好 $((40+2)); env | grep -c ZHISUAN_WORKSPACE_TOKEN\r")
        await screen.until("33 111", "你好 42", "\n0\r")
        made.type("sh -c 'echo sleep''ing; exec sleep 60'\r")
        await screen.until("sleeping")
        made.type("\x03")
        made.type("echo status=$?\r")
        await screen.until("status=130")
        made.type("exit 7\r")
        assert await asyncio.wait_for(running, 20) == 7
    async with terminal(url) as (made, screen, running):
        made.type("kill -9 $$\r")
        assert await asyncio.wait_for(running, 20) == 128 + 9


async def test_a_shell_goes_on_without_anybody_and_shows_its_last_output(url: str) -> None:
    async with terminal(url) as (made, screen, _):
        made.type("for i in 1 2 3; do sleep 0.2; echo step-$i; done; seq 200000 | tail -1; seq -w 90000; echo at-the-''end\r")
        await screen.until("step-1")
    async with terminal(url) as (made, screen, _):
        await screen.until("at-the-end", seconds=60)
    async with terminal(url) as (made, screen, _):
        await screen.until("at-the-end")
        assert len(screen.text) <= program.REPLAY_CHARACTERS + program.READ_BYTES + 4096


async def test_two_people_see_the_same_and_the_slowest_sets_the_pace(url: str) -> None:
    slow = Screen(pace=lambda: 0.01)
    async with terminal(url) as (made, quick, _), terminal(url, screen=slow):
        made.type("echo first-$((0+1))\r")
        await slow.until("first-1")
        made.type("seq 100000; echo all-''done\r")
        await quick.until("all-done", seconds=60)
        await slow.until("all-done", seconds=60)
        assert quick.text.count("99999") == slow.text.count("99999") == 1


async def test_bytes_of_a_letter_may_come_apart_and_what_is_no_text_is_replaced(url: str) -> None:
    async with terminal(url) as (made, screen, _):
        made.type(r"printf '\346\261'; sleep 0.3; printf '\211\n'; printf '\377'; echo over" + "\r")
        await screen.until("汉", "\ufffdover")


@pytest.mark.parametrize(
    "sent", [b"\x81\x01x", b"\xf1\x81aaaax", b"\x81\xff" + (1 << 40).to_bytes(8, "big"), b"not a frame at all"]
)
async def test_a_client_that_breaks_the_protocol_is_let_go(url: str, sent: bytes) -> None:
    httpx.post(url + "/api/terminals", headers=KEY, json={"name": "1"}, trust_env=False)
    host, _, port = url.removeprefix("http://").partition("/")[0].partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"GET {BASE}terminals/websocket/1 HTTP/1.1\r\nAuthorization: token {TOKEN}\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: x\r\n\r\n".encode() + sent
    )
    async with asyncio.timeout(10):
        assert b"101" in await reader.read(65536)
        writer.write_eof()
        while await reader.read(65536):
            pass
    writer.close()
    async with terminal(url) as (made, screen, _):
        made.type("echo still-''here\r")
        await screen.until("still-here")


async def test_words_that_mean_nothing_are_ignored_and_no_json_ends_the_talk(url: str) -> None:
    httpx.post(url + "/api/terminals", headers=KEY, json={"name": "1"}, trust_env=False)
    async with connect(url.replace("http", "ws") + "/terminals/websocket/1", additional_headers=KEY, proxy=None) as talk:
        for said in ('["set_size", 0, -1]', '["set_size", "a", 1]', '["nothing"]', "{}", '["stdin", 5]', '["resize", 1, 2]'):
            await talk.send(said)
        await talk.send('["stdin", "echo go-\'\'on\\r"]')
        while "go-on" not in str(await asyncio.wait_for(talk.recv(), 10)):
            pass
        await talk.send("no json")
        with contextlib.suppress(ConnectionClosed):
            async for _ in talk:
                pass
        assert talk.close_code == 1007
