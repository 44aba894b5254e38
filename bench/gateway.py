"""What the gateway and the tunnel cost, beside the same calls made to the model server directly, in one run.

    python bench/gateway.py [--seconds 1.5] [--rounds 6]

Five processes on loopback: the model server (bare ASGI on a unix socket, so that it is not what is measured), a control
server, the gateway with metering on (SQLite, ``synchronous=FULL``), a site with its tunnel, and the client (aiohttp).
Rounds alternate between direct and gateway. Of each the half is kept during which other programs used the machine
least; medians over those are printed as JSON, with the share of the machine that others still had. Every answer is
checked, and at the end the usage that reached the control server must equal the calls made.
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
CASES = (("plain_1", False, 1), ("plain_32", False, 32), ("stream_1", True, 1), ("stream_32", True, 32))
"""Name, streamed or not, connections at once."""
WARM_UP_SECONDS = 0.5
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
    foreign_share: float = 0.0
    cpu_seconds: dict[str, float] = field(default_factory=dict)


class Usage:
    """CPU seconds of the parts, and of the whole machine, since it was made."""

    def __init__(self, processes: dict[str, psutil.Process]) -> None:
        self._processes = {**processes, "client": psutil.Process()}
        self._before = self._now()
        self._machine = psutil.cpu_times()

    def note(self, done: Round) -> None:
        now = self._now()
        done.cpu_seconds = {name: now[name] - spent for name, spent in self._before.items()}
        machine = psutil.cpu_times()
        idle = machine.idle + machine.iowait - self._machine.idle - self._machine.iowait
        busy = sum(machine) - sum(self._machine) - idle
        done.foreign_share = max(0.0, busy - sum(done.cpu_seconds.values())) / (busy + idle)

    def _now(self) -> dict[str, float]:
        return {name: sum(process.cpu_times()[:2]) for name, process in self._processes.items()}


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


def quietest(rounds: list[Round]) -> list[Round]:
    return sorted(rounds, key=lambda r: r.foreign_share)[: (len(rounds) + 1) // 2]


def summary(rounds: list[Round]) -> dict[str, float]:
    kept = quietest(rounds)
    calls = sum(len(r.latencies) for r in kept)

    def quantile(values: str, share: float) -> float:
        ordered: list[list[float]] = [sorted(getattr(r, values)) for r in kept]
        return statistics.median(taken[int(share * (len(taken) - 1))] for taken in ordered)

    def cpu_ms(name: str) -> float:
        return round(sum(r.cpu_seconds[name] for r in kept) / calls * 1e3, 3)

    return {
        "calls": calls,
        "calls_per_s": round(statistics.median(len(r.latencies) / r.seconds for r in kept), 1),
        "p50_ms": round(quantile("latencies", 0.5) * 1e3, 3),
        "p99_ms": round(quantile("latencies", 0.99) * 1e3, 3),
        "first_byte_p50_ms": round(quantile("first_bytes", 0.5) * 1e3, 3),
        "gateway_cpu_ms_per_call": cpu_ms("gateway"),
        "site_cpu_ms_per_call": cpu_ms("site"),
        "foreign_cpu_share_max": round(max(r.foreign_share for r in kept), 3),
    }


def comparison(direct: dict[str, float], gateway: dict[str, float]) -> dict[str, Any]:
    return {
        "direct": direct,
        "gateway": gateway,
        "added_p50_ms": round(gateway["p50_ms"] - direct["p50_ms"], 3),
        "throughput_ratio": round(gateway["calls_per_s"] / direct["calls_per_s"], 3),
    }


async def measure(
    folder: Path, ports: dict[str, int], processes: dict[str, psutil.Process], seconds: float, rounds: int
) -> dict[str, Any]:
    path = "/v1/chat/completions"
    base = f"http://127.0.0.1:{ports['gateway']}"
    key = {"Authorization": f"Bearer {CREDENTIALS['key']}"}
    report: dict[str, Any] = {}
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(folder / "model.sock"), limit=0)) as direct,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=key) as through,
    ):
        await _until_served(through, base)
        calls = 1
        for name, stream, connections in CASES:
            kept: dict[str, list[Round]] = {"direct": [], "gateway": []}
            for turn in range(rounds + 1):
                length = seconds if turn else WARM_UP_SECONDS
                for way, session, url, model in (
                    ("direct", direct, "http://model" + path, "up"),
                    ("gateway", through, base + path, "guide"),
                ):
                    used = Usage(processes)
                    done = await drive(session, url, model, stream=stream, connections=connections, seconds=length)
                    used.note(done)
                    calls += len(done.latencies) if way == "gateway" else 0
                    if turn:
                        kept[way].append(done)
            report[name] = comparison(summary(kept["direct"]), summary(kept["gateway"]))
        report["usage"] = await _usage(through, ports["control"], calls, calls * CHUNKS)
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


def main(seconds: float = 1.5, rounds: int = 6) -> dict[str, Any]:
    """Run it all and print the report as JSON; also returned."""
    folder = Path(tempfile.mkdtemp(prefix="zhisuan-bench-"))
    ports = {"control": _free_port(), "gateway": _free_port()}
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name in ("model", "control", "gateway", "site"):
            children[name] = subprocess.Popen(
                [sys.executable, __file__, "--part", name, "--folder", str(folder), "--ports", json.dumps(ports)]
            )
        processes = {name: psutil.Process(children[name].pid) for name in children}
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
    options.add_argument("--seconds", type=float, default=1.5)
    options.add_argument("--rounds", type=int, default=6)
    options.add_argument("--part", help=argparse.SUPPRESS)
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options.add_argument("--ports", type=json.loads, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.part:
        part(chosen.part, chosen.folder, chosen.ports)
    else:
        main(chosen.seconds, chosen.rounds)
