"""The caller's terminal, joined to one in a workspace, or to a shell beside running work.

Keys go as they are typed, Ctrl-C too; ``~.`` at the beginning of a line leaves: a workspace's shell goes on, one beside work ends. Without a
terminal, input comes from a pipe and its end is the shell's.
"""

import asyncio
import codecs
import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from threading import Thread
from typing import Protocol

from zhisuan.cli.text import t
from zhisuan.sdk.shell import Shell
from zhisuan.sdk.terminal import Terminal

READ_BYTES = 65_536
END_OF_INPUT = "\x04"


class Session(Protocol):
    """What a terminal can be joined to."""

    def type(self, text: str) -> None: ...

    def resize(self, rows: int, columns: int) -> None: ...

    async def run(self) -> int: ...


class Leaving:
    """Watches what is typed for ``~.`` after a line's beginning; ``~~`` there is one tilde."""

    def __init__(self) -> None:
        self._at_start = True
        self._tilde = False

    def passed(self, text: str) -> tuple[str, bool]:
        """What of ``text`` goes on, and whether to leave."""
        out: list[str] = []
        for letter in text:
            if self._tilde:
                self._tilde = False
                if letter == ".":
                    return "".join(out), True
                out.append("~" if letter == "~" else "~" + letter)
            elif letter == "~" and self._at_start:
                self._tilde = True
                continue
            else:
                out.append(letter)
            self._at_start = letter in "\r\n"
        return "".join(out), False


def join(url: str, key: str, name: str) -> int | None:
    """Join until the shell ends; its exit status, or None for a person who left it running."""
    terminal = Terminal(url, key, name, _show, _tell())

    def pipe(loop: asyncio.AbstractEventLoop) -> None:
        """What a pipe or a file holds, and its end as the end of the shell's input."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while data := os.read(sys.stdin.fileno(), READ_BYTES):
            loop.call_soon_threadsafe(terminal.type, decoder.decode(data))
        loop.call_soon_threadsafe(terminal.type, END_OF_INPUT)

    return asyncio.run(_join(terminal, pipe, raw=sys.stdin.isatty()))


def enter(url: str, key: str, command: Sequence[str] | None) -> int | None:
    """A shell beside running work, or a command in its place, until it ends; its exit status, or None for a person who left. Where the
    caller has a terminal both ways it gets one too; else bytes go through pipes as they are."""
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    term = os.environ.get("TERM") or "xterm-256color"
    shell = Shell(url, key, _writer(1), _writer(2), command=command, on_terminal=on_terminal, term=term)

    def pipe(loop: asyncio.AbstractEventLoop) -> None:
        while data := os.read(sys.stdin.fileno(), READ_BYTES):
            asyncio.run_coroutine_threadsafe(shell.feed(data), loop).result()
        loop.call_soon_threadsafe(shell.end)

    return asyncio.run(_join(shell, pipe, raw=on_terminal))


async def _join(session: Session, pipe: Callable[[asyncio.AbstractEventLoop], None], *, raw: bool) -> int | None:
    loop = asyncio.get_running_loop()
    with _raw() if raw else contextlib.nullcontext():
        if raw:
            loop.add_signal_handler(signal.SIGWINCH, _resize, session)
        _resize(session)
        running = asyncio.create_task(session.run())
        left = asyncio.Event()
        if raw:
            loop.add_reader(sys.stdin.fileno(), _read, session, Leaving(), left)
        else:
            # A file cannot be waited for as a terminal can; the thread ends with the program.
            Thread(target=_unless_over, args=(pipe, loop), daemon=True).start()
        leaving = asyncio.create_task(left.wait())
        try:
            done, _ = await asyncio.wait({running, leaving}, return_when=asyncio.FIRST_COMPLETED)
            return running.result() if running in done else None
        finally:
            if raw:
                loop.remove_reader(sys.stdin.fileno())
            for task in (running, leaving):
                task.cancel()
            await asyncio.gather(running, leaving, return_exceptions=True)


async def _show(text: str) -> None:
    sys.stdout.flush()
    _write(1, text.encode("utf-8", "replace"))


def _writer(fd: int) -> Callable[[bytes], Awaitable[None]]:
    async def write(data: bytes) -> None:
        _write(fd, data)

    return write


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _tell() -> Callable[[bool], None]:
    """Say once that the connection is lost, and nothing before it stood for the first time or when it is back."""
    stood = [False, False]

    def tell(stands: bool) -> None:
        if stood[0] and stood[1] and not stands:
            lost = t("the connection is lost and sought again; ~. leaves", "连接已断开，正在重连；输入 ~. 可离开")
            sys.stderr.write(f"\r\n[{lost}]\r\n")
            sys.stderr.flush()
        stood[0], stood[1] = stood[0] or stands, stands

    return tell


def _resize(session: Session) -> None:
    """The size as the terminal itself says it: what LINES and COLUMNS say stays as it was when the window changes."""
    with contextlib.suppress(OSError):  # not a terminal: the size it has stays
        size = os.get_terminal_size(sys.stdout.fileno())
        if size.lines and size.columns:
            session.resize(size.lines, size.columns)


_decoder = codecs.getincrementaldecoder("utf-8")("replace")


def _read(session: Session, leaving: Leaving, left: asyncio.Event) -> None:
    text, leave = leaving.passed(_decoder.decode(os.read(sys.stdin.fileno(), READ_BYTES)))
    if text:
        session.type(text)
    if leave:
        left.set()


def _unless_over(pipe: Callable[[asyncio.AbstractEventLoop], None], loop: asyncio.AbstractEventLoop) -> None:
    with contextlib.suppress(RuntimeError, CancelledError):  # the loop is over: the shell ended first
        pipe(loop)


@contextmanager
def _raw() -> Iterator[None]:
    """Every key as it is; the terminal is put back as it was, whatever happens."""
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setraw(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
