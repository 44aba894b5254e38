"""One shell inside the sandbox, for one connection that came from outside: a process of the work's own user, as its scripts are.

Nothing enters the sandbox for it. Init, which is in there from the beginning, forks; what a hostile job could do to this process
it could do to its own scripts. The shell lasts as long as its connection: when either ends, its whole session is ended.

The frames are those of ``base/shells.py``, said again here: nothing of the platform beyond this folder is in the sandbox.
"""

import errno
import json
import os
import select
import signal
import socket
import struct
import time

STDIN, STDOUT, STDERR, EXIT, START, SIZE, END, TROUBLE = range(8)
PAYLOAD_BYTES_MAX = 64 * 1024
START_SECONDS = 10.0
KILL_SECONDS = 2.0
LINGER_SECONDS = 0.5
"""How long after its end a shell's output is awaited: something that it left may hold the other end for ever."""

_HEAD = struct.Struct(">BI")
_SIZE = struct.Struct(">HH")
_READ_BYTES = 32 * 1024
_HELD_BYTES_MAX = 128 * 1024
_TICK_MS = 100
_AS_USUAL = ("SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGPIPE", "SIGXFSZ", "SIGTSTP", "SIGTTIN", "SIGTTOU")
"""Python ignores some, and this process others: a shell would pass that on to all that it starts."""


def frame(channel: int, payload: bytes = b"") -> bytes:
    return _HEAD.pack(channel, len(payload)) + payload


def accept(listener_fd: int) -> int | None:
    """The next connection; None where whoever came has gone again."""
    with socket.socket(fileno=os.dup(listener_fd)) as listener:
        try:
            return listener.accept()[0].detach()
        except OSError:
            return None


def refuse(connection_fd: int, why: str) -> None:
    """Say why there is no shell; a client that does not listen is not waited for."""
    try:
        os.set_blocking(connection_fd, False)
        os.write(connection_fd, frame(TROUBLE, why.encode()))
    except OSError:
        return


class _Over(Exception):
    """The connection has ended, or says what no client says."""


def _hang_up(*_: object) -> None:
    raise _Over


