"""kill -9 of the gateway: whatever a client received whole is billed, once; what was cut off is billed as far as known."""

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from gateway_servers import GATEWAY_CREDENTIAL, KEY, City, eventually

pytestmark = pytest.mark.anyio
HERE = Path(__file__).parent
SOURCE = HERE.parents[2] / "src"
ASK = [{"role": "user", "content": "hello"}]


class GatewayProcess:
    """A gateway on one port and one journal, started and killed as often as the test likes."""

    def __init__(self, config: dict[str, Any]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._config = config
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(HERE / "run_gateway.py"),
            str(self.port),
            json.dumps(self._config),
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
        )
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            while not await self._ready(session):
                assert self._process.returncode is None, "the gateway ended by itself"
                await asyncio.sleep(0.02)

    async def _ready(self, session: aiohttp.ClientSession) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with session.get(self.url + "/ready") as answer:
                return answer.status == 200
        return False

    async def end(self, how: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(how)
        return await process.wait()


@pytest.fixture
async def crashing(bare_city: City) -> AsyncIterator[GatewayProcess]:
    """A gateway process; the city's own gateway is set aside, its control server and sites are used."""
    await bare_city.start()
    process = GatewayProcess(
        {
            "server_url": bare_city.control_url,
            "credential": GATEWAY_CREDENTIAL,
            "gateway_name": "gw-crash",
            "journal_path": str(bare_city.folder / "crash" / "usage.db"),
            "ship_interval_seconds": 0.05,
            "checkpoint_seconds": 0.05,
        }
    )
    await process.start()
    bare_city.gateway_url = process.url
    yield process
    await process.end(signal.SIGKILL)


async def _serve(city: City) -> None:
    site = await city.add_site()
    await city.add_service(site, "lea_1")
    await city.route(("site_1", "lea_1"))


async def _call(city: City, session: aiohttp.ClientSession, pieces: int, stream: bool) -> str | None:
    """The call's id, if and only if the whole answer arrived."""
    body = {"model": "guide", "messages": ASK, "stream": stream, "metadata": {"pieces": pieces, "pause": 0.001}}
    try:
        async with session.post(city.gateway_url + "/v1/chat/completions", json=body) as answer:
            text = await answer.text()
    except aiohttp.ClientError:
        return None
    whole = text.endswith("data: [DONE]\n\n") if stream else answer.status == 200
    return answer.headers["x-request-id"] if answer.status == 200 and whole else None


def _journal_is_empty(city: City) -> bool:
    with contextlib.closing(sqlite3.connect(f"file:{city.folder}/crash/usage.db?mode=ro", uri=True)) as journal:
        return journal.execute("SELECT count(*) FROM usage").fetchone() == (0,)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
async def test_killing_the_gateway_at_any_moment_loses_and_doubles_nothing(
    bare_city: City, crashing: GatewayProcess, seed: int
) -> None:
    city = bare_city
    chance = random.Random(seed)
    await _serve(city)
    received: dict[str, int] = {}
    stopping = asyncio.Event()

    async def visitor() -> None:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:
            while not stopping.is_set():
                pieces = chance.randint(1, 6)
                ident = await _call(city, session, pieces, stream=chance.random() < 0.7)
                if ident is not None:
                    received[ident] = pieces
                else:
                    await asyncio.sleep(0.02)

    visitors = [asyncio.create_task(visitor()) for _ in range(6)]
    for _ in range(4):
        enough = len(received) + chance.randint(20, 60)
        await eventually(lambda enough=enough: len(received) >= enough, seconds=60)
        city.control.drop_usage_answers = chance.randint(0, 1)
        await crashing.end(signal.SIGKILL)
        await crashing.start()
    stopping.set()
    await asyncio.gather(*visitors)
    await eventually(lambda: set(received) <= set(city.control.usage), seconds=30)
    assert await crashing.end(signal.SIGTERM) in (0, -signal.SIGTERM)
    assert _journal_is_empty(city)
    for ident, pieces in received.items():
        usage = city.control.usage[ident]
        assert (usage.outcome, usage.input_tokens, usage.output_tokens) == ("completed", 11, pieces)
    # A call nobody received whole is there at most as what it was: finished without a witness, or cut off.
    unseen = [usage for ident, usage in city.control.usage.items() if ident not in received]
    assert len(unseen) <= 4 * len(visitors)


async def test_a_stream_cut_off_by_a_crash_is_billed_as_far_as_it_was_kept(
    bare_city: City, crashing: GatewayProcess
) -> None:
    city = bare_city
    await _serve(city)
    body = {"model": "guide", "messages": ASK, "stream": True, "metadata": {"pieces": 100_000, "pause": 0.005}}
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session,
        session.post(city.gateway_url + "/v1/chat/completions", json=body) as answer,
    ):
        ident = answer.headers["x-request-id"]
        pieces = 0
        while pieces < 100:
            pieces += b'"content":"w' in await answer.content.readline()
        await crashing.end(signal.SIGKILL)
    assert city.control.usage == {}
    await crashing.start()
    (usage,) = await city.usage()
    assert (usage.id, usage.outcome, usage.estimated) == (ident, "upstream_failed", True)
    # Checkpoints are 50 ms apart and pieces 5 ms: at least half of what was seen is known, however slow the machine.
    assert 50 <= usage.output_tokens <= 100_000
