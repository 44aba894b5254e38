"""The relay carries any stream, many at once, both ways, to its exact end."""

import contextlib
import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_conformance import WAIT_SECONDS, Harness, get, spec, wait_for
from local_engine import needs_bwrap, needs_root, sandbox_harness

from zhisuan.engines.contract import ExitReason, RunPhase, ServicePort

pytestmark = [needs_bwrap, needs_root]

ECHO = """
import asyncio, hashlib
async def handle(reader, writer):
    kind = await reader.readline()
    if kind == b"hash\\n":          # answers only after the end of what it is sent
        digest = hashlib.sha256()
        while data := await reader.read(65536):
            digest.update(data)
        writer.write(digest.hexdigest().encode())
    elif kind == b"echo\\n":
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    elif kind == b"reset\\n":
        writer.transport.abort()
        return
    elif kind == b"early\\n":       # ends its own side first and still listens
        writer.write(b"bye")
        writer.write_eof()
        print("heard", len(await reader.read()), flush=True)
    await writer.drain()
    writer.close()
async def main():
    server = await asyncio.start_server(handle, HOST, 8000)
    print("listening", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    with sandbox_harness(tmp_path / "engine") as harness:
        yield harness


def serve(harness: Harness, host: str = '"127.0.0.1"') -> Path:
    script = f"cat > s.py <<'P'\n{ECHO.replace('HOST', host)}P\nexec python3 s.py"
    harness.engine.start(spec(script, service=ServicePort(8000)))
    harness.said("listening")
    path = harness.engine.service_socket("lease_a", 1)
    assert path is not None
    return path


def connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(WAIT_SECONDS)
    client.connect(str(path))
    return client


def read_all(client: socket.socket) -> bytes:
    parts = []
    while part := client.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def send(client: socket.socket, data: bytes) -> None:
    client.sendall(data)
    client.shutdown(socket.SHUT_WR)


def test_half_a_connection_may_end_before_the_other(harness: Harness) -> None:
    path = serve(harness)
    payload = os.urandom(3_000_000)
    with connect(path) as client:
        client.sendall(b"hash\n" + payload)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == hashlib.sha256(payload).hexdigest().encode()


def test_the_works_side_may_end_first(harness: Harness) -> None:
    path = serve(harness)
    with connect(path) as client:
        client.sendall(b"early\n")
        assert read_all(client) == b"bye"
        client.sendall(b"x" * 1000)
    harness.said("heard 1000")


def test_bytes_are_passed_on_as_they_come(harness: Harness) -> None:
    path = serve(harness)
    with connect(path) as client:
        client.sendall(b"echo\n")
        for letter in b"stream":
            client.sendall(bytes([letter]))
            assert client.recv(10) == bytes([letter])


def test_a_reset_is_passed_on(harness: Harness) -> None:
    path = serve(harness)
    with connect(path) as client:
        client.sendall(b"reset\n")
        with contextlib.suppress(ConnectionError):
            assert client.recv(10) == b""


def test_many_connections_at_once(harness: Harness) -> None:
    """Several rounds: what goes wrong when the relay collects its garbage goes wrong once in a hundred connections."""
    path = serve(harness)
    failures: list[object] = []

    def exchange(number: int) -> None:
        try:
            payload = bytes([number % 256]) * (200_000 + number)
            with connect(path) as client:
                sender = threading.Thread(target=send, args=(client, b"echo\n" + payload))
                sender.start()
                received = read_all(client)
                if received != payload:
                    failures.append((number, len(received)))
                sender.join()
        except OSError as error:
            failures.append((number, error))

    for _ in range(6):
        threads = [threading.Thread(target=exchange, args=(number,)) for number in range(60)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
    assert harness.log() == "listening\n"


def test_a_slow_reader_holds_back_only_itself(harness: Harness) -> None:
    """A client that sends much and reads nothing is held by back-pressure; memory stays small and others go on."""
    path = serve(harness)
    with connect(path) as slow, connect(path) as other:
        slow.sendall(b"echo\n")
        slow.setblocking(False)
        sent = 0
        while sent < 200 << 20:
            try:
                sent += slow.send(bytes(1 << 16))
            except BlockingIOError:
                break
        assert sent < 200 << 20
        other.sendall(b"echo\nquick")
        assert other.recv(10) == b"quick"
    assert harness.engine.observe("lease_a", 1).phase is RunPhase.running


def test_a_service_on_version_6_loopback_is_reached_too(harness: Harness) -> None:
    path = serve(harness, '"::1"')
    with connect(path) as client:
        client.sendall(b"echo\nsix")
        assert client.recv(10) == b"six"


def test_nothing_that_listens_closes_the_connection_at_once(harness: Harness) -> None:
    harness.engine.start(spec("echo up; sleep 600", service=ServicePort(8000)))
    harness.said("up")
    path = harness.engine.service_socket("lease_a", 1)
    assert path is not None
    assert get(path, "/") is None


def test_the_relay_comes_back_when_the_work_kills_it(harness: Harness) -> None:
    script = "echo up; pkill -9 -f sandbox.init; echo hello > index.html; exec python3 -m http.server 8000"
    harness.engine.start(spec(script, service=ServicePort(8000)))
    path = harness.engine.service_socket("lease_a", 1)
    assert path is not None
    assert wait_for(lambda: get(path, "/"), lambda answer: answer is not None) == (200, b"hello\n")


def test_the_socket_is_the_agents_alone_and_ends_with_the_run(harness: Harness) -> None:
    path = serve(harness)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_uid == os.geteuid()
    assert len(str(path)) < 107
    harness.engine.stop("lease_a", 1, 0)
    assert harness.ended().reason is ExitReason.cancelled
    assert not path.exists()