def serve(connection_fd: int, bash: str, environment: dict[str, str]) -> None:
    """One connection until it or its shell ends. SIGTERM is for the work; SIGHUP is init's word that the work is over."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, _hang_up)
    connection = socket.socket(fileno=connection_fd)
    try:
        connection.settimeout(START_SECONDS)
        asked = _asked(connection)
        _Shell(connection, bash, environment, asked).run()
    except (_Over, OSError, ValueError, TypeError):
        return
    finally:
        connection.close()


def _asked(connection: socket.socket) -> dict[str, object]:
    """What the client wants started. Raises _Over, ValueError."""
    channel, size = _HEAD.unpack(_exactly(connection, _HEAD.size))
    if channel != START or size > PAYLOAD_BYTES_MAX:
        raise _Over
    asked = json.loads(_exactly(connection, size))
    if not isinstance(asked, dict):
        raise _Over
    return asked


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise _Over
        data += piece
    return data


class _Shell:
    """``terminal``: the rows and columns of a pseudo-terminal; without one, three pipes."""

    def __init__(self, connection: socket.socket, bash: str, environment: dict[str, str], asked: dict[str, object]) -> None:
        self.connection = connection
        words = asked.get("command")
        command = [str(word) for word in words] if isinstance(words, list) and words else None
        size = asked.get("terminal")
        self.terminal = (int(size[0]), int(size[1])) if isinstance(size, list) and len(size) == 2 else None
        term = str(asked.get("term") or "xterm-256color") if self.terminal else "dumb"
        self.environment = {**environment, "TERM": term}
        self.words = command or ([bash, "-i"] if self.terminal else [bash])
        self.incoming = bytearray()
        self.outgoing = bytearray()
        self.typed = bytearray()
        self.no_more = False
        """The client has nothing more to say to the shell."""
        self.sources: dict[int, int] = {}
        """Descriptors that the shell's output comes from, and the channel of each."""
        self.typing: int | None = None
        self.status: int | None = None
        self.heard_at = 0.0
        self.pid = self._start_on_terminal() if self.terminal else self._start_on_pipes()
        self.ended = os.pidfd_open(self.pid)

    def _start_on_terminal(self) -> int:
        import pty

        pid, master = pty.fork()
        if pid == 0:
            self._become()
        os.set_blocking(master, False)
        self.sources, self.typing = {master: STDOUT}, master
        self._resize(*(self.terminal or (24, 80)))
        return pid

    def _start_on_pipes(self) -> int:
        (in_read, in_write), (out_read, out_write), (err_read, err_write) = os.pipe(), os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            os.setsid()
            for number, fd in enumerate((in_read, out_write, err_write)):
                os.dup2(fd, number)
            self._become()
        for fd in (in_read, out_write, err_write):
            os.close(fd)
        for fd in (in_write, out_read, err_read):
            os.set_blocking(fd, False)
        self.sources, self.typing = {out_read: STDOUT, err_read: STDERR}, in_write
        return pid

    def _become(self) -> None:
        """Does not return."""
        try:
            for name in _AS_USUAL:
                signal.signal(getattr(signal, name), signal.SIG_DFL)
            self.connection.close()
            os.execvpe(self.words[0], self.words, self.environment)  # noqa: S606 - the very purpose
        except OSError as error:
            os.write(2, f"{self.words[0]}: {error.strerror}\n".encode("utf-8", "replace"))
            os._exit(127 if error.errno == errno.ENOENT else 126)
        finally:
            os._exit(126)

    def _resize(self, rows: int, columns: int) -> None:
        import fcntl
        import termios

        if self.terminal and self.typing is not None and 0 < rows < 1000 and 0 < columns < 2000:
            fcntl.ioctl(self.typing, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def run(self) -> None:
        self.connection.setblocking(False)
        try:
            while not self._is_over():
                self._step()
        finally:
            self._end_session()

    def _is_over(self) -> bool:
        """Whether the exit status has been handed over; it goes out once no output can come before it."""
        if self.status is None:
            return False
        if self.sources and (self.outgoing or time.monotonic() < self.heard_at + LINGER_SECONDS):
            return False
        self.connection.settimeout(START_SECONDS)
        self.connection.sendall(bytes(self.outgoing) + frame(EXIT, str(self.status).encode()))
        self.connection.shutdown(socket.SHUT_WR)
        self._let_finish()
        return True

    def _let_finish(self) -> None:
        """Take what is still typed until the client has heard the end: one that is cut off while it writes may never read it."""
        deadline = time.monotonic() + KILL_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            self.connection.settimeout(left)
            if not self.connection.recv(_READ_BYTES):
                return

    def _step(self) -> None:
        """Wait for whatever can go on, and let it. A side that takes nothing holds up only what is for it."""
        poll = select.poll()
        wanted = select.POLLIN if len(self.typed) < _HELD_BYTES_MAX else 0
        poll.register(self.connection, wanted | (select.POLLOUT if self.outgoing else 0))
        if len(self.outgoing) < _HELD_BYTES_MAX:
            for fd in self.sources:
                poll.register(fd, select.POLLIN | (select.POLLOUT if fd == self.typing and self.typed else 0))
        if self.typing is not None and self.typing not in self.sources and self.typed:
            poll.register(self.typing, select.POLLOUT)
        if self.status is None:
            poll.register(self.ended, select.POLLIN)
        for fd, event in poll.poll(None if self.status is None else _TICK_MS):
            if fd == self.connection.fileno():
                self._serve_connection(event)
            if fd == self.ended:
                self._look_for_end()
            if fd == self.typing and event & (select.POLLOUT | select.POLLERR):
                self._type()
            if fd in self.sources and event & (select.POLLIN | select.POLLHUP | select.POLLERR):
                self._read(fd)

    def _look_for_end(self) -> None:
        """Take the exit status, once, as a shell would give it."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                self.status = code if code >= 0 else 128 - code
                self.heard_at = time.monotonic()

    def _serve_connection(self, event: int) -> None:
        if event & (select.POLLERR | select.POLLHUP):
            raise _Over
        if event & select.POLLOUT:
            del self.outgoing[: self.connection.send(self.outgoing)]
        if event & select.POLLIN:
            data = self.connection.recv(_READ_BYTES)
            if not data:
                raise _Over
            self.incoming += data
            while (said := self._next()) is not None:
                self._obey(*said)

    def _next(self) -> tuple[int, bytes] | None:
        if len(self.incoming) < _HEAD.size:
            return None
        channel, size = _HEAD.unpack_from(self.incoming)
        if size > PAYLOAD_BYTES_MAX:
            raise _Over
        if len(self.incoming) < _HEAD.size + size:
            return None
        payload = bytes(self.incoming[_HEAD.size : _HEAD.size + size])
        del self.incoming[: _HEAD.size + size]
        return channel, payload

    def _obey(self, channel: int, payload: bytes) -> None:
        """What is not known is ignored: a newer client may say more."""
        if channel == STDIN:
            self.typed += payload
            self._type()
        elif channel == SIZE and len(payload) == _SIZE.size:
            self._resize(*_SIZE.unpack(payload))
        elif channel == END:
            self.no_more = True
            self._type()

    def _type(self) -> None:
        """Give the shell what it takes; a shell that has closed its input has it thrown away."""
        if self.typing is None:
            self.typed.clear()
            return
        try:
            while self.typed:
                del self.typed[: os.write(self.typing, self.typed)]
        except BlockingIOError:
            return
        except OSError:
            self.typed.clear()
            self.no_more = True
        if self.no_more and self.typing not in self.sources:
            os.close(self.typing)
            self.typing = None

    def _read(self, fd: int) -> None:
        try:
            data = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:  # of a terminal whose last user is gone
            data = b""
        if data:
            self.heard_at = time.monotonic()
            self.outgoing += frame(self.sources[fd], data)
            return
        del self.sources[fd]
        if fd != self.typing:
            os.close(fd)

    def _end_session(self) -> None:
        """Whatever the shell has started and that has not left its session: asked to end, and then ended."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for fd in {*self.sources, *([self.typing] if self.typing is not None else [])}:
            os.close(fd)
        deadline = time.monotonic() + KILL_SECONDS
        _signal_session(self.pid, signal.SIGHUP, signal.SIGCONT)
        while _members(self.pid) and time.monotonic() < deadline:
            self._look_for_end()
            time.sleep(0.02)
        _signal_session(self.pid, signal.SIGKILL)


def _members(session: int) -> list[int]:
    """The processes of a session that have not ended."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    after = file.read().rpartition(b") ")[2].split()
            except OSError:
                continue
            if int(after[3]) == session and after[0] not in (b"Z", b"X"):
                found.append(int(name))
    return found


def _signal_session(session: int, *numbers: int) -> None:
    for pid in _members(session):
        for number in numbers:
            try:
                os.kill(pid, number)
            except OSError:
                break
