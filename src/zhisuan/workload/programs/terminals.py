"""Terminals of a shell workspace, over HTTP and WebSocket.

This file is sent to the site as text and run there by whatever Python 3.9 or newer it has: standard library only, nothing of the
platform imported. It speaks the protocol of Jupyter's terminals (``api/terminals``, ``terminals/websocket/NAME``; messages are
JSON lists such as ``["stdin", "ls\\n"]``), so that one client serves both kinds of workspace. Beyond it, ``["exit", status]``
comes before the end of a shell.

A terminal lives on when its clients go; one that comes back gets the last ``REPLAY_CHARACTERS`` of output first. The slowest
client sets the pace of the output; one that takes nothing for ``CLIENT_SECONDS`` is dropped.
"""

from __future__ import annotations

import asyncio
import base64
import codecs
import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import pty
import re
import signal
import struct
import termios
from collections.abc import Callable
from typing import Any

HEAD_BYTES_MAX = 32 * 1024
BODY_BYTES_MAX = 4 * 1024
MESSAGE_BYTES_MAX = 1024 * 1024
READ_BYTES = 32 * 1024
REPLAY_CHARACTERS = 256 * 1024
TERMINALS_MAX = 32
CLIENT_SECONDS = 60.0
HEAD_SECONDS = 10.0
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
ACCEPT_SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
LEFT_TO_THE_SHELL = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ)
"""Python ignores some, and what was started in the background ignores Ctrl-C: a shell would pass that on to all that it starts."""
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Closed(Exception):
    """The WebSocket is over; ``code`` says why."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


class Socket:
    """The server's side of one WebSocket (RFC 6455)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def post(self, data: bytes, kind: int = TEXT) -> None:
        """Put one message on its way without waiting."""
        size = len(data)
        if size < 126:
            head = struct.pack("!BB", 0x80 | kind, size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", 0x80 | kind, 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | kind, 127, size)
        if not self.writer.is_closing():
            self.writer.write(head + data)

    async def receive(self) -> bytes:
        """The next message; pings are answered on the way. Raises Closed."""
        parts: list[bytes] = []
        while True:
            final, kind, data = await self._frame(MESSAGE_BYTES_MAX - sum(map(len, parts)))
            if kind == CLOSE:
                raise Closed(struct.unpack("!H", data[:2])[0] if len(data) >= 2 else 1005)
            if kind == PING:
                self.post(data, PONG)
            elif kind != PONG:
                parts.append(data)
                if final:
                    return b"".join(parts)

    async def _frame(self, room: int) -> tuple[bool, int, bytes]:
        first, second = await self.reader.readexactly(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
        if not second & 0x80 or first & 0x70:
            raise Closed(1002)
        if size > room:
            raise Closed(1009)
        mask = await self.reader.readexactly(4)
        data = await self.reader.readexactly(size)
        if size:
            key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
            data = (int.from_bytes(data, "big") ^ key).to_bytes(size, "big")
        return bool(first & 0x80), first & 0x0F, data

    async def close(self, code: int) -> None:
        self.post(struct.pack("!H", code), CLOSE)
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(self.writer.drain(), 1.0)


def message(*parts: Any) -> bytes:
    return json.dumps(parts, ensure_ascii=False).encode("utf-8", "surrogatepass")


class Terminal:
    """One shell on a pseudo-terminal, and those who look at it."""

    def __init__(self, name: str, shell: str, environment: dict[str, str], ended: Callable[[Terminal], None]) -> None:
        self.name = name
        self.sockets: set[Socket] = set()
        self._replay: list[str] = []
        self._replay_length = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._typing = asyncio.Lock()
        self._ended = ended
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            try:
                for number in LEFT_TO_THE_SHELL:
                    signal.signal(number, signal.SIG_DFL)
                os.execve(shell, [shell, "-i"], environment)  # noqa: S606
            finally:
                os._exit(127)
        os.set_blocking(self._fd, False)
        self.resize(24, 80)
        self._task = asyncio.ensure_future(self._run())

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def hang_up(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGHUP)

    def attach(self, socket: Socket) -> None:
        socket.post(message("setup", {}))
        if self._replay:
            socket.post(message("stdout", "".join(self._replay)))
        self.sockets.add(socket)

    async def type(self, text: str) -> None:
        """Give ``text`` to the shell, waiting while it takes no more."""
        data = text.encode("utf-8", "replace")
        async with self._typing:
            while data:
                try:
                    data = data[os.write(self._fd, data) :]
                except BlockingIOError:
                    await _ready(self._fd, reading=False)
                except OSError:
                    return

    async def _run(self) -> None:
        while True:
            await _ready(self._fd, reading=True)
            try:
                data = os.read(self._fd, READ_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                break
            if not data:
                break
            text = self._decoder.decode(data)
            if text:
                await self._show(text)
        self._end(await self._status())

    async def _status(self) -> int:
        """The exit status, as a shell would give it; the terminal may have been closed before the shell ends."""
        while True:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
            await asyncio.sleep(0.05)

    async def _show(self, text: str) -> None:
        self._replay.append(text)
        self._replay_length += len(text)
        while self._replay_length - len(self._replay[0]) > REPLAY_CHARACTERS:
            self._replay_length -= len(self._replay.pop(0))
        shown = message("stdout", text)
        for socket in list(self.sockets):
            socket.post(shown)
        for socket in list(self.sockets):
            try:
                await asyncio.wait_for(socket.writer.drain(), CLIENT_SECONDS)
            except (TimeoutError, OSError):
                self.sockets.discard(socket)
                socket.writer.close()

    def _end(self, status: int) -> None:
        os.close(self._fd)
        self._ended(self)
        for socket in list(self.sockets):
            socket.post(message("exit", status))
            socket.post(message("disconnect", 1))
            socket.post(struct.pack("!H", 1000), CLOSE)
            socket.writer.close()


async def _ready(fd: int, *, reading: bool) -> None:
    loop = asyncio.get_running_loop()
    there: asyncio.Future[None] = loop.create_future()
    add, remove = (loop.add_reader, loop.remove_reader) if reading else (loop.add_writer, loop.remove_writer)
    add(fd, _wake, there)
    try:
        await there
    finally:
        remove(fd)


def _wake(there: asyncio.Future[None]) -> None:
    if not there.done():
        there.set_result(None)


class Server:
    def __init__(self, base: str, token: str, shell: str, environment: dict[str, str]) -> None:
        self.base = base
        self._token = token.encode()
        self._shell = shell
        self._environment = environment
        self._terminals: dict[str, Terminal] = {}

    async def serve(self, host: str, port: int) -> None:
        server = await asyncio.start_server(self._connection, host, port, limit=HEAD_BYTES_MAX)
        async with server:
            await server.serve_forever()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HEAD_SECONDS)
            first, *lines = head.decode("latin-1").split("\r\n")
            method, target, _ = first.split(" ", 2)
            pairs = (line.split(":", 1) for line in lines if ":" in line)
            headers = {name.strip().lower(): value.strip() for name, value in pairs}
            await self._answer(method, target.split("?", 1)[0], headers, reader, writer)
        except (TimeoutError, ValueError, OSError, EOFError, asyncio.LimitOverrunError):
            pass  # not a request, or a client that has gone: there is nobody to tell
        finally:
            writer.close()

    async def _answer(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        if path == self.base + "api":
            _reply(writer, 200, {"version": "1"})
            return
        given = headers.get("authorization", "").partition(" ")[2].encode()
        if not hmac.compare_digest(given, self._token):
            _reply(writer, 403, {"message": "the token is missing or wrong"})
            return
        socket_name = _below(path, self.base + "terminals/websocket/")
        if socket_name is not None and headers.get("upgrade", "").lower() == "websocket":
            await self._look(socket_name, headers, reader, writer)
            return
        if path == self.base + "api/terminals":
            _reply(writer, *(await self._all(method, headers, reader)))
            return
        name = _below(path, self.base + "api/terminals/")
        found = self._terminals.get(name or "")
        if found is None:
            _reply(writer, 404, {"message": "there is no such terminal"})
            return
        if method == "DELETE":
            found.hang_up()
        _reply(writer, 204 if method == "DELETE" else 200, {"name": found.name})

    async def _all(self, method: str, headers: dict[str, str], reader: asyncio.StreamReader) -> tuple[int, Any]:
        if method != "POST":
            return 200, [{"name": name} for name in self._terminals]
        size = int(headers.get("content-length") or 0)
        if not 0 <= size <= BODY_BYTES_MAX:
            return 413, {"message": "the body is too large"}
        asked = json.loads(await reader.readexactly(size) or b"{}")
        name = str(asked.get("name") or self._free_name()) if isinstance(asked, dict) else ""
        if not NAME.fullmatch(name):
            return 400, {"message": "a terminal's name has up to 32 letters, digits, hyphens and underscores"}
        if name not in self._terminals:
            if len(self._terminals) >= TERMINALS_MAX:
                return 429, {"message": "there are too many terminals; end one first"}
            self._terminals[name] = Terminal(name, self._shell, self._environment, self._over)
        return 200, {"name": name}

    def _free_name(self) -> str:
        return next(str(number) for number in range(1, TERMINALS_MAX + 2) if str(number) not in self._terminals)

    def _over(self, terminal: Terminal) -> None:
        del self._terminals[terminal.name]

    async def _look(
        self, name: str, headers: dict[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        terminal = self._terminals.get(name)
        if terminal is None:
            _reply(writer, 404, {"message": "there is no such terminal"})
            return
        key = headers.get("sec-websocket-key", "").encode()
        accept = base64.b64encode(hashlib.sha1(key + ACCEPT_SALT).digest()).decode()  # noqa: S324 - what RFC 6455 says
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        socket = Socket(reader, writer)
        terminal.attach(socket)
        try:
            while True:
                await _obey(terminal, json.loads(await socket.receive()))
        except Closed as closed:
            await socket.close(closed.code if closed.code in (1002, 1009) else 1000)
        except ValueError:
            await socket.close(1007)
        finally:
            terminal.sockets.discard(socket)


async def _obey(terminal: Terminal, said: Any) -> None:
    """One message of a client; what is not known is ignored."""
    if not isinstance(said, list) or len(said) < 2:
        return
    if said[0] == "stdin" and isinstance(said[1], str):
        await terminal.type(said[1])
    elif said[0] == "set_size" and len(said) >= 3:
        rows, columns = said[1], said[2]
        if isinstance(rows, int) and isinstance(columns, int) and 0 < rows < 1000 and 0 < columns < 2000:
            terminal.resize(rows, columns)


def _below(path: str, folder: str) -> str | None:
    return path[len(folder) :] if path.startswith(folder) else None


def _reply(writer: asyncio.StreamWriter, status: int, body: Any) -> None:
    data = b"" if status == 204 else json.dumps(body).encode()
    writer.write(
        f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        "Connection: close\r\n\r\n".encode() + data
    )


def main() -> None:
    environment = dict(os.environ)
    token = environment.pop("ZHISUAN_WORKSPACE_TOKEN")
    os.environ.pop("ZHISUAN_WORKSPACE_TOKEN")
    environment["TERM"] = "xterm-256color"
    base, port = environment["ZHISUAN_WORKSPACE_PATH"], int(environment["ZHISUAN_SERVICE_PORT"])
    host = environment.get("ZHISUAN_SERVICE_HOST", "127.0.0.1")
    shell = next(path for path in ("/bin/bash", "/usr/bin/bash", "/bin/sh") if os.access(path, os.X_OK))
    print("The terminals of this workspace are ready.", flush=True)
    asyncio.run(Server(base, token, shell, environment).serve(host, port))


if __name__ == "__main__":
    main()
