"""What the gateway and the tunnel cost, beside the same calls made to the model server directly, in one run.

    python bench/gateway.py [--seconds 3] [--rounds 3]

Five processes on loopback: the model server (bare ASGI on a unix socket, so that it is not what is measured), a control
server, the gateway with metering on (SQLite, ``synchronous=FULL``), a site with its tunnel, and the client (aiohttp).
Rounds alternate between direct and gateway; medians over rounds are printed as JSON. Every answer is checked, and at
the end the usage that reached the control server must equal the calls made.
"""

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import uvicorn
import uvloop

CREDENTIALS = {"gateway": "zsg_bench", "site": "zss_bench", "key": "zsk_" + "b" * 40}
CHUNKS = 20
ANSWER = {
    "id": "c1", "object": "chat.completion", "created": 1, "model": "up",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "word " * CHUNKS}}],
    "usage": {"prompt_tokens": 12, "completion_tokens": CHUNKS, "total_tokens": 12 + CHUNKS},
}  # fmt: skip
WHOLE = json.dumps(ANSWER).encode()


def _event(choices: list[Any], **more: Any) -> bytes:
    shown = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": choices, **more}
    return b"data: " + json.dumps(shown).encode() + b"\n\n"


STREAM = [
    *(_event([{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]) for _ in range(CHUNKS)),
    _event([{"index": 0, "delta": {}, "finish_reason": "stop"}]),
    _event([], usage=ANSWER["usage"]) + b"data: [DONE]\n\n",
]


async def model_server(scope: Any, receive: Any, send: Any) -> None:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    stream = b'"stream":true' in body
    kind = b"text/event-stream" if stream else b"application/json"
    headers = [(b"content-type", kind)] + ([] if stream else [(b"content-length", b"%d" % len(WHOLE))])
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if not stream:
        await send({"type": "http.response.body", "body": WHOLE})
        return
    for part in STREAM:
        await send({"type": "http.response.body", "body": part, "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b""})


class ControlServer:
    """Says yes to the three credentials, routes one model, and counts the usage it is sent."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.output_tokens = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        answer = await self._answer(scope["path"].rpartition("/")[2], json.loads(body or b"{}"))
        shown = json.dumps(answer).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(shown))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": shown})

    async def _answer(self, call: str, question: dict[str, Any]) -> dict[str, Any]:
        if call == "authorise":
            return {"valid": True, "key_id": "key_1", "org_id": "org_1"}
        if call == "site":
            return {"valid": True, "site_id": "site_1"}
        if call == "routes":
            if question.get("known_version"):
                await asyncio.sleep(min(1, question["wait_seconds"]))
            replica = {"lease_id": "lea_1", "generation": 1, "site_id": "site_1", "ready": True}
            route = {"deployment_id": "dep_1", "org_id": "org_1", "model": "guide", "upstream_model": "up", "version": "1",
                     "created": datetime(2026, 11, 1, tzinfo=UTC).isoformat(), "replicas": [replica]}  # fmt: skip
            return {"version": "1", "routes": [route]}
        if call == "usage":
            for event in question["events"]:
                if event["id"] not in self.seen:
                    self.seen.add(event["id"])
                    self.output_tokens += event["output_tokens"]
            return {"accepted": len(question["events"])}
        return {"calls": len(self.seen), "output_tokens": self.output_tokens}


def part(name: str, folder: Path, ports: dict[str, int]) -> None:
    """The body of one of the child processes."""
    if name == "model":
        uvicorn.run(model_server, uds=str(folder / "model.sock"), access_log=False, log_level="warning", lifespan="off")
    elif name == "control":
        uvicorn.run(
            ControlServer(),
            host="127.0.0.1",
            port=ports["control"],
            access_log=False,
            log_level="warning",
            lifespan="off",
        )
    elif name == "gateway":
        from zhisuan.gateway.app import serve
        from zhisuan.gateway.config import GatewayConfig

        config = GatewayConfig.model_validate(
            {
                "server_url": f"http://127.0.0.1:{ports['control']}",
                "credential": CREDENTIALS["gateway"],
                "gateway_name": "bench",
                "journal_path": folder / "usage.db",
                "calls_per_key_max": 1_000,
            }
        )
        uvloop.run(serve(config, "127.0.0.1", ports["gateway"]))
    else:
        from zhisuan.site.tunnel import Tunnel

        address = f"http://127.0.0.1:{ports['gateway']}"
        uvloop.run(Tunnel(address, CREDENTIALS["site"], lambda _, __: folder / "model.sock").run())


@dataclass
class Round:
    latencies: list[float] = field(default_factory=list)
    first_bytes: list[float] = field(default_factory=list)
    seconds: float = 0.0


async def drive(
    session: aiohttp.ClientSession, url: str, model: str, *, stream: bool, connections: int, seconds: float
) -> Round:
    body = json.dumps(
        {"model": model, "messages": [{"role": "user", "content": "where to"}], **({"stream": True} if stream else {})},
        separators=(",", ":"),
    ).encode()
    done = Round()
    ends = time.perf_counter() + seconds

    async def worker() -> None:
        while (begun := time.perf_counter()) < ends:
            async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
                first = await answer.content.readany()
                done.first_bytes.append(time.perf_counter() - begun)
                text = first + await answer.content.read()
            assert answer.status == 200, text
            assert text.count(b"word") == CHUNKS if not stream else text.endswith(b"data: [DONE]\n\n"), text
            done.latencies.append(time.perf_counter() - begun)

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(connections)))
    done.seconds = time.perf_counter() - started
    return done


def summary(rounds: list[Round], cpu_seconds: dict[str, float]) -> dict[str, float]:
    calls = sum(len(r.latencies) for r in rounds)

    def quantile(values: str, share: float) -> float:
        return statistics.median(sorted(getattr(r, values))[int(share * (len(getattr(r, values)) - 1))] for r in rounds)

    return {
        "calls": calls,
        "calls_per_s": round(statistics.median(len(r.latencies) / r.seconds for r in rounds), 1),
        "p50_ms": round(quantile("latencies", 0.5) * 1e3, 3),
        "p99_ms": round(quantile("latencies", 0.99) * 1e3, 3),
        "first_byte_p50_ms": round(quantile("first_bytes", 0.5) * 1e3, 3),
        **{f"{name}_cpu_ms_per_call": round(spent / calls * 1e3, 3) for name, spent in cpu_seconds.items()},
    }


async def measure(
    folder: Path, ports: dict[str, int], processes: dict[str, psutil.Process], seconds: float, rounds: int
) -> dict[str, Any]:
    path = "/v1/chat/completions"
    key = {"Authorization": f"Bearer {CREDENTIALS['key']}"}
    report: dict[str, Any] = {}
    calls = tokens = 0
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(folder / "model.sock"), limit=0)) as direct,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=key) as through,
    ):
        base = f"http://127.0.0.1:{ports['gateway']}"
        await _until_served(through, base)
        ways = {"direct": (direct, "http://model" + path, "up"), "gateway": (through, base + path, "guide")}
        calls, tokens = 1, CHUNKS
        for name, stream, connections in (
            ("plain_1", False, 1),
            ("plain_32", False, 32),
            ("stream_1", True, 1),
            ("stream_32", True, 32),
        ):
            kept: dict[str, list[Round]] = {way: [] for way in ways}
            spent = dict.fromkeys(processes, 0.0)
            for turn in range(rounds + 1):
                for way, (session, url, model) in ways.items():
                    before = {who: sum(process.cpu_times()[:2]) for who, process in processes.items()}
                    length = seconds if turn else 0.5
                    result = await drive(session, url, model, stream=stream, connections=connections, seconds=length)
                    if way == "gateway":
                        calls += len(result.latencies)
                        tokens += CHUNKS * len(result.latencies)
                    if not turn:
                        continue  # the first, short round only warms up
                    kept[way].append(result)
                    if way == "gateway":
                        for who, process in processes.items():
                            spent[who] += sum(process.cpu_times()[:2]) - before[who]
            direct_sum, gateway_sum = summary(kept["direct"], {}), summary(kept["gateway"], spent)
            report[name] = {
                "direct": direct_sum,
                "gateway": gateway_sum,
                "added_p50_ms": round(gateway_sum["p50_ms"] - direct_sum["p50_ms"], 3),
                "throughput_ratio": round(gateway_sum["calls_per_s"] / direct_sum["calls_per_s"], 3),
            }
        report["usage"] = await _usage(through, ports["control"], calls, tokens)
    report["gateway_rss_mib"] = round(processes["gateway"].memory_info().rss / 2**20, 1)
    return report


async def _until_served(session: aiohttp.ClientSession, base: str) -> None:
    body = {"model": "guide", "messages": []}
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.post(base + "/v1/chat/completions", json=body) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)


async def _usage(session: aiohttp.ClientSession, port: int, calls: int, tokens: int) -> dict[str, Any]:
    """Wait until the control server has all usage; the run is void when it differs from the calls made."""
    async with asyncio.timeout(120):
        while True:
            async with session.post(f"http://127.0.0.1:{port}/count") as answer:
                metered = await answer.json()
            if metered["calls"] >= calls:
                break
            await asyncio.sleep(0.2)
    if metered != {"calls": calls, "output_tokens": tokens}:
        raise RuntimeError(f"metered {metered}, made {calls} calls with {tokens} tokens")
    return {"calls_made": calls, "calls_metered": metered["calls"], "output_tokens_metered": metered["output_tokens"]}


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def main(seconds: float = 3.0, rounds: int = 3) -> dict[str, Any]:
    """Run it all and print the report as JSON; also returned."""
    folder = Path(tempfile.mkdtemp(prefix="zhisuan-bench-"))
    ports = {"control": _free_port(), "gateway": _free_port()}
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name in ("model", "control", "gateway", "site"):
            children[name] = subprocess.Popen(
                [sys.executable, __file__, "--part", name, "--folder", str(folder), "--ports", json.dumps(ports)]
            )
        processes = {name: psutil.Process(children[name].pid) for name in ("gateway", "site")}
        report = asyncio.run(measure(folder, ports, processes, seconds, rounds))
    finally:
        for child in children.values():
            child.terminate()
        for child in children.values():
            child.wait()
        shutil.rmtree(folder, ignore_errors=True)
    report["cpus"] = os.cpu_count()
    print(json.dumps(report, indent=2))
    return report


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="Measure the gateway and the tunnel beside direct calls.")
    options.add_argument("--seconds", type=float, default=3.0)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--part", help=argparse.SUPPRESS)
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options.add_argument("--ports", type=json.loads, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.part:
        part(chosen.part, chosen.folder, chosen.ports)
    else:
        main(chosen.seconds, chosen.rounds)
