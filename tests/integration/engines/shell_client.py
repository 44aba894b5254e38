"""A client of the socket that leads to a shell beside a run, as the site's agent has it."""

import json
import socket
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

from engine_conformance import WAIT_SECONDS

from zhisuan.base.shells import Channel, Frames, frame, size_payload


class ShellClient:
    def __init__(self, path: Path, command: list[str] | None = None, *, terminal: tuple[int, int] | None = None) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(WAIT_SECONDS)
        self.socket.connect(str(path))
        self.frames = Frames()
        self.said: dict[int, bytes] = {}
        self.over = False
        with suppress(BrokenPipeError):  # whoever is there may say at once that there is no shell
            self.send(Channel.START, json.dumps({"command": command, "terminal": terminal, "term": "xterm"}).encode())

    def send(self, channel: int, payload: bytes = b"") -> None:
        self.socket.sendall(frame(channel, payload))

    def type(self, text: str) -> None:
        self.send(Channel.STDIN, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        self.send(Channel.SIZE, size_payload(rows, columns))

    def until(self, word: bytes) -> bytes:
        while word not in self.said.get(Channel.STDOUT, b""):
            assert self._read(), (word, self.said)
        return self.said[Channel.STDOUT]

    def _read(self) -> bool:
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        for channel, payload in self.frames.take(data):
            self.said[channel] = self.said.get(channel, b"") + payload
        self.over = self.over or not data
        return bool(data)

    def end(self) -> dict[int, bytes]:
        """All that comes until the shell is over."""
        while self._read():
            pass
        self.socket.close()
        return self.said


def run(path: Path, *command: str, given: bytes = b"") -> tuple[int, bytes, bytes]:
    """Exit status, output and errors of one command beside the run."""
    client = ShellClient(path, list(command))

    def give() -> None:
        with suppress(OSError):  # the command is over, and wanted no more
            for start in range(0, len(given), 1 << 15):
                client.send(Channel.STDIN, given[start : start + (1 << 15)])
            client.send(Channel.END)

    giver = Thread(target=give)
    giver.start()
    said: dict[int, Any] = client.end()
    giver.join()
    return int(said[Channel.EXIT]), said.get(Channel.STDOUT, b""), said.get(Channel.STDERR, b"")
